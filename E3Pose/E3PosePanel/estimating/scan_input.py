"""The selected scan: followed as it changes, and what is said of it under its selector."""

import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PosePanel.observed import Observed


class ScanInput:
    """Follows a scan: its voxels may come after its node, a sequence plays, a transform is applied.

    ``label`` tells the time point of a sequence; ``onChanged()`` is called at each change.
    """

    def __init__(self, label, onChanged):
        self._label = label
        self._onChanged = onChanged
        self._observed = Observed(self._onVolumeChanged, *mrml.SCAN_EVENTS)

    @property
    def volume(self):
        """The scan that is followed, or None."""
        return self._observed.node

    def follow(self, volume) -> None:
        """Follow another scan, or none."""
        self._observed.take(volume)
        self.refresh()

    def refresh(self) -> None:
        """Tell which time point is shown."""
        found = mrml.time_point(self.volume) if mrml.is_set(self.volume) else None
        self._label.visible = found is not None
        if found is not None:
            self._label.text = _("Time point {index} of {count}").format(index=found[0], count=found[1])

    def _onVolumeChanged(self, caller, event) -> None:
        self.refresh()
        self._onChanged()


def scanToBeginWith():
    """The scan in the views, or else the first of the scene; None where there is none."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    volumes = [node for node in volumes if node.GetClassName() == "vtkMRMLScalarVolumeNode"]  # no label maps
    scans = [node for node in volumes if not node.GetHideFromEditors()]
    shown = mrml.volume_in_views(slicer.mrmlScene)
    return shown if shown in scans else next(iter(scans), None)
