"""Training, synthesis and evaluation for E3Pose, without a screen and without Slicer.

Rooms, from the ground up: `synthesis` and `augmentation`; `data`; `models`; `training`, `evaluation` and `methods`.
Each may import `E3PoseLib` and the rooms before it, which import-linter checks. The files here are commands: a parser
and one call. Start with `train_unet.py`.
"""
