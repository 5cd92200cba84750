"""Scans that show a brain and nothing else: skull-stripped volumes, as reconstruction gives them.

Such a scan is its own brain mask. Networks that have learned on whole scans know no brain in a void; surrounded by dim
noise, as if by tissue and air, the same brain is read as in a whole scan.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .cropping import crop_or_pad
from .masks import filled_box, largest_components

BRAIN_ML = (10.0, 600.0)
"""Volume of a fetal brain from 18 weeks to term in a tight or loose mask (Kyriakopoulou et al., 2017: 30 to 450 ml)."""

LARGEST_SHARE = 0.75
"""A brain is one piece: its largest connected part holds at least this share of all that is not background. The rest
may be other tissue that a reconstruction has left in."""

MOST_OF_ITS_BOX = 0.8
"""An ellipsoid fills 0.52 of its bounding box and a brain some 0.6, but a scan cropped to the head all of it."""

DEPTH_MM, GROWTH_MM = 6.0, 9.0
"""What hangs on the brain is eroded away by the first; the rest is dilated by the second within what is shown."""

SURROUNDINGS_MM = 45.0
"""Distance from the brain to the end of the grid, once it has surroundings."""

GREY, NOISE = 0.1, 0.03
"""Mean of the surroundings and standard deviation of the complex noise, relative to the brightest of the brain."""

CUT_SHARE = 0.25
"""A brain that covers this share of a side of its bounding box is cut there: an ellipsoid touches it in a point."""

EVEN = 0.003
"""Half of an even background differs from its value by at most this, relative to the brightest of the brain. The air of
a scan is not so even."""

FRINGE = GREY / 2
"""What is no brighter than this, relative to the brightest of the brain, is background."""

FAINT, MOST_FAINT = 5 * EVEN, 0.5
"""What is brighter than the first, relative to the brightest of the brain, but still background, has at most the second
of the brain's volume: a brain ends at once, and what interpolation leaves lies near its edge (by splines 0.11 at most,
by Fourier transforms 0.37, of 19 brains and 16 synthetic ones). In a whole scan, which may be dim beside something very
bright, the mother alone has more than that."""

AMID = 0.3
"""A background that is further than this from the least and from the largest value, relative to what lies between them,
is amid the intensities of the brain; splines swing by less."""


def flatten_background(array: np.ndarray, voxel_ml: float) -> None:
    """Give the background of a brain alone one value, the least, where it has many that look like one; in place.

    Interpolation by splines swings about the edge of a brain, to below the background too. A whole scan, and a brain in
    a background of one value, stay as they are.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, intensities.
    voxel_ml : float
        Volume of a voxel.
    """
    ends = np.concatenate([array.take(end, axis).ravel() for axis in range(array.ndim) for end in (0, -1)])
    background, least, most = np.median(ends), array.min(), array.max()
    uneven = float(np.median(np.abs(ends - background)))
    if background > most - AMID * (most - least) or uneven > EVEN * (most - least):
        return
    # Else what is darker is swings about the brain's edge: neither deep nor much.
    darker = np.count_nonzero(array < background - FAINT * (most - least))
    brighter = np.count_nonzero(array > background + FRINGE * (most - least))
    is_amid = background > least + AMID * (most - least) or darker > MOST_FAINT * brighter
    apart = np.abs(array - background) if is_amid else array - background
    furthest = float(apart.max())
    shown = apart > FRINGE * furthest
    # Of few scans more has to be looked at.
    if uneven > EVEN * furthest or not np.count_nonzero(shown) * voxel_ml <= BRAIN_ML[1]:
        return
    if not shown.any() or is_brain_only(array, voxel_ml):
        return
    furthest = float(np.quantile(apart[shown], 0.99))
    shown = ndimage.binary_fill_holes(ndimage.binary_closing(apart > FRINGE * furthest))
    flat = np.where(shown, array, least) if is_amid else np.where(shown, np.maximum(array, background), background)
    fades = np.count_nonzero((apart > FAINT * furthest) & ~shown) > MOST_FAINT * np.count_nonzero(shown)
    if uneven <= EVEN * furthest and not fades and is_brain_only(flat, voxel_ml):
        array[...] = flat


def is_brain_only(array: np.ndarray, voxel_ml: float) -> bool:
    """Whether a scan shows one compact thing of a brain's size, and its least value nearly everywhere else.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, intensities.
    voxel_ml : float
        Volume of a voxel.
    """
    shown = array > array.min()
    n_shown = np.count_nonzero(shown)
    if not BRAIN_ML[0] <= n_shown * voxel_ml <= BRAIN_ML[1]:
        return False
    (largest,) = largest_components(shown)
    n_largest = np.count_nonzero(largest)
    return bool(
        n_largest >= LARGEST_SHARE * n_shown and n_largest <= MOST_OF_ITS_BOX * largest[filled_box(largest)].size
    )


def with_surroundings(
    array: np.ndarray, voxel_to_ras: np.ndarray, spacing_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A skull-stripped brain in surroundings of grey and the noise of a magnitude image, which is the same each time.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[D, H, W]``, cubic voxels; 0 around the brain.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    spacing_mm : float
        Edge of a voxel.

    Returns
    -------
    array : np.ndarray
        Float32, with `SURROUNDINGS_MM` more on each side.
    voxel_to_ras : np.ndarray
    brain : np.ndarray
        Of the array's shape, bool: the brain mask, without holes and without what hung on it.
    """
    margin = round(SURROUNDINGS_MM / spacing_mm)
    array, voxel_to_ras = crop_or_pad(array, voxel_to_ras, tuple(n + 2 * margin for n in array.shape))
    # Half of the intensities at its border: interpolation has spread these over two voxels.
    shown = array > np.quantile(array[array > 0], 0.99) * FRINGE
    depth, growth = round(DEPTH_MM / spacing_mm), round(GROWTH_MM / spacing_mm)
    core = largest_components(ndimage.binary_erosion(ndimage.binary_fill_holes(shown), iterations=depth))
    found = [ndimage.binary_dilation(one, iterations=growth, mask=shown) for one in core] or largest_components(shown)
    brain = ndimage.binary_fill_holes(found[0])
    image = np.maximum(np.where(brain, array, 0) / np.quantile(array[brain], 0.99), GREY)
    noise = np.random.default_rng(0).normal(0, NOISE, (2, *image.shape))
    return np.hypot(image + noise[0], noise[1]).astype(np.float32), voxel_to_ras, brain


def is_cut(brain: np.ndarray) -> bool:
    """Whether a brain mask, not empty, ends flat, as where the field of view has cut it."""
    inside = brain[filled_box(brain)]
    sides = (inside.take(index, axis) for axis in range(inside.ndim) for index in (0, -1))
    return any(np.count_nonzero(side) > CUT_SHARE * side.size for side in sides)
