"""One synthetic scan from a seed and a number: anatomy, posture, place in the mother, acquisition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from E3PoseLib.imaging.volume import EXTENT_MM

from .anatomy.brain import Brain
from .anatomy.drawn_brain import ParametricBrain
from .anatomy.growth import AGE_RANGE_WEEKS
from .anatomy.label_map_brain import read_label_maps
from .kinds import KINDS
from .kinds.kind import Kind, Wanted, cubic

MARGIN = 0.0001
"""Fraction by which a scan's longest edge stays within what a scan may have."""


@dataclass(frozen=True)
class SyntheticScan:
    """A scan and the truth about it.

    Parameters
    ----------
    name : str
    image : np.ndarray
        float32 ``[I, J, K]``, the brain's signal about 1 before the receive field.
    labels : np.ndarray
        uint8 ``[I, J, K]``: brain 1, eyes 2.
    voxel_to_ras, canonical_to_ras : np.ndarray
        float64 ``[4, 4]``.
    age_weeks : float
    kind : str
        What it was acquired as, such as "epi" (`KINDS`).
    contrast : str
        Its sequence, such as "epi" or "haste", or "random".
    lie : str
        "cephalic", "breech" or "transverse".
    brain_visible : float
        Fraction of the brain inside the field of view.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    voxel_to_ras: np.ndarray
    canonical_to_ras: np.ndarray
    age_weeks: float
    kind: str
    contrast: str
    lie: str
    brain_visible: float


class FetalHeadGenerator:
    """Synthetic scans by number: `generator(i)` depends on nothing but the arguments here and `i`.

    Parameters
    ----------
    seed : int
        Of the whole series.
    brains : path, optional
        Folder of label maps (`*_parcellation.nii.gz`), from which about two thirds of the brains are then made; None
        for drawn brains only.
    shape : sequence of int, optional
        Voxels of every scan; None draws what is usual.
    spacing : float, optional
        Edge of isotropic voxels, mm; None draws what is usual.
    field : str
        "uterus" for the usual field of view, "head" for one about the head alone.
    age_range : tuple of float, optional
        Weeks; None is each kind's own.
    motion : float
        1 is usual, 0 freezes the fetus.
    kinds : mapping of str to float
        How often each of `KINDS` is made, relative to the others.

    Raises
    ------
    ValueError
        An argument is out of its bounds.
    VolumeError
        The folder of label maps cannot be used.
    """

    def __init__(
        self,
        seed: int = 0,
        brains: str | Path | None = None,
        shape: Sequence[int] | None = None,
        spacing: float | None = None,
        field: str = "uterus",
        age_range: tuple[float, float] | None = None,
        motion: float = 1.0,
        kinds: Mapping[str, float] | None = None,
    ):
        if seed < 0:
            raise ValueError(f"seed {seed}: give a number from 0 up")
        if shape is not None and (len(shape) != 3 or min(shape) < 16 or max(shape) > 512):
            raise ValueError(f"shape {tuple(shape)}: give three numbers of voxels, at least 16 and at most 512 each")
        if spacing is not None and not 0.5 <= spacing <= 10:
            raise ValueError(f"spacing {spacing} mm: give 0.5 to 10 mm")
        if field not in ("uterus", "head"):
            raise ValueError(f"field {field!r}: give 'uterus' or 'head'")
        if age_range and not AGE_RANGE_WEEKS[0] <= age_range[0] <= age_range[1] <= AGE_RANGE_WEEKS[1]:
            raise ValueError(f"age range {age_range}: give two ages within {AGE_RANGE_WEEKS} weeks, youngest first")
        if not 0 <= motion <= 5:
            raise ValueError(f"motion {motion}: give 0 (none) to 5")
        shares = dict(kinds or {"epi": 1.0})
        unknown = sorted(shares.keys() - KINDS.keys())
        if unknown or not all(share > 0 for share in shares.values()) or not isfinite(sum(shares.values())):
            raise ValueError(f"kinds {shares}: give some of {', '.join(KINDS)}, each with a finite share above 0")
        for name in shares if shape is not None else ():
            _check_edges(shape, spacing, KINDS[name])
        self.seed, self.age_range = seed, age_range
        self.wanted = Wanted(shape, spacing, field, motion)
        self._kinds = [KINDS[name] for name in shares]
        self._shares = np.array(list(shares.values())) / sum(shares.values())
        self._label_maps = read_label_maps(Path(brains)) if brains is not None else []

    def __call__(self, index: int) -> SyntheticScan:
        """Make scan number `index` (from 0 up)."""
        kind = self._kind(index)
        rng = np.random.Generator(np.random.SFC64([self.seed, index]))
        age = kind.draw_age(self.age_range, rng)
        made = kind.make(age, self.draw_brain, self.wanted, rng)
        image, labels, voxel_to_ras = _store(made.image, made.labels, made.voxel_to_ras, rng)
        return SyntheticScan(
            name=self.name(index),
            image=image,
            labels=labels,
            voxel_to_ras=voxel_to_ras,
            canonical_to_ras=made.canonical_to_ras,
            age_weeks=age,
            kind=kind.name,
            contrast=made.contrast,
            lie=made.lie,
            brain_visible=made.brain_visible,
        )

    def name(self, index: int) -> str:
        """Name of scan number `index`, by which tables and files call it."""
        return f"synthetic_{self.seed}_{index:05d}"

    def _kind(self, index: int) -> Kind:
        """Of scan number `index`, by numbers of their own: a scan of a kind is the same in every mixture."""
        rng = np.random.Generator(np.random.SFC64([self.seed, index, 1]))
        return self._kinds[rng.choice(len(self._kinds), p=self._shares)]

    def draw_brain(self, age_weeks: float, rng: np.random.Generator, drawn_fraction: float = 0.35) -> Brain:
        """A brain for an age: drawn from shapes in that fraction of cases, else from a label map near the age."""
        if not self._label_maps or rng.random() < drawn_fraction:
            return ParametricBrain()
        distance = np.array([abs(map_age - age_weeks) for map_age, _ in self._label_maps])
        weights = np.exp(-((distance - distance.min()) ** 2) / (2 * 2.0**2))
        return self._label_maps[rng.choice(len(weights), p=weights / weights.sum())][1]


def _check_edges(shape: Sequence[int], spacing: float | None, kind: Kind) -> None:
    """Refuse a grid that no scan of that kind may have, or not every one."""
    spacings = kind.spacings if spacing is None else cubic((spacing, spacing))
    shortest, longest = (max(np.multiply(shape, one)) for one in spacings)
    # The matrix in the file is rounded.
    low, high = EXTENT_MM[0] * (1 + MARGIN), EXTENT_MM[1] * (1 - MARGIN)
    if not low <= shortest <= longest <= high:
        edge = f"{shortest:g} mm" if spacing is not None else f"{shortest:g} to {longest:g} mm"
        raise ValueError(
            f"shape {tuple(shape)}: the longest edge of {kind.name} would have {edge}; give "
            f"{low:g} to {high:g} mm, by other numbers of voxels or another spacing"
        )


def _store(image, labels, voxel_to_ras, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put the voxel axes in any of the 48 orders and directions; nothing moves in RAS."""
    order = rng.permutation(3)
    flips = rng.random(3) < 0.5
    old_from_new = np.zeros((4, 4))
    old_from_new[3, 3] = 1
    for new, old in enumerate(order):
        old_from_new[old, new] = -1 if flips[new] else 1
        old_from_new[old, 3] = image.shape[old] - 1 if flips[new] else 0
    step = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    return (
        np.ascontiguousarray(image.transpose(order)[step]),
        np.ascontiguousarray(labels.transpose(order)[step]),
        voxel_to_ras @ old_from_new,
    )
