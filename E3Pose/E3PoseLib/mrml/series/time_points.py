"""The time points of a scan that a sequence browser drives, read without turning the browser to them."""

from dataclasses import dataclass

import numpy as np

from E3PoseLib.errors import VolumeError
from E3PoseLib.imaging.geometry import has_orthogonal_axes
from E3PoseLib.mrml.matrices import fingerprint, nodes_of_class, parent_to_world, voxel_to_parent, voxels
from E3PoseLib.mrml.outputs import is_in_sequence
from E3PoseLib.mrml.scan import Scan, check_modality, check_voxels, place_of_item

SECONDS_A_UNIT = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3, "min": 60.0}
"""Units of a sequence's index that are of time."""


@dataclass(frozen=True)
class TimePoints:
    """The sequence of a scan, and the browser that plays it.

    Parameters
    ----------
    volume_node : vtkMRMLScalarVolumeNode
        That shows one of them.
    browser : vtkMRMLSequenceBrowserNode
    sequence : vtkMRMLSequenceNode
    """

    volume_node: object
    browser: object
    sequence: object

    def __len__(self) -> int:
        return self.sequence.GetNumberOfDataNodes()

    def value(self, index: int) -> str:
        """The index value of a time point, as sequences name it."""
        return self.sequence.GetNthIndexValue(index)

    def index_of(self, value: str) -> int | None:
        """Which time point has an index value; None where it was taken out of the sequence."""
        index = self.sequence.GetItemNumberFromIndexValue(value)
        return index if index >= 0 else None

    @property
    def times(self) -> np.ndarray:
        """The index values as numbers ``[T]``; counted from 0 where they are none."""
        try:
            return np.array([float(self.value(index)) for index in range(len(self))])
        except ValueError:
            return np.arange(len(self), dtype=float)

    def seconds(self, index: int) -> float | None:
        """When a time point was taken, in seconds from any beginning; None where the sequence does not say."""
        a_unit = SECONDS_A_UNIT.get((self.sequence.GetIndexUnit() or "").strip().lower())
        times = self.times
        return None if a_unit is None or not (np.diff(times) > 0).all() else float(times[index]) * a_unit

    @property
    def axis_title(self) -> str:
        """What the times are."""
        name, unit = self.sequence.GetIndexName() or "time", self.sequence.GetIndexUnit()
        return f"{name} ({unit})" if unit else name

    @property
    def shown(self) -> int | None:
        """The time point that the browser has selected, None where it has none."""
        selected = self.browser.GetSelectedItemNumber()
        master = self.browser.GetMasterSequenceNode()
        if selected < 0 or master is None:
            return None
        return self.index_of(master.GetNthIndexValue(selected))

    def read(self, index: int) -> Scan:
        """One time point as a scan, in the world where its volume node lies now.

        Raises
        ------
        VolumeError
            It is no scan, or the volume node sits under a transform that warps, shears or is itself played.
        """
        node, item = self.volume_node, self.sequence.GetNthDataNode(index)
        name = f"{node.GetName()}, time point {index + 1}"
        check_modality(node)
        check_voxels(item, f"volume '{name}'")
        parent = node.GetParentTransformNode()
        while parent is not None:
            if is_in_sequence(parent):
                raise VolumeError(f"volume '{node.GetName()}' sits under a transform that is played too: take it out")
            parent = parent.GetParentTransformNode()
        outer = parent_to_world(node)
        if outer is None or not has_orthogonal_axes(outer @ voxel_to_parent(item)):
            raise VolumeError(f"volume '{node.GetName()}' sits under a warp or a shear: take it out")
        scalars = item.GetImageData().GetPointData().GetScalars()
        return Scan(
            voxels(item),
            outer @ voxel_to_parent(item),
            name,
            node.GetID(),
            voxel_to_parent(item),
            node.GetTransformNodeID(),
            {**place_of_item(item, outer, (index + 1, len(self))), "voxels": fingerprint(item)},
            None,
            scalars,
            scalars.GetMTime(),
        )


def find_time_points(volume_node) -> TimePoints | None:
    """The time points of a volume node; None where no browser drives it."""
    for browser in nodes_of_class(volume_node.GetScene(), "vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(volume_node)
        if sequence is not None and sequence.GetNumberOfDataNodes() > 0:
            return TimePoints(volume_node, browser, sequence)
    return None
