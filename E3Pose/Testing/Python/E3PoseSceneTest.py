"""Unit tests that Slicer's own test driver runs inside Slicer; none needs PyTorch."""

import unittest

import numpy as np
import slicer

from E3PoseLib import mrml
from E3PoseLib.errors import OutputError, TransformError, VolumeError


class E3PoseSceneTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def add_volume(self, class_name="vtkMRMLScalarVolumeNode", shape=(10, 12, 14)):
        node = slicer.mrmlScene.AddNewNodeByClass(class_name)
        slicer.util.updateVolumeFromArray(node, np.random.default_rng(0).random(shape))
        return node

    def test_refuses_what_is_no_scan(self):
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty one")
        for node, words in (
            (None, "no input volume"),
            (empty, "empty"),
            (self.add_volume("vtkMRMLLabelMapVolumeNode"), "label map"),
            (self.add_volume("vtkMRMLVectorVolumeNode", (10, 12, 14, 3)), "3 values a voxel"),
        ):
            with self.assertRaisesRegex(VolumeError, words):
                mrml.check_volume_node(node)

    def test_refuses_another_modality(self):
        volume = self.add_volume()
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        item = hierarchy.GetItemByDataNode(volume)
        if item == hierarchy.GetInvalidItemID():  # without the application nobody has made it
            item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
        hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
        mrml.check_volume_node(volume)
        hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
        with self.assertRaisesRegex(VolumeError, "modality CT"):
            mrml.check_volume_node(volume)

    def test_refuses_the_scan_s_own_transform(self):
        volume = self.add_volume()
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        mrml.check_transform_node(transform, volume)
        volume.SetAndObserveTransformNodeID(transform.GetID())
        with self.assertRaisesRegex(TransformError, "sits under the output transform"):
            mrml.check_transform_node(transform, volume)

    def test_results_go_into_their_scan_s_own_nodes_alone(self):
        scan, other = self.add_volume(), self.add_volume()
        result = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        mrml.check_output(result, scan)
        mrml.write_pose(result, {"canonical_to_ras": np.eye(4).tolist()}, mrml.ALIGN_VOLUME, mrml.read_scan(scan))
        mrml.check_output(result, scan)
        copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        copy.Copy(result)
        for node, volume, words in (
            (result, other, "a result of another scan"),
            (copy, scan, "a copy of a result"),
            (other, scan, "holds something else"),
            (scan, scan, "the scan itself"),
        ):
            with self.assertRaisesRegex(OutputError, words):
                mrml.check_output(node, volume, chosen=True)

    def test_a_plain_transform_is_no_pose(self):
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        self.assertIsNone(mrml.read_result(transform))
        with self.assertRaisesRegex(TransformError, "no head pose"):
            mrml.head_pose(transform)


if __name__ == "__main__":
    unittest.main()
