"""The module's self-test, which Slicer's button *Reload and Test* runs."""

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from E3PoseLib import mrml
from E3PosePanel.logic import E3PoseLogic
from E3PosePanel.sample_data import SYNTHETIC_FILE, syntheticPose


class E3PoseTest(ScriptedLoadableModuleTest):
    """The self-test: what the module does in a scene, on the synthetic scan, whose pose is known; needs no PyTorch."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_poseInScene()

    def test_poseInScene(self):
        """The true pose turns views and volume upright."""
        self.delayDisplay("Reslicing the synthetic scan by its true pose")
        volume = slicer.util.loadVolume(str(SYNTHETIC_FILE), {})
        pose = syntheticPose()
        logic = E3PoseLogic()
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        scan = logic.readScan(volume, transform)
        mrml.write_pose(transform, {"canonical_to_ras": pose.tolist()}, mrml.ALIGN_VOLUME, scan)
        self.assertTrue(np.allclose(mrml.head_pose(transform), pose))

        upright = logic.resliceVolume(volume, transform, spacing=3.0)
        voxels = mrml.voxels(upright).astype(float)
        likeness = [np.corrcoef(voxels.ravel(), np.flip(voxels, axis).ravel())[0, 1] for axis in range(3)]
        # Right and left of a head are much alike, front and back less, top and bottom hardly.
        self.assertGreater(likeness[0], 0.6)
        self.assertLess(likeness[1], 0.5)
        self.assertLess(likeness[2], 0.2)

        before = logic.showStandardPlanes(transform)
        volume.SetAndObserveTransformNodeID(transform.GetID())
        self.assertTrue(np.allclose(mrml.head_pose(transform), np.eye(4), atol=1e-6))
        mrml.restore_planes(slicer.mrmlScene, before)
        self.delayDisplay("Test passed")
