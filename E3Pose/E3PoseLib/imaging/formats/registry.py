"""The formats that are read, how a file's is found, and which scans a folder holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from ...errors import VolumeError
from .contents import Contents
from .detached import voxel_files
from .streams import DICOM_SUFFIXES, is_dicom, may_be_dicom, mistaken_for_a_scan

INSTALL_COMMAND = "pip install 'e3pose[formats]'"


class Reader(Protocol):
    """What the module of a format has."""

    def count_frames(self, path: Path) -> int: ...

    def read(self, path: Path, frame: int | None) -> Contents: ...


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    name : str
    suffixes : tuple of str
        Of its files, in lower case.
    module : str
        Of this package, with the functions of a `Reader`.
    packages : tuple of str
        Importable packages that the module needs besides the library's own.
    conversion : str
        The command that makes NIfTI of ``{path}`` without them.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    packages: tuple[str, ...] = ()
    conversion: str = ""

    def reader(self, path: Path) -> Reader:
        """The module, imported when it is first used.

        Raises
        ------
        VolumeError
            If a package that it needs is not installed.
        """
        missing = [package for package in self.packages if find_spec(package) is None]
        if missing:
            raise VolumeError(
                f"{path}: to read {self.name} install {' and '.join(missing)} ({INSTALL_COMMAND}), "
                f"or convert it: {self.conversion.format(path=path, stem=name_without_suffix(path))}"
            )
        return cast(Reader, import_module(f".{self.module}", __package__))


_BY_SLICER = "in 3D Slicer load {path} and save it as {stem}.nii.gz"
NIFTI = Format("NIfTI", (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"), "nifti")
DICOM = Format("DICOM", DICOM_SUFFIXES, "dicom", ("pydicom", "dcm2niix"), "dcm2niix -z y {path}")
FORMATS = (
    NIFTI,
    Format("FreeSurfer's MGH", (".mgh", ".mgz", ".mgh.gz"), "mgh"),
    Format("NRRD", (".nrrd", ".nhdr"), "itk", ("SimpleITK",), _BY_SLICER),
    Format("MetaImage", (".mha", ".mhd"), "itk", ("SimpleITK",), _BY_SLICER),
    DICOM,
)

SUFFIXES = tuple(suffix for known in FORMATS for suffix in known.suffixes)
"""How the names of readable files end, in lower case; DICOM files may be named anything."""

_ALONE = (".nii", ".nii.gz", ".mgh", ".mgz", ".mgh.gz", ".nrrd", ".mha", ".mnc", ".gipl", ".gipl.gz")
"""Suffixes of files that hold all of a scan, also of formats that only Slicer reads."""

_IN_PARTS = (".hdr", ".hdr.gz", ".img", ".img.gz", ".nhdr", ".mhd")
"""Suffixes of files that hold the header of one or its voxels."""

_TEXT_HEADERS = (".nhdr", ".mhd")
"""Suffixes of those that name the files with the voxels, which may be called anything."""

_PARTS = (".hdr", ".img", ".raw", ".zraw", ".gz")
"""Last suffixes of the files of such a scan, which have one name otherwise."""

_CONVERSIONS = {
    ".par": "dcm2niix -z y {path}",
    ".rec": "dcm2niix -z y {stem}.PAR",
    ".mnc": "mnc2nii {path} {stem}.nii",
    ".head": "3dAFNItoNIFTI -prefix {stem}.nii.gz {path}",
    ".brik": "3dAFNItoNIFTI -prefix {stem}.nii.gz {stem}.HEAD",
    ".brik.gz": "3dAFNItoNIFTI -prefix {stem}.nii.gz {stem}.HEAD",
    ".nii.bz2": "bunzip2 {path}",
    ".nii.zst": "unzstd {path}",
    ".nii.xz": "unxz {path}",
    ".zip": "unzip {path}",
    ".tar.gz": "tar -xf {path}",
    ".tgz": "tar -xf {path}",
    ".gipl": _BY_SLICER,
    ".vtk": _BY_SLICER,
    ".mif": "mrconvert {path} {stem}.nii.gz",
    ".mif.gz": "mrconvert {path} {stem}.nii.gz",
    ".mih": "mrconvert {path} {stem}.nii.gz",
}
"""Of formats that are not read, by suffix: the command that makes a file that is."""


@dataclass(frozen=True)
class FoundScan:
    """A scan that `scans_in` found.

    Parameters
    ----------
    path : Path
        To read it by; of a DICOM series its first file.
    name : str
        The file's name without suffix; of a DICOM series its folder, number and description.
    """

    path: Path
    name: str


def read(path: Path, frame: int | None) -> Contents:
    """Read one frame of an image file or DICOM series.

    Parameters
    ----------
    path : Path
        An image file, one file of a DICOM series, or a folder with one series.
    frame : int or None
        From 0; None where the file has a single one.

    Raises
    ------
    VolumeError
        If it cannot be read, or has several frames and none was chosen.
    """
    return _reader(path).read(path, frame)


def count_frames(path: Path) -> int:
    """How many frames an image file or DICOM series holds.

    Raises
    ------
    VolumeError
        If it cannot be read.
    """
    return _reader(path).count_frames(path)


def scans_in(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[FoundScan]:
    """The scans of a folder, without its subfolders, in the order of their names.

    A pair of header and voxels is one scan, and so is each DICOM series. Hidden files and files of other kinds are left
    out; a link to a file that is not there is not. Only files that may be DICOM by their name are opened.

    Parameters
    ----------
    folder : Path
    suffixes : sequence of str
        How the names of image files end, in lower case; DICOM files may be named anything.

    Raises
    ------
    VolumeError
        If the folder cannot be read.
    """
    try:
        files = _visible(folder)
    except OSError as error:
        raise VolumeError(f"{folder}: this folder cannot be read ({error.strerror})") from error
    named = tuple(suffix for suffix in suffixes if suffix not in DICOM.suffixes)
    found, dicom = [], []
    headers = {name_without_suffix(file).lower() for file in files if file.name.lower().endswith((".hdr", ".hdr.gz"))}
    for file in files:
        lower = file.name.lower()
        if lower.endswith((".img", ".img.gz")) and name_without_suffix(file).lower() in headers:
            continue
        if lower.endswith(named):
            found.append(FoundScan(file, name_without_suffix(file)))
        elif may_be_dicom(file) and is_dicom(file):
            dicom.append(file)
    return sorted(found + _series(folder, dicom), key=lambda scan: scan.path)


def _series(folder: Path, files: list[Path]) -> list[FoundScan]:
    """Each series of the DICOM files of a folder; where they cannot be told apart the first file, which then fails."""
    if not files:
        return []
    if find_spec("pydicom") is None:
        return [FoundScan(files[0], folder.resolve().name)]
    from .dicom import series_in

    return [FoundScan(series.files[0], f"{folder.resolve().name}_{series.name}") for series in series_in(folder)]


def files_of(path: Path) -> list[Path]:
    """The files that a scan is made of, in the order of their names.

    Parameters
    ----------
    path : Path
        As for `read`. Of a DICOM file whose series cannot be told it is all files of its folder.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    lower = path.name.lower()
    if not path.is_dir():
        if lower.endswith(_ALONE):
            return [path]
        if lower.endswith(_IN_PARTS):
            stem = name_without_suffix(path, _IN_PARTS)
            alike = [file for file in _visible(path.parent) if file.name.startswith(f"{stem}.")]
            parts = [file for file in alike if file.suffix.lower() in _PARTS and not file.name.lower().endswith(_ALONE)]
            named = voxel_files(path) if lower.endswith(_TEXT_HEADERS) else []
            return sorted({path, *parts, *named})
    if find_spec("pydicom") is not None:
        from .dicom import series_of

        with suppress(VolumeError):
            return list(series_of(path).files)
    return _visible(path if path.is_dir() else path.parent)


