"""A series of scans in the order of their times: one file of four dimensions, or a folder of volumes."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import VolumeError
from . import formats
from .files import whole_file
from .formats.labels import named_as_labels
from .formats.nifti import LEAST_SECONDS, MOST_SECONDS
from .formats.streams import is_dicom
from .volume import Volume, read_volume, volume_of

_HEADER_END = b"\0\0\0\0"
"""Behind a NIfTI-1 header: no extension follows."""

SAME_TIME = 0.01
"""Share by which two times between volumes may differ and still be one that was rounded."""

_GZIP_LEVEL = 3
"""Twice as quick as the usual 6, for files that are a few percent larger."""


@dataclass(frozen=True)
class Series:
    """A series of scans, not read yet.

    Parameters
    ----------
    path : Path
        Of the file, or of the folder.
    files : tuple of Path
        The one file (of a DICOM series its first), or the volumes in the order of their times.
    n_frames : int
    seconds : float
        Between frames.
    notes : tuple of str
        What a reader of the result must know of these times.
    """

    path: Path
    files: tuple[Path, ...]
    n_frames: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the file without its suffix, or of the folder."""
        return formats.name_without_suffix(self.path) if self.path.is_file() else self.path.resolve().name

    def frames(self) -> Iterator[Volume | VolumeError]:
        """Each frame in turn, or why it cannot be used; what lies behind the damage of a file cannot."""
        shape = None
        last: Volume | VolumeError | None = None
        n_read = 0
        for frame in self._volumes():
            n_read += 1
            if isinstance(frame, Volume):
                shape = shape or frame.shape
                if frame.shape != shape:
                    frame = VolumeError(
                        f"{frame.name}: has {_times(frame.shape)} voxels, the frames before {_times(shape)}; give one "
                        "series at a time"
                    )
            last = frame
            yield frame
        for _ in range(n_read, self.n_frames):
            yield (
                last if isinstance(last, VolumeError) else VolumeError(f"{self.path}: the file ends before this frame")
            )

    def _volumes(self) -> Iterator[Volume | VolumeError]:
        if len(self.files) > 1:
            for file in self.files:
                try:
                    yield read_volume(file)
                except VolumeError as error:
                    yield error
            return
        frames = formats.read_in_turn(self.files[0])
        index = 0
        while True:
            try:
                contents = next(frames)
            except StopIteration:
                return
            except VolumeError as error:
                if index < self.n_frames:  # behind the last frame it was the checksum
                    yield error
                return
            try:
                yield volume_of(contents, f"{self.path} frame {index}")
            except VolumeError as error:
                yield error
            index += 1


def find_series(path: str | os.PathLike, seconds: float | None = None) -> Series:
    """Look at a file or folder without reading its voxels.

    Parameters
    ----------
    path : path-like
        A 4-D file, a folder of 3-D volumes whose names sort by time, numbers in them by value, or one that holds a
        DICOM series of several times alone.
    seconds : float, optional
        Between frames. If not given, what the file's header states; where it states none, `RepetitionTime` in the JSON
        file of that name beside it, as in a BIDS data set.

    Raises
    ------
    VolumeError
        If it is no series, cannot be read, or nothing states its time.
    """
    path = Path(path)
    files, notes = _volumes_of(path) if path.is_dir() else ((path,), ())
    if len(files) > 1:
        n_frames, stated = len(files), None
    else:
        n_frames = formats.count_frames(files[0])
        if n_frames < 2:
            raise VolumeError(
                f"{path}: holds one volume; a series has two or more. Where it is one of several files, name their "
                "folder; of a single scan 'e3pose estimate' finds the pose"
            )
        stated, others = _stated_seconds(files[0], given=seconds)
        notes += others
    if seconds is None and stated is None:
        raise VolumeError(
            f"{path}: does not say how far apart its volumes are in time, nor does a JSON file beside it; give the "
            "seconds by --tr"
        )
    return Series(path, files, n_frames, seconds or stated or 0.0, notes)


def _volumes_of(folder: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The volumes of a folder by their times, or the one file that is the series; and a note on what was left out."""
    found = sorted(formats.scans_in(folder), key=lambda scan: _by_number(scan.path))
    files = tuple(scan.path for scan in found if not named_as_labels(scan.name))
    left_out = [scan.path.name for scan in found if named_as_labels(scan.name)]
    notes = (f"{folder}: left out, as label maps or masks by their names: {', '.join(left_out)}",) if left_out else ()
    if not files:
        raise VolumeError(f"{folder}: holds no volume; a series has two or more, in the order of their names")
    if len(files) > 1:
        if any(is_dicom(file) for file in files):
            raise VolumeError(
                f"{folder}: holds {len(files)} DICOM series, and names of DICOM files do not tell the order in time; "
                "name one series of several volumes, or make NIfTI files of them (dcm2niix)"
            )
        if series_itself := next((file for file in files if _has_frames(file)), None):
            raise VolumeError(
                f"{folder}: {series_itself.name} is a series itself; name the files instead of the folder"
            )
    return files, notes


def _has_frames(file: Path) -> bool:
    """Whether a file holds several volumes; one that cannot be opened is a frame that cannot be used."""
    try:
        return formats.count_frames(file) > 1
    except VolumeError:
        return False


def _stated_seconds(path: Path, given: float | None) -> tuple[float | None, tuple[str, ...]]:
    """The time between frames by a file's header, else by its sidecar; and where what is known of it differs."""
    sidecar = path.with_name(f"{formats.name_without_suffix(path)}.json")
    known = {"--tr": given, "its header": formats.seconds_between_frames(path), sidecar.name: _in_sidecar(sidecar)}
    times = {where: time for where, time in known.items() if time is not None}
    if not times:
        return None, ()
    used, taken = next(iter(times.items()))
    others = [f"{where} {time:g} s" for where, time in times.items() if abs(time - taken) > SAME_TIME * taken]
    if not others:
        return taken, ()
    differ = " and ".join(others)
    return taken, (f"{path}: the time between volumes is {taken:g} s by {used}, which is used, but by {differ}",)


def _in_sidecar(path: Path) -> float | None:
    """The repetition time in a JSON file, in seconds; None where there is no such file, or none in it that can be."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    time = content.get("RepetitionTime") if isinstance(content, dict) else None
    if not isinstance(time, (int, float)) or isinstance(time, bool):
        return None
    return float(time) if LEAST_SECONDS <= time <= MOST_SECONDS else None


def write_series(
    path: str | os.PathLike,
    frames: Iterable[np.ndarray],
    shape: tuple[int, int, int, int],
    voxel_to_ras: np.ndarray,
    seconds: float,
    dtype: np.dtype,
    code: int = 1,
) -> None:
    """Write a 4-D ``.nii.gz`` frame by frame, whole or not at all.

    Parameters
    ----------
    path : path-like
    frames : iterable of np.ndarray
        Each of shape ``shape[:3]``; ``shape[3]`` of them.
    shape : tuple of int
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    seconds : float
        Between frames.
    dtype : np.dtype
        As stored.
    code : int
        Of NIfTI: 1 where the world is the scanner's, 2 where it is another.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_qform(voxel_to_ras, code=code)
    header.set_sform(voxel_to_ras, code=code)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][4] = seconds
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    with whole_file(path) as temporary, gzip.open(temporary, "wb", compresslevel=_GZIP_LEVEL) as stream:
        stream.write(header.binaryblock + _HEADER_END)
        for frame in frames:
            stream.write(frame.astype(dtype, copy=False).tobytes(order="F"))


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sorts names with the numbers in them by value: volume 2 before volume 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
