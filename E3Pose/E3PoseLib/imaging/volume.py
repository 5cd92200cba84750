"""A scan: voxels and where they lie in the world; NIfTI in and out; what input is refused."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError

from ..errors import VolumeError
from .files import whole_file
from .geometry import direction_cosines, has_orthogonal_axes, voxel_sizes

MINIMUM_EDGE_VOXELS = 8
MAXIMUM_VOXEL_SIZE_MM = 50.0
EXTENT_MM = (20.0, 1000.0)
"""Of a scan's longest edge: no brain fits into less, and no more fits into a scanner; the header's unit is wrong."""

MAXIMUM_NON_FINITE_FRACTION = 0.01
LARGEST_FOR_FLOAT32 = 2.0**24
NIFTI_SUFFIXES = (".nii", ".nii.gz")

CANONICAL_ORIENTATION = axcodes2ornt("RAS")

_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D scan.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, any real type.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, from voxel centres (i, j, k) to RAS mm; any axis order, either handedness.
    name : str
        How messages call it.
    notes : tuple of str
        What a reader of the result must know about this scan, in plain words.

    Raises
    ------
    VolumeError
        If the array is not 3-D and real, an edge is shorter than 8 voxels, or the geometry is impossible (voxels above
        50 mm, a scan below 20 mm or above 1 m, axes in one plane).
    """

    array: np.ndarray
    voxel_to_ras: np.ndarray
    name: str = "volume"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.ndim != 3:
            raise VolumeError(f"{self.name}: a 3-D volume is needed, this one has shape {array.shape}")
        if array.dtype.kind not in "biuf":
            raise VolumeError(f"{self.name}: voxels must be real numbers, these are {array.dtype}")
        if min(array.shape) < MINIMUM_EDGE_VOXELS:
            raise VolumeError(
                f"{self.name}: {' × '.join(map(str, array.shape))} voxels are too few; "
                f"each edge needs at least {MINIMUM_EDGE_VOXELS}"
            )
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "voxel_to_ras", _checked_affine(self.voxel_to_ras, self.name))
        longest = float((self.spacing * array.shape).max())
        if not EXTENT_MM[0] <= longest <= EXTENT_MM[1]:
            raise VolumeError(
                f"{self.name}: a scan of {longest:g} mm is impossible (voxels of {_times(self.spacing)} mm); correct "
                "the header"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        return self.array.shape

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edges in mm along i, j, k."""
        return voxel_sizes(self.voxel_to_ras)

    @property
    def is_left_handed(self) -> bool:
        """Whether the voxel axes i, j, k form a left-handed frame."""
        return bool(np.linalg.det(self.voxel_to_ras[:3, :3]) < 0)

    @property
    def has_orthogonal_axes(self) -> bool:
        """Whether the voxel axes are at right angles, within half a degree."""
        return has_orthogonal_axes(self.voxel_to_ras)

    def intensities(self) -> np.ndarray:
        """The voxels as float32; where they are not finite the least of the others.

        Values beyond 2²⁴, whose differences float32 may not tell, are brought to [0, 1].

        Raises
        ------
        VolumeError
            If more than 1 % of the voxels are not finite, or all are equal as far as float32 can tell.
        """
        values = self.array
        finite = np.isfinite(values)
        bad = 1 - finite.mean()
        if bad > MAXIMUM_NON_FINITE_FRACTION:
            raise VolumeError(
                f"{self.name}: {bad:.1%} of the voxels are NaN or infinite; at most {MAXIMUM_NON_FINITE_FRACTION:.0%} "
                "can be passed over. Export the scan again"
            )
        known = values[finite] if bad else values
        low, high = float(known.min()), float(known.max())
        if max(-low, high) > LARGEST_FOR_FLOAT32:
            # Each divided by itself, as their difference may be more than even float64 holds.
            scale = max(-low, high)
            values = (values / scale - low / scale) / (high / scale - low / scale or 1)
        # NIfTI files count their first axis fastest; whatever works along the axes would copy that anew each time.
        values = values.astype(np.float32, order="C")
        if bad:
            values[~finite] = values[finite].min()
        if values.min() == values.max():
            raise VolumeError(f"{self.name}: all voxels have the same value, there is nothing to see")
        return values

    def warnings(self) -> tuple[str, ...]:
        """Notes, and what is not as it should be about the voxels."""
        sentences = list(self.notes)
        if not self.has_orthogonal_axes:
            sentences.append("the voxel axes are not at right angles, which costs accuracy")
        n_bad = self.array.size - np.count_nonzero(np.isfinite(self.array))
        if n_bad:
            sentences.append(f"{n_bad} voxels are NaN or infinite and were taken as background")
        return tuple(sentences)

    def closest_canonical(self) -> Volume:
        """The same scan with axes permuted and flipped so that i, j, k run closest to right, anterior, superior."""
        orientation = io_orientation(self.voxel_to_ras)
        return replace(
            self,
            array=np.ascontiguousarray(apply_orientation(self.array, orientation)),
            voxel_to_ras=self.voxel_to_ras @ inv_ornt_aff(orientation, self.shape),
        )

    def in_own_order(self, canonical: np.ndarray) -> np.ndarray:
        """An array on the grid of `closest_canonical` in the axis order of this scan."""
        back = ornt_transform(CANONICAL_ORIENTATION, io_orientation(self.voxel_to_ras))
        return np.ascontiguousarray(apply_orientation(canonical, back))


def _checked_affine(affine: np.ndarray, name: str) -> np.ndarray:
    affine = np.array(affine, dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.array_equal(affine[3], [0, 0, 0, 1]):
        raise VolumeError(f"{name}: the matrix from voxels to the patient is not a finite 4×4 affine")
    sizes = voxel_sizes(affine)
    if (sizes <= 0).any() or (sizes > MAXIMUM_VOXEL_SIZE_MM).any():
        raise VolumeError(f"{name}: voxel sizes of {_times(sizes)} mm are impossible; correct the header")
    if abs(np.linalg.det(direction_cosines(affine))) < 0.1:
        raise VolumeError(f"{name}: the voxel axes lie (nearly) in one plane; correct the header's orientation")
    return affine


def _times(sizes: np.ndarray) -> str:
    return " × ".join(f"{size:g}" for size in sizes)


def read_volume(path: str | os.PathLike, frame: int | None = None) -> Volume:
    """Read a NIfTI file.

    Parameters
    ----------
    path : path-like
        ``.nii`` or ``.nii.gz``.
    frame : int, optional
        Which volume of a 4-D file, from 0.

    Returns
    -------
    Volume
        Intensities with the header's slope and intercept applied; lengths in mm whatever the header's unit.

    Raises
    ------
    VolumeError
        If the file is missing, not an image, damaged, 4-D with no frame chosen, or refused by `Volume`.
    """
    path = Path(path)
    image = _open(path)
    n_frames = _count_frames(image, path)
    if frame is None and n_frames > 1:
        raise VolumeError(
            f"{path}: holds {n_frames} frames; 'e3pose estimate' takes one with --frame N (0 to {n_frames - 1}), "
            "or all with --all-frames"
        )
    if frame is not None and not 0 <= frame < n_frames:
        raise VolumeError(f"{path}: has no frame {frame}; its frames are 0 to {n_frames - 1}")
    index = (*[slice(None)] * 3, *([frame or 0] * (image.ndim > 3)), *[0] * (image.ndim - 4))
    try:
        array = np.asarray(image.dataobj[index])
        if path.name.lower().endswith(".gz"):
            # nibabel stops at the last voxel, before the checksum that tells whether they are what was written.
            with gzip.open(path) as stream:
                while stream.read(1 << 24):
                    pass
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise VolumeError(f"{path}: the file is damaged or cut short ({error}); copy or export it again") from error
    affine, notes = _orientation(image)
    return Volume(array, affine, name=str(path), notes=notes)


def count_frames(path: str | os.PathLike) -> int:
    """How many 3-D volumes a NIfTI file holds, from its header alone.

    Raises
    ------
    VolumeError
        If the file is missing, not an image, or of other than 3 or 4 dimensions.
    """
    return _count_frames(_open(Path(path)), Path(path))


def orientation_notes(path: str | os.PathLike) -> tuple[str, ...]:
    """What is doubtful about how a NIfTI file says that it lies in the patient; nothing of a file that is no NIfTI."""
    path = Path(path)
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        return ()
    try:
        return _orientation(_open(path))[1]
    except VolumeError:
        return ()


def _open(path: Path) -> nib.Nifti1Image:
    try:
        if not path.is_file():
            raise VolumeError(f"{path}: no such file")
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        raise VolumeError(f"{path}: not a readable NIfTI image ({error})") from error
    if not isinstance(image, nib.Nifti1Image):
        raise VolumeError(f"{path}: a {type(image).__name__}, not NIfTI; convert it to .nii.gz")
    return image


def _count_frames(image: nib.Nifti1Image, path: Path) -> int:
    if image.ndim < 3 or (image.ndim > 3 and int(np.prod(image.shape[4:])) != 1):
        raise VolumeError(f"{path}: a 3-D or 4-D image is needed, this one has shape {image.shape}")
    return image.shape[3] if image.ndim > 3 else 1


def _orientation(image: nib.Nifti1Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """The affine in mm, and what is doubtful about it."""
    header = image.header
    try:
        scale = _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:
        scale = 1.0
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= scale
    has_qform, has_sform = int(header["qform_code"]) > 0, int(header["sform_code"]) > 0
    if not has_qform and not has_sform:
        return affine, (
            "the file does not say how it lies in the patient (no qform, no sform): left and right may be swapped",
        )
    if has_qform and has_sform:
        try:
            qform = header.get_qform()
        except ValueError:
            return affine, ("the file's qform is no rotation; the sform was used",)
        qform[:3] *= scale
        corner = (*np.subtract(image.shape[:3], 1), 1)
        if not np.abs((qform - affine) @ np.diag(corner)).sum(axis=1).max() <= 1.0:  # NaN is no agreement
            return affine, ("the file's qform and sform disagree by more than 1 mm; the sform was used",)
    return affine, ()


def write_volume(path: str | os.PathLike, volume: Volume) -> None:
    """Write a NIfTI file (``.nii`` or ``.nii.gz``), whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    image = nib.Nifti1Image(volume.array, volume.voxel_to_ras)
    image.header.set_xyzt_units("mm")
    # A qform cannot hold a shear.
    image.set_qform(volume.voxel_to_ras, code=int(has_orthogonal_axes(volume.voxel_to_ras, 1e-4)))
    image.set_sform(volume.voxel_to_ras, code=1)
    with whole_file(path) as temporary:
        nib.save(image, temporary)
