"""Draws the pictures of the README and the tutorial: the panel after a run, and the views before and after.

    python Testing/host/screenshots.py [SCAN] --model NAME [--pose POSE.npy] [-o FOLDER]

Without a scan, the synthetic one of the sample data is shown. The panel is real and so is its run. With ``--pose``, a
known canonical_to_ras, the views show that pose instead of the model's, to show what the module does with a good one.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing"))

import host  # noqa: E402

PANEL_WIDTH = 460
VIEW_SIZE = 420
BEFORE_VIEW_MM = 300.0


def draw_panel(panel, path: Path) -> None:
    """The panel as a person sees it after a run."""
    panel.parent.resize(PANEL_WIDTH, panel.parent.sizeHint().height())
    panel.parent.show()
    host.start().processEvents()
    panel.parent.grab().save(str(path))


def draw_views(views, path: Path) -> None:
    """The pictures of several views side by side."""
    from PIL import Image

    gap = np.full((VIEW_SIZE, 6, 3), 255, np.uint8)
    columns = [part for view in views for part in (view.picture(), gap)][:-1]
    Image.fromarray(np.hstack(columns)).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="?")
    parser.add_argument("--model", default="default")
    parser.add_argument("--pose", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "Resources" / "Screenshots")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    app = host.start()
    panel = app.open_module(REPOSITORY / "E3Pose" / "E3Pose.py")
    import slicer

    from E3PoseLib import mrml
    from E3PosePanel.sample_data import SYNTHETIC_FILE
    from host.views import SliceView, ThreeDView

    scan = slicer.util.loadVolume(str(arguments.scan or SYNTHETIC_FILE), {})
    panel.ui.inputVolumeSelector.setCurrentNode(scan)
    panel.ui.modelComboBox.currentText = arguments.model
    panel.ui.estimateButton.click()
    app.wait_until(lambda: not panel._run.busy, timeout=600)
    transform = panel.ui.outputTransformSelector.currentNode()
    if transform is None:
        sys.exit(panel.ui.statusLabel.text)
    draw_panel(panel, arguments.output / "panel.png")

    if arguments.pose is not None:
        result = {**mrml.read_result(transform), "canonical_to_ras": np.load(arguments.pose).tolist()}
        mrml.write_pose(transform, result, mrml.ALIGN_VOLUME, mrml.read_scan(scan))
    slicer.util.setSliceViewerLayers(background=scan)
    segmentation = panel.ui.outputSegmentationSelector.currentNode()
    segmentation.GetDisplayNode().SetVisibility2DFill(False)
    brain = mrml.voxels(scan)[exported_mask(segmentation, scan) > 0]
    brightest = 1.6 * np.percentile(brain, 95)
    scan.GetDisplayNode().SetAutoWindowLevel(False)
    scan.GetDisplayNode().SetWindowLevel(brightest, brightest / 2)
    views = [SliceView(name, VIEW_SIZE, VIEW_SIZE) for name in ("Red", "Yellow", "Green")]
    three_d = ThreeDView(VIEW_SIZE, VIEW_SIZE)
    view_node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLViewNode")
    view_node.SetBoxVisible(False)
    view_node.SetAxisLabelsVisible(False)
    show_axes(mrml.head_pose(transform))

    centre = mrml.head_pose(transform)[:3, 3]
    for view in views:
        node = view.logic.GetSliceNode()
        node.SetFieldOfView(BEFORE_VIEW_MM, BEFORE_VIEW_MM, 1)
        node.JumpSliceByCentering(*centre)
    for node in mrml.slice_nodes(slicer.mrmlScene).values():
        node.SetSliceVisible(True)
    three_d.look_from((1.2, 2.2, 1.0), (0, 0, 1), centre, 700)
    draw_views([*views, three_d], arguments.output / "before.png")

    panel.ui.standardPlanesButton.checked = True
    pose = mrml.head_pose(transform)
    three_d.look_from(pose[:3, :3] @ (1.2, 2.2, 1.0), pose[:3, 2], centre, 500)
    draw_views([*views, three_d], arguments.output / "after.png")
    panel.cleanup()


def exported_mask(segmentation, scan) -> np.ndarray:
    """The brain mask on the scan's grid, by Slicer's own export."""
    import slicer

    from E3PoseLib import mrml

    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.ExportVisibleSegmentsToLabelmapNode(segmentation, labels, scan)
    return mrml.voxels(labels)


def show_axes(pose: np.ndarray) -> None:
    """Arrows along the head's right (red), anterior (green) and superior (blue)."""
    import slicer
    import vtk

    for column, colour in enumerate(((0.9, 0.2, 0.2), (0.2, 0.7, 0.3), (0.25, 0.45, 0.95))):
        arrow = vtk.vtkArrowSource()
        arrow.SetTipResolution(32)
        arrow.SetShaftResolution(32)
        arrow.SetShaftRadius(0.02)
        arrow.SetTipRadius(0.06)
        across = np.roll(pose[:3, :3], -column, axis=1)
        matrix = np.eye(4)
        matrix[:3, :3] = 90.0 * across
        matrix[:3, 3] = pose[:3, 3]
        transform = vtk.vtkTransform()
        transform.SetMatrix(matrix.ravel().tolist())
        turned = vtk.vtkTransformPolyDataFilter()
        turned.SetTransform(transform)
        turned.SetInputConnection(arrow.GetOutputPort())
        turned.Update()
        model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
        model.SetAndObservePolyData(turned.GetOutput())
        model.CreateDefaultDisplayNodes()
        model.GetDisplayNode().SetColor(*colour)


if __name__ == "__main__":
    main()
