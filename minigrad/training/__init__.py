"""Learning-rate schedules and augmentation, arguments of `minigrad.solver.Solver`.

Each schedule is a function of the step, counted from 0, to a learning rate; each augmentation a function
``augment(X, rng) -> X`` of a minibatch of images (N, C, H, W) and a `numpy.random.Generator`. Square images
(N, H, W, C) of 1 or 3 channels are refused.
"""

from .augmentation import chain, cutout, flip, shift
from .schedules import cosine, step_decay, warmup

__all__ = ["chain", "cosine", "cutout", "flip", "shift", "step_decay", "warmup"]
