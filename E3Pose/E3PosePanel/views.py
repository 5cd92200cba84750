"""What the views show: the selected scan and its results, where a person has not arranged them otherwise."""

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from E3PoseLib import mrml


class Views(VTKObservationMixin):
    """Brings the selected scan and its mask before the eye, and says in ``label`` where a view shows something else.

    Masks of other scans are hidden, not deleted: selecting their scan shows them again.
    """

    def __init__(self, label):
        VTKObservationMixin.__init__(self)
        self._label = label
        self._volume = None

    def setVolume(self, volume) -> None:
        """Take over a scan that was selected before the panel came, as in a loaded scene: its views stay as they are.

        Those that show nothing show the scan.
        """
        self._volume = volume
        if volume is not None and not any(node.GetBackgroundVolumeID() for node in self._composites()):
            self.show(volume)
        elif volume is not None:
            self.showMasks()
        self.refresh()

    def select(self, volume) -> None:
        """Show another scan where the one selected before was shown."""
        previous, self._volume = self._volume, volume
        if volume is not None:
            self.show(volume, previous)
        self.refresh()

    def show(self, volume, previous=None) -> None:
        """Show a scan and its mask, and fit the views to it that showed another one."""
        for name in mrml.show_scan(slicer.mrmlScene, volume, previous):
            logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)
            if logic is not None:
                logic.FitSliceToBackground()
        self.showMasks()

    def showMasks(self) -> None:
        """Of all brain masks in the scene leave the selected scan's visible."""
        mrml.show_only_masks_of(slicer.mrmlScene, self._volume)

    def stop(self) -> None:
        """Follow the views no longer."""
        self._volume = None
        self.removeObservers()
        self.refresh()

    def refresh(self, caller=None, event=None) -> None:
        """Say which views show something else than the selected scan."""
        if mrml.is_set(self._volume):
            for node in self._composites():
                if not self.hasObserver(node, vtk.vtkCommand.ModifiedEvent, self.refresh):
                    self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.refresh)
            others = mrml.views_of_others(slicer.mrmlScene, self._volume)
        else:
            others = {}
        self._label.visible = bool(others)
        if others:
            shown = ", ".join(
                _("{view} shows '{volume}'").format(view=view, volume=volume)
                if volume
                else _("{view} is empty").format(view=view)
                for view, volume in others.items()
            )
            self._label.text = _("Not in all views: {shown}.").format(shown=shown)

    @staticmethod
    def _composites() -> list:
        return list(mrml.slice_composites(slicer.mrmlScene).values())
