"""A scan: its voxels, their position in the world, and which input is refused; reading and writing it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from ..errors import VolumeError
from . import formats
from .files import whole_file
from .geometry import (
    MINIMUM_EDGE_VOXELS,
    direction_cosines,
    has_orthogonal_axes,
    is_grid,
    transform_points,
    voxel_sizes,
)

MAXIMUM_VOXEL_SIZE_MM = 50.0
EXTENT_MM = (20.0, 1000.0)
"""Least and largest length of a scan's longest edge: a brain needs the first, and no scanner holds the second."""

LARGEST_FOR_FLOAT32 = 2.0**24
"""Up to which float32 holds every whole number."""

SCANNER_CODE, ALIGNED_CODE = 1, 2
"""NIfTI's codes for a world that is the scanner's, and for one to which the image was moved."""

CANONICAL_ORIENTATION = axcodes2ornt("RAS")


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
        What messages call it.
    notes : tuple of str
        How it was read, where a reader of the result should know that; sentences.
    doubts : tuple of str
        Why its position in the patient is not certain; sentences. A pose of such a scan is of low confidence.

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
    doubts: tuple[str, ...] = ()

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
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        return float(abs(np.linalg.det(self.voxel_to_ras[:3, :3]))) / 1000

    @property
    def is_left_handed(self) -> bool:
        """Whether the voxel axes i, j, k form a left-handed frame."""
        return bool(np.linalg.det(self.voxel_to_ras[:3, :3]) < 0)

    @property
    def has_orthogonal_axes(self) -> bool:
        """Whether the voxel axes are at right angles, within half a degree."""
        return has_orthogonal_axes(self.voxel_to_ras)

    def intensities(self) -> np.ndarray:
        """The voxels as float32; those that are not finite get the least value of the others.

        Where values exceed 2²⁴, beyond which float32 may not tell them apart, all are scaled linearly to [0, 1].

        Raises
        ------
        VolumeError
            If no voxel is finite, or all are equal within the precision of float32.
        """
        values = self.array
        finite = np.isfinite(values)
        all_finite = bool(finite.all())
        known = values if all_finite else values[finite]
        if not known.size:
            raise VolumeError(f"{self.name}: no voxel has a finite value (NaN or infinite); export the scan again")
        low, high = float(known.min()), float(known.max())
        if max(-low, high) > LARGEST_FOR_FLOAT32:
            # Each term is divided on its own, as the difference may exceed even the range of float64.
            scale = max(-low, high)
            values = (values / scale - low / scale) / (high / scale - low / scale or 1)
        # NIfTI files store the first axis fastest; every step along the axes would copy such an array anew.
        values = values.astype(np.float32, order="C")
        if not all_finite:
            values[~finite] = values[finite].min()
        if values.min() == values.max():
            raise VolumeError(f"{self.name}: all voxels have the same value, there is nothing to see")
        return values

    def warnings(self) -> tuple[str, ...]:
        """Doubts, notes, and what is unusual about the voxels."""
        sentences = [*self.doubts, *self.notes]
        if not self.has_orthogonal_axes:
            sentences.append("the voxel axes are not at right angles, which costs accuracy")
        n_bad = self.array.size - np.count_nonzero(np.isfinite(self.array))
        if n_bad:
            share = f" ({n_bad / self.array.size:.0%})" if n_bad > self.array.size / 100 else ""
            sentences.append(f"{n_bad} voxels{share} are NaN or infinite and were taken as background")
        return tuple(sentences)

    def in_frame(self, frame_to_ras: np.ndarray) -> Volume:
        """The same voxels, with a frame for their world that lies at `frame_to_ras` in the present one, ``[4, 4]``."""
        return replace(self, voxel_to_ras=np.linalg.inv(frame_to_ras) @ self.voxel_to_ras)

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
    if not is_grid(affine):
        raise VolumeError(f"{name}: the voxel axes lie (nearly) in one plane; correct the header's orientation")
    return affine