def _visible(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if not file.name.startswith(".") and not _is_folder(file))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # no permission; read by its name it fails in words
        return False


def _reader(path: Path) -> Reader:
    """The reader of a file's format.

    Raises
    ------
    VolumeError
        If the file is not there, of a format that is not read, or a package that it needs is not installed.
    """
    if path.is_dir():
        return DICOM.reader(path)
    if not path.is_file():
        raise VolumeError(f"{path}: no such file")
    mistaken = mistaken_for_a_scan(path)
    if mistaken:
        raise VolumeError(f"{path}: {mistaken}")
    lower = path.name.lower()
    for known in FORMATS:
        if lower.endswith(known.suffixes):
            return known.reader(path)
    for suffix, command in _CONVERSIONS.items():
        if lower.endswith(suffix):
            said = command.format(path=path, stem=name_without_suffix(path, _CONVERSIONS))
            raise VolumeError(f"{path}: {suffix} files are not read; convert it: {said}")
    if is_dicom(path):
        return DICOM.reader(path)
    names = ", ".join(known.name for known in FORMATS)
    raise VolumeError(f"{path}: none of the formats that are read ({names}); save it as .nii.gz")


def name_without_suffix(path: Path, suffixes: Iterable[str] = SUFFIXES) -> str:
    """A file's name without its format's suffix.

    >>> name_without_suffix(Path("scans/fetus.01.nii.gz"))
    'fetus.01'
    """
    for suffix in sorted(suffixes, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem
