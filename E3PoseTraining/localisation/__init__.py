"""U-Nets that find the brain: one that commutes with rotations, and a plain one, trained on upright heads alone.

May import `E3PoseLib`, `augmentation`, `data`, `models`, `training` and `regression`. Start with `networks.py`;
`heads.py` is what they see, `module.py` a training step of both side by side, `run.py` their part of the command
`train_methods`; `second_look.py` finds the brain with one of them.
"""
