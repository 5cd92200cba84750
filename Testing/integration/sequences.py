"""The phantom as a sequence that a browser plays."""

import numpy as np

from .conftest import add_phantom

SHIFTS = (0.0, 3.0, 6.0, 9.0, 12.0)
"""By how much the phantom lies further to the right at each time point, mm."""


class Sequence:
    """The phantom at five time points, 2.5 s apart, in a browser that shows the first; or another scan."""

    def __init__(self, scene, spoiled: int | None = None, scan=None, shifts=SHIFTS):
        import slicer

        self.scene = scene
        self.scan = scan or add_phantom(scene, "bold", step=3)
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "bold sequence")
        sequence.SetIndexName("time")
        sequence.SetIndexUnit("s")
        self.voxel_to_ras = slicer.util.arrayFromVTKMatrix(self._matrix())
        for index, shift in enumerate(shifts):
            moved = self.voxel_to_ras.copy()
            moved[0, 3] += shift
            self.scan.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(moved))
            sequence.SetDataNodeAtValue(self.scan, str(2.5 * index))
            if index == spoiled:
                item = sequence.GetNthDataNode(index)
                slicer.util.updateVolumeFromArray(item, np.ones((4, 4, 4), np.int16))
        self.browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "bold browser")
        self.browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        self.browser.AddProxyNode(self.scan, sequence, False)
        self.browser.SetSelectedItemNumber(0)

    def _matrix(self):
        import vtk

        matrix = vtk.vtkMatrix4x4()
        self.scan.GetIJKToRASMatrix(matrix)
        return matrix

    def play(self, index: int) -> None:
        self.browser.SetSelectedItemNumber(index)


def outputs(panel):
    return panel.ui.outputTransformSelector.currentNode(), panel.ui.outputSegmentationSelector.currentNode()
