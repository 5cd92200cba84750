"""DICOM series: found by pydicom, converted by dcm2niix, which knows the vendors' mosaics and multi-frame files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pydicom

from ...errors import VolumeError
from . import nifti
from .contents import Contents
from .streams import is_dicom, may_be_dicom

_TAGS = ["Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName", "Rows"]
_SECONDS_TO_CONVERT = 300
_LONGEST_DESCRIPTION = 60
_BESIDES = re.compile(r"_(ph|imaginary|ROI\d*)[a-z]?\.nii$")
"""What dcm2niix writes beside the magnitude image of a series: phase, imaginary part, overlays."""

_OF_GEOMETRY = re.compile(r"Warning.*(distance|spacing|orient|missing|interpolat|gantry|tilt|unable to sort)", re.I)
"""The warnings of dcm2niix that concern where voxels lie."""

_UNEVEN = "Interslice distance varies"
"""Its warning of slices at unequal distances, which it writes as if these were equal."""

_EQUIDISTANT = re.compile(r"_Eq_\d+[a-z]?\.nii$")
"""What it writes beside them: slices interpolated at equal distances; not of all types of voxels."""


@dataclass(frozen=True)
class Series:
    """The image files of one DICOM series in one folder.

    Parameters
    ----------
    name : str
        Number and description, fit for a file's name.
    modality : str
        Such as "MR".
    files : tuple of Path
        In the order of their names.
    """

    name: str
    modality: str
    files: tuple[Path, ...]


def series_in(folder: Path) -> list[Series]:
    """The image series in a folder, without its subfolders, in the order of their names.

    Raises
    ------
    VolumeError
        If the folder cannot be read.
    """
    try:
        return list(_series_in(folder, folder.stat().st_mtime_ns))
    except OSError as error:
        raise VolumeError(f"{folder}: this folder cannot be read ({error.strerror})") from error


@lru_cache(maxsize=8)
def _series_in(folder: Path, changed: int) -> tuple[Series, ...]:
    """See `series_in`; remembered as long as no file comes or goes."""
    found: dict[str, list[tuple[Path, pydicom.Dataset]]] = {}
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and path.is_file() and may_be_dicom(path) and is_dicom(path):
            header = _header(path)
            if header is not None:
                found.setdefault(str(header.SeriesInstanceUID), []).append((path, header))
    series, taken = [], set()
    for uid, members in found.items():
        name = _name(members[0][1])
        if name in taken:
            name = f"{name}_{uid[-8:]}"
        taken.add(name)
        series.append(Series(name, str(members[0][1].get("Modality", "")), tuple(path for path, _ in members)))
    return tuple(sorted(series, key=lambda one: one.name))


def _header(path: Path) -> pydicom.Dataset | None:
    """What of a file's header tells its series; None for a file that is no image or no DICOM."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
        return header if "SeriesInstanceUID" in header and "Rows" in header else None
    except Exception:  # pydicom raises whatever it meets in a damaged file
        return None


def _name(header: pydicom.Dataset) -> str:
    """Number and description of a series, with nothing that a file's name cannot have."""
    description = str(header.get("SeriesDescription") or header.get("ProtocolName") or "series")
    words = f"{header.get('SeriesNumber') or 0}_{description}"
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", words).strip("_.")[:_LONGEST_DESCRIPTION]


def series_of(path: Path) -> Series:
    """The series that a file belongs to, or the only one of a folder.

    Raises
    ------
    VolumeError
        If there is none, or a folder has several.
    """
    if path.is_dir():
        series = series_in(path)
        if len(series) > 1:
            named = ", ".join(f"{one.files[0].name} ({one.name})" for one in series)
            raise VolumeError(f"{path}: holds {len(series)} DICOM series; name one file of one: {named}")
        if not series:
            raise VolumeError(f"{path}: no DICOM images in this folder")
        return series[0]
    for one in series_in(path.parent):
        if path.name in {file.name for file in one.files}:
            return one
    raise VolumeError(f"{path}: a DICOM file without an image, or damaged; name a file of an image series")


def count_frames(path: Path) -> int:
    """How many frames a series makes; it is converted to find out.

    Raises
    ------
    VolumeError
        If it cannot be read.
    """
    return _conversion_of(path).n_frames


