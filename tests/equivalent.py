"""Mutants of the solutions that no check can reject, because they are right: with the reason."""

REPLACED = "a value that stands where the result is replaced, or multiplied by 0, afterwards"

EQUIVALENT: dict[str, dict[str, str]] = {
    "01.5": {
        "gradient_error: 1e-06  ->  5e-07": "half the step is as good",
        "gradient_error: 10  ->  9": "the task says: ten directions or so",
        "gradient_error: 10  ->  11": "the task says: ten directions or so",
    },
    "03.3": {"col2im: 2  ->  3": "a larger canvas, which is cut to the same picture"},
    "04.1": {
        "optimal_discriminator: 1  ->  2": REPLACED,
        "optimal_discriminator: 1  ->  0": REPLACED,
    },
    "04.2": {"jensen_shannon: 1  ->  2": REPLACED},
    "05.1": {
        "to_uint8: np.clip(np.rint((images + 1) * 127.5), 0, 255)  ->  "
        "np.clip(0, np.rint((images + 1) * 127.5), 255)": "the larger of 0 and x, either way round",
    },
    "07.2": {
        "smoothed_optimal_discriminator: 1  ->  2": REPLACED,
        "smoothed_optimal_discriminator: 1  ->  0": REPLACED,
    },
    "07.3": {
        "minibatch_stddev: (1, 2, 3)  ->  (2, 1, 3)": "a mean over the same axes",
        "minibatch_stddev: (1, 2, 3)  ->  (1, 3, 2)": "a mean over the same axes",
    },
    "07.5": {"update_ema: True  ->  False": "the lists are of one length anyway"},
    "06.1": {"upsampling_plan: 1  ->  0": "sizes that grow at the first step grow at each"},
    "06.3": {
        "batchnorm2d: (0, 2, 3)  ->  (2, 0, 3)": "statistics over the same axes",
        "batchnorm2d: (0, 2, 3)  ->  (0, 3, 2)": "statistics over the same axes",
    },
    "06.4": {"build_generator: False  ->  True": "a bias, which batch norm takes off again"},
    "08.2": {
        "inception_score: 1  ->  0": REPLACED,
        "inception_score: 1  ->  2": REPLACED,
        "inception_score: average > 0  ->  average >= 0": REPLACED,
    },
}
