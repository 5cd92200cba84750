"""Aligned stacks side by side: a column for each, a row for each standard plane of the head."""

import numpy as np

from E3PoseLib.errors import TransformError
from E3PoseLib.mrml.head_now import head_pose
from E3PoseLib.mrml.masks.shown import show_only_masks
from E3PoseLib.mrml.saved_views import of_layout
from E3PoseLib.mrml.stacks.results import AlignedStack, Alignment
from E3PoseLib.mrml.views import COMPARISON_VIEW, STANDARD_PLANES, turn_to_plane

FIRST_LAYOUT = 7300
"""Number of the layout with one column, as Slicer knows layouts by; that with two is the next."""

MOST_COMPARED = 6
"""Columns that a screen has room for."""

FIRST_VIEW_GROUP = 7300
"""Slice views of one column are linked with each other, not with those of another stack."""

COLOURS = {"Red": "#F34A33", "Yellow": "#EDD54C", "Green": "#6EB04B"}
"""Of Slicer's views with these planes."""


def register_layouts(scene) -> None:
    """Tell a scene's layout node, where there is one, what the comparisons look like."""
    node = layout_node(scene)
    for columns in range(1, MOST_COMPARED + 1) if node is not None else ():
        if not node.IsLayoutDescription(FIRST_LAYOUT + columns - 1):
            node.AddLayoutDescription(FIRST_LAYOUT + columns - 1, _description(columns))


def layout_node(scene):
    """The node that says which views are shown; None without a window."""
    return scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")


def is_compared(scene) -> bool:
    """Whether the layout is one of a comparison."""
    node = layout_node(scene)
    return node is not None and 0 <= node.GetViewArrangement() - FIRST_LAYOUT < MOST_COMPARED


def compared_stacks(alignment: Alignment) -> list[AlignedStack]:
    """The stacks of an alignment that a comparison shows, best first: those with a pose, as many as there is room for.

    One whose transform is no pose any more, or whose scan was warped, has none.
    """
    found = []
    for stack in alignment.stacks:
        try:
            if stack.volume is not None and stack.volume.GetImageData() is not None:
                head_pose(stack.transform)
                found.append(stack)
        except TransformError:
            continue
    return found[:MOST_COMPARED]


def show_comparison(scene, stacks: list[AlignedStack]) -> None:
    """Change to the layout that compares stacks, and show each with its own mask in the planes of its head."""
    register_layouts(scene)
    _change_layout(scene, FIRST_LAYOUT + len(stacks) - 1)
    for column, stack in enumerate(stacks):
        view_ids = []
        for name in STANDARD_PLANES:
            view = of_layout(scene, "vtkMRMLSliceNode", _view_name(column, name))
            composite = of_layout(scene, "vtkMRMLSliceCompositeNode", _view_name(column, name))
            composite.SetDoPropagateVolumeSelection(False)  # a volume that is loaded next is not shown here
            composite.SetBackgroundVolumeID(stack.volume.GetID())
            view_ids.append(view.GetID())
        _show_only_in(stack.segmentation, view_ids)
    turn_comparison(scene, stacks)
    show_compared_masks(scene, stacks)


def turn_comparison(scene, stacks: list[AlignedStack]) -> None:
    """Turn each column to the planes of the head where it lies now."""
    for column, stack in enumerate(stacks):
        for name in STANDARD_PLANES:
            view = of_layout(scene, "vtkMRMLSliceNode", _view_name(column, name))
            turn_to_plane(view, name, head_pose(stack.transform))


def show_compared_masks(scene, stacks: list[AlignedStack]) -> None:
    """Hide all brain masks but those of the stacks that are compared."""
    segmentations = [stack.segmentation for stack in stacks]
    show_only_masks(scene, lambda segmentation_node, _scan: segmentation_node in segmentations)


def end_comparison(scene, alignments: list[Alignment], layout_before: int) -> None:
    """Change back to a layout, where a comparison is shown still; masks show in all views again."""
    if is_compared(scene):
        _change_layout(scene, layout_before)
    for stack in (stack for alignment in alignments for stack in alignment.stacks):
        _show_only_in(stack.segmentation, [])


def poses_of(stacks: list[AlignedStack]) -> np.ndarray:
    """Where the heads lie now, canonical_to_world [N, 4, 4]."""
    return np.array([head_pose(stack.transform) for stack in stacks])


def _change_layout(scene, layout: int) -> None:
    """Change the layout and let all of it be seen: a view that a person has maximised would stay the only one."""
    node = layout_node(scene)
    node.RemoveAllMaximizedViewNodes()
    node.SetViewArrangement(layout)


def _show_only_in(segmentation, view_ids: list[str]) -> None:
    """Show a segmentation in some views alone; in all without any."""
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    if display is None:
        return
    was_modifying = display.StartModify()
    display.RemoveAllViewNodeIDs()
    for view_id in view_ids:
        display.AddViewNodeID(view_id)
    display.EndModify(was_modifying)


def _view_name(column: int, plane: str) -> str:
    return f"{COMPARISON_VIEW}{column + 1}{STANDARD_PLANES[plane]}"


def _description(columns: int) -> str:
    """A layout in Slicer's XML: a row of views for each plane."""
    rows = []
    for plane, orientation in STANDARD_PLANES.items():
        views = "".join(
            f'<item><view class="vtkMRMLSliceNode" singletontag="{_view_name(column, plane)}">'
            f'<property name="orientation" action="default">{orientation}</property>'
            f'<property name="viewlabel" action="default">{column + 1}{orientation[0]}</property>'
            f'<property name="viewcolor" action="default">{COLOURS[plane]}</property>'
            f'<property name="viewgroup" action="default">{FIRST_VIEW_GROUP + column}</property></view></item>'
            for column in range(columns)
        )
        rows.append(f'<item><layout type="horizontal">{views}</layout></item>')
    return f'<layout type="vertical" split="true">{"".join(rows)}</layout>'
