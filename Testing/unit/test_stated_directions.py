"""How NRRD and MetaImage files lie in the patient: read as they state it, and doubted where they do not."""

from itertools import permutations, product

import numpy as np
import pytest

from E3PoseLib.imaging.geometry import LPS_TO_RAS
from E3PoseLib.imaging.volume import count_frames, read_volume

SimpleITK = pytest.importorskip("SimpleITK", reason="needs the optional package SimpleITK")

AFFINE = np.array([[0, -3.0, 0, 20], [2.5, 0, 0.3, -30], [-0.25, 0, 3.5, 40], [0, 0, 0, 1]])
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
MATRIX = "0 0 1 -1 0 0 0 1 0"


@pytest.fixture(scope="module")
def voxels():
    return np.random.default_rng(0).integers(0, 1000, (16, 14, 12)).astype(np.int16)


def check(scan, array, linear, origin):
    np.testing.assert_array_equal(scan.array, array)
    np.testing.assert_allclose(scan.voxel_to_ras[:3], np.column_stack([linear, origin]), atol=1e-5)


def nrrd(path, array, space, with_time=False):
    """A NRRD file whose matrix is `AFFINE` in the space that it names; with time it has two frames."""
    affine, shape = AFFINE, array.shape
    if with_time:
        array, shape = np.stack([array, array + 1], -1), (*shape, 2)
        affine = np.insert(np.insert(AFFINE, 3, 0, axis=0), 3, 0, axis=1)
        affine[3, 3] = 1
    *directions, origin = (f"({','.join(map(str, column[:-1]))})" for column in affine.T)
    lines = ["NRRD0004", "type: short", f"dimension: {len(shape)}", space, f"sizes: {' '.join(map(str, shape))}"]
    lines += [f"space directions: {' '.join(directions)}", f"space origin: {origin}", "endian: little", "encoding: raw"]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + array.astype("<i2").tobytes(order="F"))
    return path


def metaimage(folder, array, stated, detached=False):
    """A MetaImage with a line of the header as it is given."""
    header = f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n{stated}\n"
    header += f"Offset = 5 6 7\nElementSpacing = 2 2.5 3\nDimSize = {' '.join(map(str, array.shape))}\n"
    header += f"ElementType = MET_SHORT\nElementDataFile = {'scan.raw' if detached else 'LOCAL'}\n"
    content = array.astype("<i2").tobytes(order="F")
    (folder / "scan.raw").write_bytes(content)
    path = folder / ("scan.mhd" if detached else "scan.mha")
    path.write_bytes(header.encode() + (b"" if detached else content))
    return path


@pytest.mark.parametrize(
    ("space", "to_ras"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("left-posterior-superior-time", (-1, -1, 1)),
        ("right-anterior-superior-time", (1, 1, 1)),
        ("RAST", (1, 1, 1)),
        ("left-anterior-superior-time", (-1, 1, 1)),
    ],
)
def test_every_space_of_nrrd_that_is_the_patients_is_read(voxels, tmp_path, space, to_ras):
    path = nrrd(tmp_path / "scan.nrrd", voxels, f"space: {space}", with_time=space.endswith(("time", "T")))
    assert count_frames(path) == (2 if space.endswith(("time", "T")) else 1)
    scan = read_volume(path, frame=0)
    check(scan, voxels, np.diag(to_ras) @ AFFINE[:3, :3], to_ras * AFFINE[:3, 3])
    assert scan.doubts == ()


@pytest.mark.parametrize(
    "space",
    [f"{space}{time}" for space in ("scanner-xyz", "3D-right-handed", "3D-left-handed") for time in ("", "-time")]
    + ["space dimension: 3", "space dimension: 4"],
)
def test_a_space_of_nrrd_that_is_not_the_patients_is_doubted(voxels, tmp_path, space):
    stated = space if ":" in space else f"space: {space}"
    scan = read_volume(nrrd(tmp_path / "scan.nrrd", voxels, stated, with_time=space.endswith(("time", "4"))), frame=0)
    np.testing.assert_array_equal(scan.array, voxels)
    assert ["no space of the patient" in doubt for doubt in scan.doubts] == [True]


@pytest.mark.parametrize(
    ("stated", "matrix"),
    [(f"{key} = {MATRIX}", MATRIX) for key in ("TransformMatrix", "Rotation", "Orientation")]
    + [(f"  TransformMatrix:{MATRIX}\r", MATRIX), (f"AnatomicalOrientation = RAI\nTransformMatrix = {MATRIX}", MATRIX)]
    + [("AnatomicalOrientation = RAI", "1 0 0 0 1 0 0 0 1")],
)
def test_directions_of_metaimage_may_be_stated_in_any_way_of_the_format(voxels, tmp_path, stated, matrix):
    scan = read_volume(metaimage(tmp_path, voxels, stated))
    direction = np.array(matrix.split(), float).reshape(3, 3).T
    check(scan, voxels, LPS_TO_RAS[:3, :3] @ direction * (2, 2.5, 3), (-5, -6, 7))
    assert scan.doubts == ()


@pytest.mark.parametrize(
    "stated",
    [
        "Comment = none",
        "Comment = TransformMatrix = 1 0 0 0 1 0 0 0 1",
        "transformmatrix = 1 0 0 0 1 0 0 0 1",
        "AnatomicalOrientation = ???",
        "AnatomicalOrientation = LPI",
    ],
)
@pytest.mark.parametrize("detached", [False, True])
def test_a_metaimage_without_directions_is_doubted(voxels, tmp_path, stated, detached):
    scan = read_volume(metaimage(tmp_path, voxels, stated, detached))
    np.testing.assert_array_equal(scan.array, voxels)
    assert ["no TransformMatrix" in doubt for doubt in scan.doubts] == [True]


@pytest.mark.parametrize("name", ["scan.mha", "scan.nrrd"])
def test_whatever_itk_writes_is_read_without_a_doubt(voxels, tmp_path, name):
    made = SimpleITK.GetImageFromArray(voxels.transpose())
    made.SetSpacing((2, 2.5, 3))
    made.SetOrigin((5, 6, 7))
    for axes in permutations(np.eye(3)):
        for signs in product((1, -1), repeat=3):
            direction = TURN @ np.array(axes) * signs
            made.SetDirection(direction.ravel().tolist())
            SimpleITK.WriteImage(made, str(tmp_path / name))
            scan = read_volume(tmp_path / name)
            check(scan, voxels, LPS_TO_RAS[:3, :3] @ direction * (2, 2.5, 3), (-5, -6, 7))
            assert scan.doubts == ()