def read(path: Path, frame: int | None) -> Contents:
    """Read the series that a file belongs to, or the only one of a folder.

    Raises
    ------
    VolumeError
        If it is no MR series, cannot be read, or has several frames and none was chosen.
    """
    conversion = _conversion_of(path)
    with _named(path, conversion.file):
        contents = nifti.read(conversion.file, frame)
    notes = (*conversion.notes, *contents.notes)
    return Contents(contents.array, contents.voxel_to_ras, notes, contents.doubts)


class _Conversion:
    """A series as a NIfTI file, in a temporary folder that goes with the last reference to this.

    Parameters
    ----------
    series : Series
    path : Path
        For messages.

    Raises
    ------
    VolumeError
        If it is no MR series, or cannot be converted.
    """

    def __init__(self, series: Series, path: Path) -> None:
        folder = tempfile.mkdtemp(prefix="e3pose-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.file, self.notes = _converted(series, path, Path(folder))
        with _named(path, self.file):
            self.n_frames = nifti.count_frames(self.file)


_with_frames: dict[tuple, _Conversion] = {}
"""The series with several frames that was converted last, by its files: the next frame is asked for next."""


def _conversion_of(path: Path) -> _Conversion:
    """See `_Conversion`; of a series with several frames the one made before, as long as its files are the same."""
    series = series_of(path)
    try:
        states = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in series.files)
    except OSError as error:
        raise VolumeError(f"{path}: a file of its series cannot be read ({error.strerror})") from error
    known = _with_frames.get(states)
    if known is None or not known.file.is_file():
        _with_frames.clear()
        known = _Conversion(series, path)
        if known.n_frames > 1:
            _with_frames[states] = known
    return known


@contextmanager
def _named(path: Path, file: Path) -> Iterator[None]:
    """Have errors name what the user gave instead of a temporary file."""
    try:
        yield
    except VolumeError as error:
        raise VolumeError(str(error).replace(str(file), str(path))) from error


def _converted(series: Series, path: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """A NIfTI file of a series in a temporary folder, and what its converter warned of."""
    import dcm2niix  # here, as series are told apart without it, in Slicer for example

    if series.modality not in ("", "MR"):
        raise VolumeError(f"{path}: series {series.name} is of modality {series.modality}: the models are made for MR")
    inputs, outputs = folder / "in", folder / "out"
    inputs.mkdir()
    outputs.mkdir()
    # The series alone, as its folder may hold others.
    for index, file in enumerate(series.files):
        _link_or_copy(file, inputs / f"{index:06d}.dcm")
    # Without the user's own defaults, side files, compression, cropping or rotation.
    options = ["-g", "i", "-b", "n", "-z", "n", "-x", "i", "-f", "scan", "-o", str(outputs), str(inputs)]
    try:
        done = subprocess.run(
            [dcm2niix.bin, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS_TO_CONVERT,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise VolumeError(f"{path}: dcm2niix could not be run on series {series.name} ({error})") from error
    warnings = tuple(dict.fromkeys(line.strip() for line in done.stdout.splitlines() if _OF_GEOMETRY.search(line)))
    images = [file for file in sorted(outputs.glob("*.nii")) if not _BESIDES.search(file.name)]
    if not images:
        reason = (done.stdout.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise VolumeError(f"{path}: dcm2niix makes no image of series {series.name} ({reason}); export it again")
    told = f" (dcm2niix: {'; '.join(warnings)})" if warnings else ""
    convert = f"convert it with 'dcm2niix -o FOLDER {series.files[0].parent}'"
    if _UNEVEN in told:
        remedy = "export it again, with every slice once"
        if any(_EQUIDISTANT.search(image.name) for image in images):
            remedy += f"; or {convert} and give the file that ends in _Eq_1, as only its slices lie where they should"
        raise VolumeError(
            f"{path}: slices of series {series.name} are missing, stored twice or unevenly spaced{told}; {remedy}"
        )
    if len(images) > 1:
        raise VolumeError(
            f"{path}: series {series.name} holds {len(images)} images (echoes, orientations or slices of several sizes)"
            f"{told}; {convert} and give the one with the head"
        )
    return images[0], tuple(f"dcm2niix: {warning}" for warning in warnings)


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file.resolve(), target)
    except OSError:  # another drive, or a file system without links
        shutil.copyfile(file, target)
