"""What is said of how sure a pose is, once the stack stands with the others; which stacks are one and the same."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import make_head
from scipy.spatial.transform import Rotation
from storages import orientations, stored

from E3PoseLib.alignment.consensus import Placed
from E3PoseLib.alignment.stack import PosedStack
from E3PoseLib.errors import VolumeError
from E3PoseLib.imaging.geometry import rigid
from E3PoseLib.running.align.together import _aligned, check_another

OWN = rigid(np.eye(3), [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("degrees", "mm", "bounds", "level"),
    [
        (4.0, 2.0, (5.0, 3.0), "high"),
        (7.0, 0.0, (5.0, 3.0), "low"),
        (0.0, 4.0, (5.0, 3.0), "low"),
        (7.0, 4.0, None, "high"),
        (20.0, 0.0, (25.0, 3.0), "low"),
    ],
)
def test_a_pose_outside_of_what_was_told_of_the_own_one_is_not_sure(degrees, mm, bounds, level):
    turn = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    volume = make_head()
    stack = PosedStack("own", volume, OWN, np.ones(volume.shape, np.uint8))
    # What is told is wider, as it counts in what landmarks are off.
    confidence = {"level": "high", "probability": 0.99, "bound_degrees": 45.0, "bound_mm": 30.0}
    result = {"canonical_to_ras": OWN.tolist(), "confidence": confidence, "warnings": ["cut"]}
    found = _aligned(result, Placed(stack, OWN @ rigid(turn, [0, mm, 0]), 0.9), bounds)
    assert found["confidence"]["level"] == level
    assert (found["confidence"]["probability"] is None) == (level == "low")
    assert found["warnings"][-1] == "cut" and f"{degrees:.1f}° and {mm:.1f} mm from" in found["warnings"][0]


@pytest.mark.parametrize("orientation", list(orientations())[::7])
def test_a_stack_is_the_same_however_it_is_stored(orientation):
    scan = make_head(shape=(20, 22, 12))
    copy = stored(scan, orientation)
    rounding = np.random.default_rng(0).normal(0, 1e-7, (3, 4))
    rounded = replace(copy, voxel_to_ras=copy.voxel_to_ras + np.vstack([rounding, np.zeros(4)]))
    with pytest.raises(VolumeError, match="is the same stack as"):
        check_another(rounded, scan)
    check_another(replace(copy, array=copy.array + (copy.array == copy.array.max())), scan)
    check_another(replace(copy, voxel_to_ras=rigid(np.eye(3), [0, 0, 1.0]) @ copy.voxel_to_ras), scan)


def test_voxels_that_are_no_numbers_do_not_make_a_stack_another():
    scan = make_head(shape=(20, 22, 12))
    array = scan.array.astype(np.float32)
    array[:3] = np.nan
    with pytest.raises(VolumeError, match="is the same stack as"):
        check_another(replace(scan, array=array), replace(scan, array=array.copy()))
