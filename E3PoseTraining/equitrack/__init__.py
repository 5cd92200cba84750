"""EquiTrack: points that turn with a head, and the rotation between two frames of it from them.

May import `E3PoseLib`, `augmentation`, `data`, `models`, `training`, `regression` and `localisation`. Start with
`points.py`; `frames.py` is what the network sees, `module.py` a training step, `run.py` its part of the command
`train_methods`.
"""
