"""The scanner: a voxel grid whose slices are taken one by one while fetus and mother move, and its artifacts.

Inside this module slices are stacked along the third voxel axis and phase is encoded along the second; the
generator permutes and flips the axes of what comes out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from .shapes import Points, smooth_noise

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """Voxels of a scan before anything moves: shape [3], spacing [3] mm, voxel_to_ras [4, 4] right-handed."""

    shape: tuple[int, int, int]
    spacing: np.ndarray
    voxel_to_ras: np.ndarray


@dataclass(frozen=True)
class Trajectory:
    """Rigid motion at each slice: `fetus` [K, 4, 4] within the canonical frame, `mother` [K, 4, 4] within
    RAS.
    """

    fetus: np.ndarray
    mother: np.ndarray


class View:
    """What a moving, distorted grid sees of one frame: where in that frame each voxel takes its signal."""

    def __init__(self, grid: Grid, voxel_to_frame: np.ndarray, shift: np.ndarray):
        """voxel_to_frame [K, 4, 4] of each slice; shift [I, J, K] displacement in voxels along phase
        encoding.
        """
        self._grid, self._shift = grid, shift
        self._matrices = voxel_to_frame.astype(np.float32)
        frame_to_voxel = np.linalg.inv(voxel_to_frame)
        self._frame_to_voxel = frame_to_voxel.mean(axis=0)[:3]
        self._spread = np.abs(frame_to_voxel[:, :3] - self._frame_to_voxel).max(axis=0)
        self._reach = np.array([1.0, 1.0 + np.abs(shift).max(initial=0.0), 1.0])

    @property
    def extent(self) -> np.ndarray:
        """Size [3] in mm of the field of view along the voxel axes."""
        return np.array(self._grid.shape) * self._grid.spacing

    def within(self, to_frame: np.ndarray) -> "View":
        """The view of another frame, into which `to_frame` [4, 4] takes this one."""
        return View(self._grid, to_frame @ self._matrices, self._shift)

    def box(self, lower: np.ndarray, upper: np.ndarray) -> Box | None:
        """Smallest block of voxels that may see anything between two corners [3] in mm; None if empty."""
        half, middle = (upper - lower) / 2, (upper + lower) / 2
        matrix, spread = self._frame_to_voxel, self._spread
        centre = matrix[:, :3] @ middle + matrix[:, 3]
        # No slice strays from the mean position by more than `spread` says at the farthest corner.
        slack = self._reach + spread[:, :3] @ (np.abs(middle) + half) + spread[:, 3]
        extent = np.abs(matrix[:, :3]) @ half + slack
        first, last = np.floor(centre - extent).astype(int), np.ceil(centre + extent).astype(int) + 1
        first, last = np.maximum(first, 0), np.minimum(last, self._grid.shape)
        return None if np.any(first >= last) else tuple(slice(*pair) for pair in zip(first, last, strict=True))

    def points(self, box: Box | None = None, stride: int = 1, through: float = 0.0) -> Points:
        """Position of voxels in the frame, mm: every `stride`-th in plane, moved by `through` slices along
        the stack.
        """
        box = box or tuple(slice(0, n) for n in self._grid.shape)
        i = np.arange(box[0].start, box[0].stop, stride, dtype=np.float32)[:, None, None]
        j = np.arange(box[1].start, box[1].stop, stride, dtype=np.float32)[None, :, None]
        slices = np.arange(box[2].start, box[2].stop)
        m = self._matrices[slices]
        k = slices.astype(np.float32) + np.float32(through)
        column = j + self._shift[box[0], box[1], box[2]][::stride, ::stride]
        return tuple(m[:, row, 0] * i + m[:, row, 1] * column + (m[:, row, 2] * k + m[:, row, 3]) for row in range(3))


def slice_times(count: int, rng: np.random.Generator) -> np.ndarray:
    """When each slice is taken, in [0, 1): odd and even slices in two passes as a rule, else in sequence or
    in three.
    """
    passes = int(rng.choice([1, 2, 3], p=[0.12, 0.78, 0.1]))
    order = np.concatenate([np.arange(first, count, passes) for first in rng.permutation(passes)])
    times = np.empty(count)
    times[order] = np.arange(count) / count
    return times


def draw_trajectory(count: int, strength: float, rng: np.random.Generator) -> Trajectory:
    """Random motion over `count` slices. `strength` 1 moves the head by some 3 mm and 3 degrees between two
    passes.
    """
    times = slice_times(count, rng)
    courses = _courses(times, 9, rng) * strength
    fetus = np.tile(np.eye(4), (count, 1, 1))
    fetus[:, :3, :3] = Rotation.from_rotvec(np.radians(2.0 * courses[:3].T)).as_matrix()
    fetus[:, :3, 3] = 1.6 * courses[3:6].T
    mother = np.tile(np.eye(4), (count, 1, 1))
    breath = np.sin(2 * np.pi * (times * rng.uniform(3, 40) + rng.random()))
    mother[:, :3, 3] = np.outer(breath, rng.normal(0, [0.4, 1.0, 1.0])) * strength + 0.8 * courses[6:9].T
    return Trajectory(fetus, mother)


def _courses(times: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random functions of time [count, K]: steps, as a fetus kicks, on a slow drift."""
    courses = rng.normal(0, 0.6, (count, 1)) * (times - 0.5)
    for _ in range(rng.integers(1, 4)):
        step = np.tanh((times - rng.uniform(0.1, 0.9)) / rng.uniform(0.01, 0.15))
        courses = courses + rng.normal(0, 0.8, (count, 1)) * step
    return courses


