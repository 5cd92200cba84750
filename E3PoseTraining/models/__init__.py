"""From the weights of trained networks to one model file, and back to the beginning of a training.

May import `E3PoseLib` and `data`. Start with `weights.py`. `join`, `average` and `card` are commands as well.
"""