def _times(sizes: np.ndarray) -> str:
    return " × ".join(f"{size:g}" for size in sizes)


def read_volume(
    path: str | os.PathLike, frame: int | None = None, voxel_size: float | Sequence[float] | None = None
) -> Volume:
    """Read a scan from a file of any format in `imaging.formats`.

    Parameters
    ----------
    path : path-like
        NIfTI, MGH, NRRD, MetaImage, one file of a DICOM series, or a folder with one series.
    frame : int, optional
        Which volume of a 4-D file, from 0.
    voxel_size : float or three of them, optional
        Voxel edges along i, j, k in mm, for a file that has lost them; the middle of the scan stays where it is.

    Returns
    -------
    Volume
        Intensities with the file's scaling applied, complex ones by their magnitude; lengths in mm whatever the file's
        unit.

    Raises
    ------
    VolumeError
        If the file is missing, not an image, damaged, 4-D with no frame chosen, or refused by `Volume`.
    """
    return volume_of(formats.read(Path(path), frame), str(path), voxel_size)


def volume_of(contents: formats.Contents, name: str, voxel_size: float | Sequence[float] | None = None) -> Volume:
    """The volume that a frame of a file is; see `read_volume`."""
    array, notes = contents.array, contents.notes
    if np.iscomplexobj(array):
        array, notes = np.abs(array), (*notes, "the voxels are complex numbers; their magnitude was taken")
    affine, doubts = contents.voxel_to_ras, contents.doubts
    if voxel_size is not None:
        affine = _with_voxel_size(affine, voxel_size, array.shape)
        notes = (*notes, f"voxels of {_times(voxel_sizes(affine))} mm, as told; the file says otherwise")
    return Volume(array, affine, name=name, notes=notes, doubts=doubts)


def _with_voxel_size(affine: np.ndarray, size: float | Sequence[float], shape: tuple[int, ...]) -> np.ndarray:
    """An affine with other voxel sizes, the same directions and the same centre."""
    middle = (np.array(shape[:3]) - 1) / 2
    resized = np.eye(4)
    resized[:3, :3] = direction_cosines(affine) * np.broadcast_to(np.asarray(size, dtype=np.float64), 3)
    resized[:3, 3] = transform_points(affine, middle) - resized[:3, :3] @ middle
    return resized


def count_frames(path: str | os.PathLike) -> int:
    """How many 3-D volumes a file holds, from its header alone; a DICOM series is converted to find out.

    Raises
    ------
    VolumeError
        If the file is missing, not an image, or of other than 3 or 4 dimensions.
    """
    return formats.count_frames(Path(path))


def write_volume(path: str | os.PathLike, volume: Volume, form_code: int = SCANNER_CODE) -> None:
    """Write a NIfTI file (``.nii`` or ``.nii.gz``), whole or not at all; sform and qform say the same.

    Whole numbers of 64 bits are written in the smallest type that holds them, as float64 where they exceed 32 bits.

    Parameters
    ----------
    path : path-like
    volume : Volume
    form_code : int
        What its world is, `SCANNER_CODE` or `ALIGNED_CODE`.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    image = nib.Nifti1Image(_storable(volume.array), volume.voxel_to_ras)
    image.header.set_xyzt_units("mm")
    # A qform cannot hold a shear.
    image.set_qform(volume.voxel_to_ras, code=form_code * has_orthogonal_axes(volume.voxel_to_ras, 1e-4))
    image.set_sform(volume.voxel_to_ras, code=form_code)
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def _storable(array: np.ndarray) -> np.ndarray:
    """The voxels in a type that other programs read from NIfTI files, and that nibabel therefore writes."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.astype(np.uint8)
    if kind == "f":
        return array if size in (4, 8) else array.astype(np.float32 if size < 4 else np.float64)
    if size < 8:
        return array
    low, high = int(array.min()), int(array.max())
    for smaller in (np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(smaller).min <= low and high <= np.iinfo(smaller).max:
            return array.astype(smaller)
    return array.astype(np.float64)
