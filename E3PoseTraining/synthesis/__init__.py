"""Synthetic scans of a fetus in the uterus, with labels and exact head poses, to train and test on.

May import `E3PoseLib` alone; writes no file. Start with `generator.py`.

>>> from E3PoseTraining.synthesis import FetalHeadGenerator
>>> scan = FetalHeadGenerator(seed=7)(0)          # the same scan for ever
>>> scan.image.shape == scan.labels.shape
True
"""

from .generator import FetalHeadGenerator, SyntheticScan

__all__ = ["FetalHeadGenerator", "SyntheticScan"]
