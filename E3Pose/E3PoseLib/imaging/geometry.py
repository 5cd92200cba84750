"""Frames, rigid poses and the files that hold them.

World is RAS in millimetres; points are column vectors; a matrix ``a_to_b`` takes points of frame a to frame b.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import ArrayLike

from ..errors import TransformError
from .files import whole_file

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From LPS, the world of ITK and DICOM, to RAS and back: the matrix is its own inverse."""

MINIMUM_EDGE_VOXELS = 8
"""Of a scan's shortest edge: a single slice, or a few, show no head's pose."""

RIGHT_ANGLE_TOLERANCE = 0.01
"""Largest cosine between two voxel axes that count as orthogonal: half a degree off a right angle."""

LEAST_DETERMINANT = 0.1
"""Of the direction cosines of a grid; below, the axes lie nearly in one plane."""

_ITK_HEADER = "#Insight Transform File V1.0"
_ITK_CLASSES = ("AffineTransform_double_3_3", "MatrixOffsetTransformBase_double_3_3")


def rigid(rotation: np.ndarray, translation: ArrayLike) -> np.ndarray:
    """A 4×4 float64 matrix from a 3×3 rotation and a translation in mm.

    >>> rigid(np.eye(3), [1, 2, 3])[:3, 3].tolist()
    [1.0, 2.0, 3.0]
    """
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def invert_rigid(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a 4×4 rigid matrix.

    Raises
    ------
    TransformError
        If the matrix is not rigid: see `check_rigid`.
    """
    matrix = check_rigid(matrix)
    rotation = matrix[:3, :3].T
    return rigid(rotation, -rotation @ matrix[:3, 3])


def check_rigid(matrix: np.ndarray, tolerance: float = 1e-4) -> np.ndarray:
    """Return a matrix as float64 if it is a rotation and a translation.

    Raises
    ------
    TransformError
        If it is not 4×4, not finite, has another last row than 0 0 0 1, is not orthonormal or has determinant −1.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise TransformError(f"a pose is a 4×4 matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1], atol=tolerance):
        raise TransformError(f"a pose has finite entries and the last row 0 0 0 1, got {matrix.tolist()}")
    rotation = matrix[:3, :3]
    if not np.allclose(rotation.T @ rotation, np.eye(3), atol=tolerance):
        raise TransformError(f"the 3×3 part of a pose is orthonormal, got {rotation.tolist()}")
    if np.linalg.det(rotation) < 0:
        raise TransformError("the 3×3 part of a pose is a rotation, this one is a reflection (determinant −1)")
    return matrix


def pose_difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Rotation angle and distance between two poses.

    Parameters
    ----------
    one, other : np.ndarray
        Shape ``[4, 4]``, rigid, mm.

    Returns
    -------
    degrees : float
        Angle of the rotation from A to B, 2 arcsin(‖A − B‖ / √8), in [0, 180].
    mm : float
        Distance between their origins.

    >>> pose_difference(np.eye(4), rigid(np.diag([-1, -1, 1]), [3, 0, 4]))
    (180.0, 5.0)
    """
    apart = np.linalg.norm(one[:3, :3] - other[:3, :3]) / np.sqrt(8)
    return float(np.rad2deg(2 * np.arcsin(min(apart, 1.0)))), float(np.linalg.norm(one[:3, 3] - other[:3, 3]))


def outermost_voxels(mask: np.ndarray) -> np.ndarray:
    """The first and the last voxel of each line of a mask: in any direction it reaches no further than these.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[I, J, K]``, bool.

    Returns
    -------
    np.ndarray
        Shape ``[N, 3]``, indices.
    """
    in_line = mask.any(axis=2)
    lines = mask[in_line]
    ends = (lines.argmax(axis=1), mask.shape[2] - 1 - lines[:, ::-1].argmax(axis=1))
    return np.concatenate([np.column_stack([np.argwhere(in_line), end]) for end in ends])


def transform_points(matrix: np.ndarray, points: ArrayLike) -> np.ndarray:
    """Apply a 4×4 matrix to points of shape ``[..., 3]``."""
    return np.asarray(points) @ matrix[:3, :3].T + matrix[:3, 3]


def voxel_sizes(voxel_to_ras: np.ndarray) -> np.ndarray:
    """Lengths of the three voxel edges, ``[3]``, mm."""
    return np.linalg.norm(np.asarray(voxel_to_ras)[:3, :3], axis=0)


def direction_cosines(voxel_to_ras: np.ndarray) -> np.ndarray:
    """Unit vectors of the voxel axes in RAS, as columns of a 3×3 matrix; determinant −1 for left-handed voxels."""
    return np.asarray(voxel_to_ras)[:3, :3] / voxel_sizes(voxel_to_ras)


def is_grid(voxel_to_ras: np.ndarray) -> bool:
    """Whether a matrix can be that of a scan: finite, with edges of some length that are not (nearly) in one plane."""
    if not np.isfinite(voxel_to_ras).all() or not (voxel_sizes(voxel_to_ras) > 0).all():
        return False
    return bool(abs(np.linalg.det(direction_cosines(voxel_to_ras))) >= LEAST_DETERMINANT)


def has_orthogonal_axes(voxel_to_ras: np.ndarray, tolerance: float = RIGHT_ANGLE_TOLERANCE) -> bool:
    """Whether the voxel axes are at right angles, within ``tolerance`` of the cosine."""
    directions = direction_cosines(voxel_to_ras)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() < tolerance)


def head_axes_to_ras(axes: np.ndarray, voxel_to_ras: np.ndarray) -> np.ndarray:
    """Transform the rotation network's axes from voxel axes to RAS.

    Vectors are multiplied by the direction cosines. The head's right is a pseudovector, which a reflection leaves
    unchanged; it is also multiplied by the sign of their determinant.

    Parameters
    ----------
    axes : np.ndarray
        Shape ``[3, 3]``; rows are the pseudovector x and the vectors y and z, in voxel axes (i, j, k).
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.

    Returns
    -------
    np.ndarray
        Shape ``[3, 3]``: rows are x, y, z in RAS.
    """
    directions = direction_cosines(voxel_to_ras)
    carried = np.asarray(axes, dtype=np.float64) @ directions.T
    carried[0] *= np.sign(np.linalg.det(directions))
    return carried


def write_npy(path: str | os.PathLike, matrix: np.ndarray) -> None:
    """Write a 4×4 matrix as ``.npy``, float64, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.asarray(matrix, dtype=np.float64))


def read_npy(path: str | os.PathLike, series: bool = False) -> np.ndarray:
    """Read a 4×4 matrix from ``.npy``, or a series of them ``[T, 4, 4]``; float64.

    Raises
    ------
    TransformError
        If the file is missing, cut short, not an array of real numbers, or of another shape.
    """
    try:
        with Path(path).open("rb") as stream:
            # Told from the header, as the array is made before its numbers are read.
            header_of = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}[read_magic(stream)]
            shape, _, kind = header_of(stream)
            if (shape[1:] if series else shape) == (4, 4) and kind.kind in "fiu":
                n_bytes, there = math.prod(shape) * kind.itemsize, Path(path).stat().st_size - stream.tell()
                if n_bytes > there:
                    raise ValueError(f"cut short: {there} of {n_bytes} bytes")
                stream.seek(0)
                return np.load(stream, allow_pickle=False).astype(np.float64)
    # Of a damaged header numpy raises whatever it meets.
    except Exception as error:
        raise TransformError(f"{path}: cannot be read as a .npy file ({error})") from error
    wanted = "a series of transforms is [T, 4, 4]" if series else "a transform is 4×4"
    raise TransformError(f"{path}: cannot be read: {wanted} real numbers, this array has shape {shape} of {kind}")


