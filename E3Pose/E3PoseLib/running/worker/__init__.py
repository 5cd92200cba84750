"""A process of its own that estimates poses for Slicer's window: its two ends, and what passes between them.

May import `running` and what is below it. Start with `host.py`, the end in the window; `process.py` is the other one.
"""

from .host import PoseWorker
from .messages import Failed, Finished, Progress

__all__ = ["Failed", "Finished", "PoseWorker", "Progress"]
