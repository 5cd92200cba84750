"""NRRD and MetaImage, by SimpleITK."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from ...errors import VolumeError
from ..geometry import LPS_TO_RAS
from .contents import MAXIMUM_BYTES, Contents, Layout, check_size, chosen_frame, layout, placeholder_doubt

DETACHED = (".nhdr", ".mhd")
"""Suffixes of headers whose voxels are in another file, which the header names."""

_IO = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}
_TYPES = (
    ("UInt8", 1),
    ("Int8", 1),
    ("UInt16", 2),
    ("Int16", 2),
    ("UInt32", 4),
    ("Int32", 4),
    ("UInt64", 8),
    ("Int64", 8),
    ("Float32", 4),
    ("Float64", 8),
)
_SCALAR_BYTES = {getattr(SimpleITK, f"sitk{name}"): size for name, size in _TYPES}
_SCALAR_BYTES |= {SimpleITK.sitkComplexFloat32: 8, SimpleITK.sitkComplexFloat64: 16}
_VECTOR_BYTES = {getattr(SimpleITK, f"sitkVector{name}"): size for name, size in _TYPES}
_TO_RAS = {
    "left-posterior-superior": LPS_TO_RAS,
    "left-posterior-superior-time": LPS_TO_RAS,
    "left-anterior-superior-time": np.diag([-1.0, 1, 1, 1]),
    "right-anterior-superior-time": np.eye(4),
}
"""From the spaces of NRRD that are the patient's, as ITK hands them on: it turns RAS and LAS to LPS, but not those with
time."""

_MATRICES = (b"TransformMatrix", b"Rotation", b"Orientation")
"""Names of a MetaImage's directions, of which ITK takes any."""

_UNSTATED = "the file does not say how it lies in the patient ({}): left and right may be swapped"


@dataclass(frozen=True)
class _Opened:
    """A reader that has read the header.

    Parameters
    ----------
    reader : SimpleITK.ImageFileReader
    shape : tuple of int
        As ITK has it, without the values of a voxel.
    arrangement : Layout
    by_components : bool
        Whether the frames are the values of each voxel.
    """

    reader: Any
    shape: tuple[int, ...]
    arrangement: Layout
    by_components: bool


def count_frames(path: Path) -> int:
    """How many frames the file holds, from its header alone.

    Raises
    ------
    VolumeError
        If it cannot be read.
    """
    return _open(path).arrangement.n_frames


def read(path: Path, frame: int | None) -> Contents:
    """Read one frame.

    Raises
    ------
    VolumeError
        If the file cannot be read, or has several frames and none was chosen.
    """
    opened = _open(path)
    reader, arrangement = opened.reader, opened.arrangement
    index = chosen_frame(arrangement.n_frames, frame, path)
    affine, doubts = _position(reader, path)
    if arrangement.n_frames > 1 and not opened.by_components:
        reader.SetExtractIndex([index if axis == _frame_axis(opened) else 0 for axis in range(len(opened.shape))])
        reader.SetExtractSize([0 if axis == _frame_axis(opened) else n for axis, n in enumerate(opened.shape)])
    try:
        image = reader.Execute()
        if opened.by_components:
            image = SimpleITK.VectorIndexSelectionCast(image, index)
        array = SimpleITK.GetArrayFromImage(image).transpose().reshape(arrangement.edges, order="F")
    except (RuntimeError, ValueError, MemoryError) as error:
        raise VolumeError(
            f"{path}: the file is damaged or cut short, or its voxels are in another file that is not there "
            f"({_last_line(error)}); copy or export it again"
        ) from error
    return Contents(array, affine, arrangement.notes, doubts)


def _open(path: Path) -> _Opened:
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_IO[path.suffix.lower()])
    try:
        reader.ReadImageInformation()
        shape = reader.GetSize()
        n_components, pixel = reader.GetNumberOfComponents(), reader.GetPixelIDValue()
    except (RuntimeError, ValueError, OverflowError) as error:
        raise VolumeError(f"{path}: not a readable image ({_last_line(error)}); copy or export it again") from error
    by_components = n_components > 1 and pixel in _VECTOR_BYTES
    is_list = reader.HasMetaDataKey("NRRD_kinds[pixel]") and reader.GetMetaData("NRRD_kinds[pixel]") == "list"
    if pixel not in _SCALAR_BYTES and not (by_components and is_list):
        raise VolumeError(f"{path}: has {n_components} values a voxel; give a scan with one, its intensity")
    arrangement = layout((*shape, n_components) if by_components else shape, path)
    voxel_bytes = _VECTOR_BYTES[pixel] if by_components else _SCALAR_BYTES[pixel]
    # ITK reads all frames at once.
    every = check_size(
        arrangement, voxel_bytes, path, None if path.suffix.lower() in DETACHED else path.stat().st_size, True
    )
    if every * arrangement.n_frames > MAXIMUM_BYTES:
        raise VolumeError(
            f"{path}: its {arrangement.n_frames} frames have more than {MAXIMUM_BYTES / 2**30:g} GiB together; "
            "save the frame that you need as a file of its own"
        )
    return _Opened(reader, shape, arrangement, by_components)


def _frame_axis(opened: _Opened) -> int:
    """The axis of the frames: the last one of more than one voxel."""
    return max(axis for axis, n in enumerate(opened.shape) if n > 1)


def _position(reader: Any, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """From voxels to RAS, and what is doubtful about it."""
    n = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(n, n)[:3, :3]
    voxel_to_world = np.eye(4)
    voxel_to_world[:3, :3] = direction * np.array(reader.GetSpacing()[:3])
    voxel_to_world[:3, 3] = reader.GetOrigin()[:3]
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        # Of the other spaces, a scanner's own among them, nobody can tell how the patient lies in them.
        space = reader.GetMetaData("NRRD_space") if reader.HasMetaDataKey("NRRD_space") else ""
        world_to_ras, missing = _TO_RAS.get(space, LPS_TO_RAS), "" if space in _TO_RAS else "no space of the patient"
    else:
        world_to_ras, missing = LPS_TO_RAS, "" if _states_directions(path) else "no TransformMatrix"
    affine = world_to_ras @ voxel_to_world
    return affine, (_UNSTATED.format(missing),) if missing else placeholder_doubt(affine)


def _states_directions(path: Path) -> bool:
    """Whether a MetaImage says how its axes lie, by a matrix or as RAI; else ITK takes them for those of LPS.

    RAI, from right, anterior and inferior, are the axes of LPS. Other letters count for nothing beside a matrix, as in
    ITK: many programs write the same ones to all files.
    """
    with path.open("rb") as stream:
        for line in stream:
            key, _, value = (part.strip() for part in line.replace(b":", b"=").partition(b"="))
            if key in _MATRICES or (key == b"AnatomicalOrientation" and value.startswith(b"RAI")):
                return True
            if key == b"ElementDataFile":
                break
    return False


def _last_line(error: BaseException) -> str:
    """What ITK says at the end of its message, after where in its source it was said."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[-1].split())[:300]