def write_itk(path: str | os.PathLike, matrix: np.ndarray) -> None:
    """Write a 4×4 RAS matrix as an ITK text transform (``.tfm``, in LPS as ITK has it).

    By ITK's convention a file holds the transform from points of the output to points of the input. So a file of
    ``canonical_to_ras`` resamples the scan upright in ITK, SimpleITK and ANTs. 3D Slicer inverts such a file on
    loading, so a scan that is put under the transform is shown upright there.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    lps = LPS_TO_RAS @ np.asarray(matrix, dtype=np.float64) @ LPS_TO_RAS
    parameters = " ".join(repr(float(value)) for value in [*lps[:3, :3].ravel(), *lps[:3, 3]])
    text = (
        f"{_ITK_HEADER}\n#Transform 0\nTransform: {_ITK_CLASSES[0]}\nParameters: {parameters}\nFixedParameters: 0 0 0\n"
    )
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="ascii")


def read_itk(path: str | os.PathLike) -> np.ndarray:
    """Read an ITK text transform of one affine matrix into a 4×4 RAS matrix.

    Raises
    ------
    TransformError
        If the file cannot be read, or holds anything but one 3-D affine transform.
    """
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TransformError(f"{path}: not a readable ITK text transform ({error})") from error
    fields = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    kind = fields.get("Transform", "").strip()
    n_transforms = sum(line.startswith("Transform:") for line in lines)
    if not lines or lines[0].strip() != _ITK_HEADER or n_transforms != 1 or kind not in _ITK_CLASSES:
        raise TransformError(f"{path}: not an ITK text file of one affine transform")
    try:
        parameters = np.array(fields["Parameters"].split(), dtype=np.float64)
        centre = np.array(fields.get("FixedParameters", "0 0 0").split(), dtype=np.float64)
        linear = parameters[:9].reshape(3, 3)
        offset = parameters[9:] + centre - linear @ centre
        return LPS_TO_RAS @ rigid(linear, offset) @ LPS_TO_RAS
    except (KeyError, ValueError) as error:
        raise TransformError(f"{path}: the parameters of the transform are not 12 + 3 numbers") from error


def write_json(path: str | os.PathLike, document: dict[str, Any]) -> None:
    """Write a JSON document; numpy arrays and numbers become lists and numbers.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(
            json.dumps(document, indent=2, default=lambda value: value.tolist(), allow_nan=False) + "\n",
            encoding="utf-8",
        )


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Read a JSON document.

    Raises
    ------
    TransformError
        If the file is missing or holds no JSON object.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TransformError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(document, dict):
        raise TransformError(f"{path}: holds a JSON {type(document).__name__}; an object is needed")
    return document
