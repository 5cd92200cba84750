"""Networks that find the head's rotation without equivariance, trained side by side with an E(3)-CNN on the same crops.

May import `E3PoseLib`, `augmentation`, `data`, `models` and `training`. Start with `networks.py`; `module.py` is a
training step of all of them, `run.py` the command `train_methods`, `weights.py` their files.
"""
