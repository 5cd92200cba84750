"""A scan as the networks take it: reoriented, without margins, on cubic voxels, of bounded intensities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import VolumeError
from ..imaging.brain_only import flatten_background, is_brain_only, with_surroundings
from ..imaging.cropping import crop_or_pad, shown_box, whole_multiple
from ..imaging.geometry import rigid, voxel_sizes
from ..imaging.intensities import darken_fill, rescale
from ..imaging.masks import ball, bounding_box
from ..imaging.resampling import GRID_TOLERANCE, nearest_on_grid, resample_isotropic, straighten
from ..imaging.volume import Volume
from ..models.catalog import ModelHeader
from .trust.slice_order import slices_out_of_order

CONTINUED_MM = 42.0
"""How far a scan goes on beyond its end in `PreparedScan.continued`: about a brain's radius, less helps less."""


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan on its way through the networks.

    Parameters
    ----------
    volume : Volume
        As it was given.
    oriented : Volume
        The same in the axis order that the networks see, float32.
    shown : tuple of slice
        What of its grid is not empty: its margins are left off.
    array : np.ndarray
        Shape ``[D, H, W]``, float32 in [0, 1], on the model's grid.
    grid_to_ras : np.ndarray
        Shape ``[4, 4]``, of that grid.
    field_of_view : tuple of slice
        What of that grid the scan covers.
    brain : np.ndarray or None
        Of a skull-stripped scan the brain mask on the model's grid, bool, and `array` has surroundings; else None.
    is_continued : bool
        Whether the scan goes on beyond its end, see `continued`.
    out_of_order : bool
        See `slices_out_of_order`.
    """

    volume: Volume
    oriented: Volume
    shown: tuple[slice, ...]
    array: np.ndarray
    grid_to_ras: np.ndarray
    field_of_view: tuple[slice, ...]
    brain: np.ndarray | None = None
    is_continued: bool = False
    out_of_order: bool = False

    @property
    def known_brains(self) -> tuple[np.ndarray, ...]:
        """The brain mask of a skull-stripped scan; nothing for any other."""
        return () if self.brain is None else (self.brain,)

    @property
    def shown_mm(self) -> np.ndarray:
        """How far the field of view reaches along each axis of the grid, ``[3]``."""
        return np.array([edges.stop - edges.start for edges in self.field_of_view]) * self._spacing_mm

    def ball_in_the_middle(self, radius_mm: float) -> np.ndarray:
        """What the scan shows of a ball about the middle of the field of view, bool on the model's grid."""
        middle = np.array([edges.start + edges.stop - 1 for edges in self.field_of_view]) / 2
        return self.shown_part(ball(self.array.shape, middle, radius_mm / self._spacing_mm))

    def on_grid(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the scan's own voxels on the model's grid, by the nearest voxel; bool."""
        shown = replace(self.volume, array=mask).closest_canonical()
        return nearest_on_grid(shown.array, shown.voxel_to_ras, self.array.shape, self.grid_to_ras) > 0

    def brightened(self) -> PreparedScan:
        """The same by the square root of its intensities: what lies far from the coils comes out of the dark."""
        return self._by(np.sqrt)

    def darkened(self) -> PreparedScan:
        """The same by the square of its intensities: what is bright parts from what is brighter."""
        return self._by(np.square)

    def continued(self, stride: int) -> PreparedScan:
        """The same on a larger grid, in which what lies at the end of the scan goes on beyond it, `CONTINUED_MM` far.

        Networks read a head better that is cut by more of the same than by nothing. The edges of the grid are multiples
        of the stride, as in `prepare`; the field of view is what the scan shows, as before.
        """
        n = round(CONTINUED_MM / self._spacing_mm)
        array = np.pad(self.array[self.field_of_view], n, mode="edge")
        grid = self.grid_to_ras @ rigid(np.eye(3), [edges.start - n for edges in self.field_of_view])
        array, grid_to_ras = crop_or_pad(array, grid, whole_multiple(array.shape, stride))
        shift = np.rint((np.linalg.inv(grid_to_ras) @ grid)[:3, 3]).astype(int) + n
        sizes = (edges.stop - edges.start for edges in self.field_of_view)
        field_of_view = tuple(slice(int(a), int(a) + size) for a, size in zip(shift, sizes, strict=True))
        return replace(self, array=array, grid_to_ras=grid_to_ras, field_of_view=field_of_view, is_continued=True)

    def shown_part(self, array: np.ndarray) -> np.ndarray:
        """An array on the model's grid, 0 beyond the field of view."""
        shown = np.zeros_like(array)
        shown[self.field_of_view] = array[self.field_of_view]
        return shown

    @property
    def _spacing_mm(self) -> float:
        return float(voxel_sizes(self.grid_to_ras)[0])

    def _by(self, contrast: np.ufunc) -> PreparedScan:
        above_least = self.oriented.array - self.oriented.array.min()
        return replace(self, oriented=replace(self.oriented, array=contrast(above_least)), array=contrast(self.array))


def prepare(
    volume: Volume, settings: ModelHeader, stride: int, as_official: bool = False, like: PreparedScan | None = None
) -> PreparedScan:
    """Reorient, resample to the model's cubic voxels, crop or pad to what its U-Net takes, rescale to [0, 1].

    Parameters
    ----------
    volume : Volume
    settings : ModelHeader
        Of the model.
    stride : int
        The edges of what its U-Net takes are multiples of this.
    as_official : bool
        In the file's own axis order, with its margins, on the very grid of the official program.
    like : PreparedScan, optional
        A scan on the same voxels, with whose margins this one's are cut, and which decides whether there is a skull: so
        both come to the same grid. It tells of the order of the slices, too.

    Returns
    -------
    PreparedScan

    Raises
    ------
    VolumeError
        If the intensities are of no use, see `Volume.intensities`, or what the U-Net takes is empty.
    """
    oriented = volume if as_official else volume.closest_canonical()
    oriented = replace(oriented, array=oriented.intensities())
    if not as_official:
        flatten_background(oriented.array, oriented.voxel_ml)
        darken_fill(oriented.array)
    straight = oriented if as_official or oriented.has_orthogonal_axes else straighten(oriented)
    array = rescale(straight.array)
    if as_official:
        shown = tuple(slice(0, size) for size in array.shape)
    else:
        # Else the fraction that is clipped, of all voxels, would depend on how much nothing there is around.
        shown = like.shown if like is not None else shown_box(array)
    out_of_order = slices_out_of_order(array[shown]) if like is None else like.out_of_order
    array, grid = resample_isotropic(
        array[shown],
        straight.voxel_to_ras @ rigid(np.eye(3), [edges.start for edges in shown]),
        settings.spacing_mm,
        tolerance=0.0 if as_official else GRID_TOLERANCE,
    )
    brain = None
    shows_brain_only = is_brain_only(straight.array, straight.voxel_ml) if like is None else like.brain is not None
    if not as_official and shows_brain_only:
        array, grid, brain = with_surroundings(array, grid, settings.spacing_mm)
    edges = settings.segmentation_edge or whole_multiple(array.shape, stride)
    brain = None if brain is None else crop_or_pad(brain, grid, edges)[0]
    array, grid = crop_or_pad(array, grid, edges)
    array = rescale(array, settings.clip_fraction)
    field_of_view = bounding_box(array != 0)
    if field_of_view is None:
        raise VolumeError(f"{volume.name}: the middle of the scan is empty; crop the scan to what it shows")
    return PreparedScan(volume, oriented, shown, array, grid, field_of_view, brain, out_of_order=out_of_order)
