"""Training runs: modules with their losses, options, checkpoints, and the model file that comes out.

May import `data`, `augmentation` and `E3PoseLib`. Start with `run.py`.
"""
