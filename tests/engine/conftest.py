"""PyTorch, where it is installed, runs on one thread: the tests' arrays are tiny."""

try:
    import torch
except ImportError:
    pass
else:
    torch.set_num_threads(1)
