"""Networks that find the head's rotation by other ways, trained side by side with an E(3)-CNN on the same crops.

May import `E3PoseLib`, `augmentation`, `data`, `models` and `training`. Start with `networks.py`, then `places.py`,
registration by regression, and `equivariant.py`, the ablations of the E(3)-CNN; `named.py` lists all, `module.py` is a
training step of all of them, `run.py` the command `train_methods`, `weights.py` their files.
"""
