"""Training runs: networks with their losses, flags, checkpoints, logs and pictures.

May import `E3PoseLib`, `augmentation`, `data` and `models`. Start with `run.py`; `segmentation.py` and `rotation.py`
are the two kinds of run.
"""
