"""Ways to find the head's pose that E(3)-Pose is compared with, each by its name, all with the outputs of ``estimate``.

May import `E3PoseLib`, `augmentation`, `data`, `models`, `training` and
`regression`. Start with `method.py`, what a method is;
`registry.py` lists them; `command.py` is ``e3pose estimate --method NAME``. docs/methods.md shows how to write one.
"""
