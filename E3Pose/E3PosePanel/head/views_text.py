"""What is said under the views: where they do not show the selected scan with its pose."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml


def viewsText(volume, upright, pose: np.ndarray | None) -> str:
    """Which views show something else than a scan, and whether the ``upright`` volume that they show, if any, is of
    another pose than the one selected; empty where there is nothing to say.
    """
    sentences = []
    if others := mrml.views_of_others(slicer.mrmlScene, volume):
        shown = ", ".join(
            _("{view} shows '{volume}'").format(view=view, volume=other)
            if other
            else _("{view} is empty").format(view=view)
            for view, other in others.items()
        )
        sentences.append(_("Not in all views: {shown}.").format(shown=shown))
    before = None if upright is None else mrml.pose_of_upright(upright)
    if before is not None and pose is not None and not np.allclose(before, pose, atol=1e-3):
        sentences.append(_("The upright volume is of another pose: reslice again."))
    return " ".join(sentences)
