"""Layer 5: how good samples are, as pure functions of NumPy arrays in host memory.

    classifier   classify, features                      the network whose features are compared
    gaussians    moments, frechet_distance               two clouds of features as two Gaussians
    kernels      kernel_distance                         the same clouds, without that assumption
    scores       inception_score                         what a classifier says of each sample
    neighbours   precision_recall, nearest_neighbours,   who lies next to whom
                 count_modes
    parzen       parzen_log_likelihood, choose_sigma     the likelihood of held-out data
    corruptions  add_noise, blur, drop_classes, ...      spoilt samples, to measure the measures by

"Features" are what a network makes of images, one row each. A distance between features is a number
about that network too: two of them compare only if network, n and preprocessing are the same.

All but the classifier compute in float64, whatever the dtype of their input, and none changes what
it is given. Each docstring ends with what its measure cannot see, because each is blind to
something.
"""

from minigan.metrics.classifier import classify, features
from minigan.metrics.gaussians import frechet_distance, moments
from minigan.metrics.kernels import kernel_distance
from minigan.metrics.neighbours import count_modes, nearest_neighbours, precision_recall
from minigan.metrics.parzen import choose_sigma, parzen_log_likelihood
from minigan.metrics.scores import inception_score

__all__ = [
    "choose_sigma",
    "classify",
    "count_modes",
    "features",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "moments",
    "nearest_neighbours",
    "parzen_log_likelihood",
    "precision_recall",
]
