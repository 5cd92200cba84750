"""How far a model's answers can be trusted: poses that are known, the doubts about the estimates, and what these tell.

May import `E3PoseLib`, `data`, `models`, `synthesis` and `evaluation`. Start with `fitting.py`; the command is
``python -m E3PoseTraining.calibrate``.
"""
