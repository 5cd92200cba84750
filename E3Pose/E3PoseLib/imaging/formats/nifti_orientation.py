"""How a NIfTI file lies in the patient, by whichever of its sform and qform is valid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from ...errors import VolumeError
from ..geometry import is_grid
from .contents import placeholder_doubt

_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_LONGEST_QUATERNION = 1.001
"""Length of (b, c, d) up to which it counts as a rounded rotation by 180°; nifti_clib normalises it too."""

_AGREEMENT_MM = 1.0

_OTHER_WORLDS = {
    2: "of something that it was aligned to",
    3: "of Talairach's atlas",
    4: "of the MNI's atlas",
    5: "of an atlas",
}
"""Of the codes of a form, all but that of the scanner's coordinates."""


@dataclass(frozen=True, eq=False)
class Orientation:
    """The matrix of a file and what is to be said of it.

    Parameters
    ----------
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, mm.
    notes, doubts : tuple of str
        See `Contents`.
    """

    voxel_to_ras: np.ndarray
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def orientation(header: nib.Nifti1Header, edges: tuple[int, int, int], path: Path) -> Orientation:
    """The sform where it is coded and possible, else the qform, else the voxel sizes alone.

    Parameters
    ----------
    header : nib.Nifti1Header
        Of NIfTI-1 or NIfTI-2.
    edges : tuple of int
        Voxels along i, j, k.
    path : Path
        For messages.

    Raises
    ------
    VolumeError
        If there is only a qform and it is no rotation.
    """
    has_qform, has_sform = int(header["qform_code"]) > 0, int(header["sform_code"]) > 0
    if not has_qform and not has_sform:
        doubt = "the file does not say how it lies in the patient (no qform, no sform): left and right may be swapped"
        return Orientation(_in_mm(header.get_base_affine(), header), doubts=(doubt,))
    qform = _qform(header) if has_qform else None
    if not has_sform:
        if qform is None:
            raise VolumeError(
                f"{path}: its qform is no rotation (the quaternion's b, c, d have length "
                f"{_quaternion_length(header):.3g}, at most 1 is possible), and there is no sform: how the scan lies "
                "is unknown; export it again"
            )
        return Orientation(qform, doubts=placeholder_doubt(qform))
    sform = _in_mm(header.get_sform(), header)
    if not has_qform:
        return Orientation(sform, doubts=placeholder_doubt(sform))
    if qform is None:
        return Orientation(sform, doubts=("the file's qform is no rotation; the sform was used",))
    if is_grid(qform) and not is_grid(sform):
        note = "the file's sform is no possible matrix; the qform was used"
        return Orientation(qform, (note,), placeholder_doubt(qform))
    corner = np.diag([*np.subtract(edges, 1), 1])
    if not np.abs((qform - sform) @ corner).sum(axis=1).max() <= _AGREEMENT_MM:  # NaN is no agreement
        doubt = "the file's qform and sform disagree by more than 1 mm; the sform was used"
        return Orientation(sform, doubts=(doubt,))
    return Orientation(sform, doubts=placeholder_doubt(sform))


def other_coordinates(path: Path) -> str | None:
    """What a NIfTI file says of its coordinates where they are not the scanner's; None where they are, or it says
    nothing, and of files of other formats.
    """
    try:
        header = nib.load(path).header
    except (OSError, ImageFileError):
        return None
    for form in ("sform", "qform"):
        code = int(header.get(f"{form}_code", 0)) if isinstance(header, nib.Nifti1Header) else 0
        if code > 0:
            world = _OTHER_WORLDS.get(code)
            return None if world is None else f"by its {form} code {code} its coordinates are those {world}"
    return None


def _in_mm(affine: np.ndarray, header: nib.Nifti1Header) -> np.ndarray:
    """An affine in the header's unit as one in mm, float64."""
    try:
        scale = _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:
        scale = 1.0
    in_mm = np.array(affine, dtype=np.float64)
    in_mm[:3] *= scale
    return in_mm


def _qform(header: nib.Nifti1Header) -> np.ndarray | None:
    """The affine of the qform in mm; None where its quaternion is no rotation."""
    try:
        return _in_mm(header.get_qform(), header)
    except (ValueError, HeaderDataError):
        length = _quaternion_length(header)
    # Rounding alone is no reason to refuse the only orientation that the file has.
    if int(header["sform_code"]) > 0 or not 1 <= length <= _LONGEST_QUATERNION:
        return None
    normalised = header.copy()
    for name in ("quatern_b", "quatern_c", "quatern_d"):
        normalised[name] = float(header[name]) / length
    return _in_mm(normalised.get_qform(), header)


def _quaternion_length(header: nib.Nifti1Header) -> float:
    return float(np.linalg.norm([float(header[name]) for name in ("quatern_b", "quatern_c", "quatern_d")]))
