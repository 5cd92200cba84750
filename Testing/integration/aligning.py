"""Three stacks of one head in the scene, and what aligns them at once."""

import copy
import zlib

import pytest
from stacks import moved

MOTION = {"a": moved(0, 0, 0), "b": moved(30, 25, 1), "c": moved(50, 30, 2)}
"""Of the head between the stacks, which are otherwise the same."""


@pytest.fixture
def stacks(scene):
    """Three stacks of one head in the scene."""
    from E3PoseLib import mrml

    from .conftest import add_phantom

    layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutConventionalView)
    found = []
    for name, motion in MOTION.items():
        node = add_phantom(scene, name, step=3)
        node.SetIJKToRASMatrix(mrml.to_vtk(motion @ mrml.voxel_to_parent(node)))
        found.append(node)
    return found


@pytest.fixture(scope="session")
def bring_together():
    """What aligns stacks; the same ones, as most tests have them, once."""
    from E3PoseLib.running.align.together import align_volumes
    from E3PoseLib.running.session import Session

    session, known = Session(), {}

    def aligned(volumes, *arguments):
        stacks = [(one.name, zlib.crc32(one.array.tobytes()), one.voxel_to_ras.tobytes()) for one in volumes]
        key = repr((stacks, arguments))
        if key not in known:
            files = [None] * len(volumes)
            known[key] = align_volumes(session, volumes, files, *arguments, lambda stage, fraction: None)
        return copy.deepcopy(known[key])

    return aligned


@pytest.fixture
def align(panel, installed_model, bring_together, monkeypatch, two_steps):
    """``align()`` clicks on Align stacks and writes the answer, which no other process computes; what is done meanwhile
    goes between ``align.begin()`` and ``align.end()``."""
    from E3PoseLib.running.align import together

    waiting = []
    # Poses alone are the matter here; registration has its own tests.
    monkeypatch.setattr(together, "can_register", lambda: False)

    def answer(scans, model, options, onFinished, onFailed, isWanted):
        volumes = [scan.volume for scan in scans]

        def finish():
            from E3PoseLib.errors import E3PoseError

            try:
                isWanted()
                found, masks = bring_together(volumes, model, options)
            except E3PoseError as error:
                onFailed(error)
            else:
                onFinished(found, *masks)

        waiting.append(finish)

    monkeypatch.setattr(panel._run, "align", answer)

    return two_steps(panel, panel.ui.alignButton, waiting)


def check(panel, *names) -> None:
    import qt

    offered = panel.ui.stacksListWidget
    for row in range(offered.count):
        wanted = offered.item(row).text() in names
        offered.item(row).setCheckState(qt.Qt.Checked if wanted else qt.Qt.Unchecked)


def listed(panel) -> list[str]:
    offered = panel.ui.stacksListWidget
    return [offered.item(row).text() for row in range(offered.count)]


def made_by_alignment(scene) -> list:
    from E3PoseLib import mrml

    (found,) = mrml.alignments(scene)
    return [node for stack in found.stacks for node in (stack.transform, stack.segmentation)]


def hierarchy(scene):
    import slicer

    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


@pytest.fixture
def aligned(panel, stacks, align):
    check(panel, *MOTION)
    align()
    assert panel.ui.statusLabel.text.startswith("Done: 3 of 3 stacks aligned."), panel.ui.statusLabel.text
    return panel