def centre_trajectory(
    trajectory: Trajectory, grid: Grid, canonical_to_ras: np.ndarray, brain: np.ndarray
) -> Trajectory:
    """Shift and turn a motion as a whole so that the head, on the mean of what the slices show, is where it should be.

    Thereby the pose asked for is the pose of the labels. brain: [n, 3] points spread evenly over it, canonical mm
    with mean 0.
    """
    fetus, mother = trajectory.fetus.copy(), trajectory.mother.copy()
    canonical_to_voxel = np.linalg.inv(grid.voxel_to_ras) @ canonical_to_ras
    slices = np.arange(grid.shape[2])[:, None]
    # A head cut by the field of view is seen in part: that part's centre is what must stay in place.
    still = canonical_to_voxel[2, :3] @ brain.T + canonical_to_voxel[2, 3]
    within = (still > -0.5) & (still < grid.shape[2] - 0.5)
    if not within.any():
        return trajectory
    expected = brain[within].mean(axis=0)
    for _ in range(3):
        to_voxel = np.linalg.inv(grid.voxel_to_ras) @ mother @ canonical_to_ras @ fetus
        seen = np.maximum(1 - np.abs(to_voxel[:, 2, :3] @ brain.T + to_voxel[:, 2, 3:] - slices), 0)
        count = seen.sum(axis=1)
        if not count.any():
            return trajectory
        mean = Rotation.from_matrix(fetus[:, :3, :3]).mean(count).as_matrix()
        fetus[:, :3, :3] = mean.T @ fetus[:, :3, :3]
        sums = np.einsum("kij,kj->i", to_voxel[:, :3, :3], seen @ brain) + count @ to_voxel[:, :3, 3]
        shown = np.linalg.solve(canonical_to_voxel, [*sums / count.sum(), 1])[:3]
        fetus[:, :3, 3] -= shown - expected
    return Trajectory(fetus, mother)


def distortion(
    grid: Grid, head_voxel: np.ndarray, head_radius: float, strength: float, rng: np.random.Generator
) -> np.ndarray:
    """Displacement in voxels along phase encoding [I, J, K]: smooth, `strength` mm in standard deviation.

    Near the head its best linear fit is taken away, so it bends the head but neither shifts nor turns it: the pose
    stays that of the labels. head_voxel: [3]; head_radius: mm.
    """
    cells = np.array(grid.shape) * grid.spacing / 110
    # Fewer than two bumps cannot be drawn; over a smaller field the same distortion is weaker instead.
    strength *= min(1.0, float(cells.min()) / 2) / grid.spacing[1]
    field = smooth_noise(rng, grid.shape, cells) * np.float32(strength)
    offsets = np.ix_(
        *(
            ((np.arange(n) - c) * s / head_radius).astype(np.float32)
            for n, c, s in zip(grid.shape, head_voxel, grid.spacing, strict=True)
        )
    )
    inside = np.ix_(*(np.flatnonzero(np.abs(offset.ravel()) < 1) for offset in offsets))
    if any(index.size < 2 for index in inside):
        return field
    near = [np.broadcast_to(offset, field.shape)[inside].ravel() for offset in offsets]
    design = np.stack([np.ones_like(near[0]), *near], axis=1)
    constant, *slopes = np.linalg.lstsq(design, field[inside].ravel(), rcond=None)[0]
    fit = constant + sum(slope * offset for slope, offset in zip(slopes, offsets, strict=True))
    for offset in offsets:
        fit = fit * np.exp(-0.5 * (offset / np.float32(2.5)) ** 4)  # flat over the head, nought far from it
    return field - fit


def corrupt(image: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Point spread, receive field, slice-wise signal loss, Nyquist ghost and Rician noise; [I, J, K] float32
    >= 0.
    """
    shape = image.shape
    for axis, blur in ((0, rng.uniform(0.25, 0.5)), (1, rng.uniform(0.3, 0.75))):
        image = gaussian_filter1d(image, blur, axis=axis, truncate=2.5)
    image = image * receive_field(shape, spacing, rng)
    gains = 1 + rng.normal(0, rng.choice([0.01, 0.03, 0.08]), shape[2])
    gains[::2] *= 1 + rng.normal(0, 0.03)
    if rng.random() < 0.25:  # a kick spoils whole slices
        start = rng.integers(0, shape[2])
        gains[start : start + rng.integers(1, 4)] *= rng.uniform(0.3, 0.8)
    image *= np.maximum(gains, 0.1).astype(np.float32)
    if rng.random() < 0.6:
        image += np.float32(rng.uniform(0.01, 0.07)) * np.roll(image, shape[1] // 2, axis=1)
    sigma = np.float32(rng.uniform(0.01, 0.05))
    floor = sigma * np.float32(rng.uniform(0.5, 3.5))
    noise = rng.standard_normal(shape, np.float32)
    noise *= sigma
    image += noise
    image *= image
    noise *= noise
    image += noise[::-1, ::-1, ::-1]  # the imaginary channel: drawing numbers twice would cost as much again
    image += floor * floor
    return np.sqrt(image, out=image)


def receive_field(shape: Iterable[int], spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coil sensitivity [I, J, K] about 1: a smooth random field and a fall-off away from one or two sides."""
    shape = tuple(shape)
    bias = smooth_noise(rng, shape, (3, 3, 3)) * np.float32(rng.uniform(0.1, 0.5))
    for axis, n in enumerate(shape):
        slope = rng.normal(0, 0.6)
        bias += np.float32(slope) * np.linspace(-1, 1, n, dtype=np.float32).reshape(np.roll([-1, 1, 1], axis))
    return np.exp(bias, out=bias)
