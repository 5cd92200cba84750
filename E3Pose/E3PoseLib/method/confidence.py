"""How far an estimate can be trusted, in numbers and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from ..imaging.masks import box_around
from .eyes import FACE_ELSEWHERE_DEGREES

BRAIN_VOLUME_ML = (10.0, 600.0)
"""From 18 weeks to term, with the margin that a coarse mask needs (Kyriakopoulou et al., 2017: 30 to 450 ml)."""

VIEWS_DISAGREE_DEGREES = 18.0
"""A mean disagreement of the views of this size divides the score by e; see docs/accuracy.md."""

NOT_SQUARE_DEGREES = 26.0
"""An orthogonality error of this size divides the score by e, by its cube. Up to 9 degrees one pose in a hundred is
wrong, beyond that every second (docs/accuracy.md)."""

WITHOUT_EYES = 0.8
"""Factor of the score where no clear eyes agree with the rotation network. Such a pose is never "high"."""

BRIGHTENED = 0.875
"""Factor of the score of a pose that only the brightened scan shows. It lowers the level by one: of those that would be
"moderate" a fifth were wrong (docs/accuracy.md)."""

LEAST_BRAIN_AGREEMENT = 0.7
"""Dice overlap of two brain masks, by the segmentation and the close-up network, below which one of them is wrong."""

LEAST_UPRIGHT_AGREEMENT = 0.87
"""The same for their common brain mask and that of the upright network."""

MOVED_RATIO = 0.95
"""From this interleave ratio on the head has moved between odd and even slices; see docs/accuracy.md."""

SUSPICIOUS_RATIO = 0.85
"""From this ratio on motion may be the reason why a pose is not "high"."""

BORDER_MM = 9.0
"""Thickness of skull and scalp. A brain that ends nearer than this to the end of the scan belongs to a head that may be
cut, even where the mask, which networks draw round, does not reach the end (docs/accuracy.md)."""

MODERATE_SCORE = 0.8
LOW_SCORE = 0.7


@dataclass(frozen=True)
class Confidence:
    """The evidence for and against a pose, and the score and level that follow from it.

    Parameters
    ----------
    axis_concentration : tuple of float
        Of x, y, z, in [0, 1]: how well the voxels of the network's last grid agree on the axis (1: all the same).
    orthogonality_error_degrees : float
        Of the raw axes, see `orthogonality_error`.
    brain_volume_ml : float
        Of the mask.
    touches_border : bool
        Whether the head reaches the border of the scan, so that it may be cut (`touches_border`).
    brain_agreement : float or None
        Dice overlap of the brain masks of segmentation and close-up network; None without a close-up network.
    upright_agreement : float or None
        Dice overlap of their common mask and that of the upright network; None without an upright network.
    view_disagreement_degrees : float or None
        Mean angle between the rotation of each view and that of all views; None where there is one view.
    interleave_ratio : float
        The largest of `interleave_ratios`; from `MOVED_RATIO` on the head has moved between odd and even slices.
    halves_apart_degrees, halves_apart_mm : float or None
        Between the poses of odd and even slices, where the answer is the pose halfway; None otherwise.
    eyes_agree : bool or None
        Whether clear eyes were found where the rotation network has the face, see `eyes.EYES_AGREE_DEGREES`; None where
        the model does not look for them.
    eyes_disagreement_degrees : float or None
        Angle between the rotation network's answer and the rotation that the eyes define; None where none were found.
    by_core : bool
        Whether the pose came from the thickest part of the brain mask, since that of the whole mask was doubtful.
    brightened : bool
        Whether the pose is that of the brightened scan, since that of the scan itself was doubtful.
    another_head_mm : float or None
        Distance of another head, where there seem to be twins; None otherwise.
    in_ghost : bool
        Whether the head is a Nyquist ghost: something brighter half a field of view away looks the same.
    orientation_doubtful : bool
        Whether the file leaves open how the scan lies in the patient.
    brain_only : bool
        Whether the scan shows a skull-stripped brain: there are no eyes to tell by.
    """

    axis_concentration: tuple[float, float, float]
    orthogonality_error_degrees: float
    brain_volume_ml: float
    touches_border: bool
    brain_agreement: float | None = None
    upright_agreement: float | None = None
    view_disagreement_degrees: float | None = None
    interleave_ratio: float = 0.0
    eyes_agree: bool | None = None
    eyes_disagreement_degrees: float | None = None
    halves_apart_degrees: float | None = None
    halves_apart_mm: float | None = None
    by_core: bool = False
    brightened: bool = False
    another_head_mm: float | None = None
    in_ghost: bool = False
    orientation_doubtful: bool = False
    brain_only: bool = False

    @property
    def score(self) -> float:
        """One number in [0, 1]: the weakest axis, times how orthogonal the three are, times how far the views agree.

        It is 0 for an impossible brain, and halved where two networks find different brains, one of which is mistaken;
        where odd and even slices show the head in two places and not each its pose, as views of such a scan agree, on
        what may be the pose of neither; where it is a second thought, from the core of the brain, or from odd and even
        slices of the brightened scan; where the head is the ghost of another; and where the file does not say how the
        scan lies in the patient. Where no clear eyes agree with the rotation network it is a fifth less, and where only
        the brightened scan shows the pose an eighth.
        """
        if not BRAIN_VOLUME_ML[0] <= self.brain_volume_ml <= BRAIN_VOLUME_ML[1]:
            return 0.0
        agreement = float(np.exp(-(self.view_disagreement_degrees or 0.0) / VIEWS_DISAGREE_DEGREES))
        orthogonality = float(np.exp(-((self.orthogonality_error_degrees / NOT_SQUARE_DEGREES) ** 3)))
        far_fetched = self.by_core or (self.brightened and self._between_halves)
        doubts = (
            self._is_of_neither_half,
            self._brains_differ,
            far_fetched,
            self.in_ghost,
            self.orientation_doubtful,
        )
        certainty = 0.5 if any(doubts) else 1.0
        certainty *= WITHOUT_EYES if self.eyes_agree is False else 1.0
        certainty *= BRIGHTENED if self.brightened else 1.0
        return min(self.axis_concentration) * orthogonality * agreement * certainty

    @property
    def may_be_of_neither_half(self) -> bool:
        """Whether odd and even slices may each show a pose of their own, of which this is none."""
        # Where the head has moved for certain, the level is "low" for that.
        return self.interleave_ratio >= SUSPICIOUS_RATIO and self.level != "high" and not self._between_halves

    @property
    def may_be_elsewhere(self) -> bool:
        """Whether the pose is doubtful, and not for the file's orientation or motion of a head with eyes."""
        has_moved = self._is_of_neither_half and self.shows_a_head
        return not has_moved and not replace(self, orientation_doubtful=False).score >= LOW_SCORE

    @property
    def shows_a_head(self) -> bool:
        """Whether there are eyes, wherever, and the networks agree on the brain: a head, be its pose doubtful."""
        return self.eyes_disagreement_degrees is not None and not self._brains_differ

    @property
    def _is_of_neither_half(self) -> bool:
        return self.interleave_ratio >= MOVED_RATIO and not self._between_halves

    @property
    def _between_halves(self) -> bool:
        return self.halves_apart_mm is not None

    @property
    def _brains_differ(self) -> bool:
        overlaps = (
            (self.brain_agreement, LEAST_BRAIN_AGREEMENT),
            (self.upright_agreement, LEAST_UPRIGHT_AGREEMENT),
        )
        return any(overlap is not None and overlap < least for overlap, least in overlaps)

    @property
    def level(self) -> str:
        """The score in a word: "high", "moderate" or "low"; a head that may be cut, has moved or is one of two is never
        "high".
        """
        if not self.score >= LOW_SCORE:  # NaN is low
            return "low"
        doubts = (self.touches_border, self._between_halves, self.another_head_mm is not None)
        return "moderate" if self.score < MODERATE_SCORE or any(doubts) else "high"

    def as_dict(self) -> dict:
        """All numbers with their score and level, for JSON."""
        return {"level": self.level, "score": self.score, **asdict(self)}

    def warnings(self) -> tuple[str, ...]:
        """Plain sentences for whoever reads the pose."""
        sentences = []
        if self.level == "low":
            sentences.append(f"the pose is doubtful (confidence {self.score:.2f}): check it by eye before any use")
        if not BRAIN_VOLUME_ML[0] <= self.brain_volume_ml <= BRAIN_VOLUME_ML[1]:
            sentences.append(
                f"the mask holds {self.brain_volume_ml:.0f} ml, which no fetal brain does "
                f"({BRAIN_VOLUME_ML[0]:.0f} to {BRAIN_VOLUME_ML[1]:.0f} ml)"
            )
        if self._brains_differ:
            sentences.append("two networks find different brains: the centre may be off")
        if self.by_core:
            sentences.append("the brain was found on second thought only: what it touches looked like a part of it")
        if self.brightened:
            sentences.append(
                "the head was read from the brightened scan only: it lies in the dark, or the scan is poor"
            )
        if self.in_ghost:
            sentences.append("what was found is a faint copy of something half a field of view away: a Nyquist ghost")
        if self.another_head_mm is not None:
            sentences.append(
                f"there seems to be another head {self.another_head_mm:.0f} mm away: check that the mask is in the one "
                "that is meant"
            )
        if self._is_of_neither_half:
            sentences.append("odd and even slices show the head in different places: it moved during the scan")
        if self._between_halves:
            sentences.append(
                f"odd and even slices show the head {self.halves_apart_degrees:.0f}° and {self.halves_apart_mm:.0f} mm "
                "apart: the pose is halfway"
            )
        if self.eyes_agree is False:
            apart = self.eyes_disagreement_degrees
            if apart is None or apart > FACE_ELSEWHERE_DEGREES:
                sentences.append("no eyes were found where the face should be: the rotation rests on the brain alone")
            else:
                sentences.append(
                    f"unclear eyes: the rotations by them and by the brain differ by {apart:.0f}°, the answer follows "
                    "mostly the eyes"
                )
        if self.brain_only:
            sentences.append(
                "the scan shows a brain without skull: its outline is the mask, and there are no eyes to tell by"
            )
        if self.touches_border:
            sentences.append("the head reaches the border of the scan: it may be cut, its centre shifted")
        return tuple(sentences)


def touches_border(array: np.ndarray, mask: np.ndarray, spacing_mm: float) -> bool:
    """Whether the head reaches the end of what the scan shows: the brain does, but for less than skull and scalp.

    That end is where the grid ends, or where nothing but zeros follows, three voxels deep or more: a scan that was
    resampled onto another grid ends on slanted planes. Single dark voxels are no border.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[D, H, W]``, intensities.
    mask : np.ndarray
        Of that shape, the brain, not empty.
    spacing_mm : float
        Edge of a voxel.
    """
    # Where a cut head was resampled, a voxel that is partly filled lies between it and the zeros.
    reach = max(2, int(BORDER_MM / spacing_mm))
    # No cube of three voxels that comes so near to the brain reaches beyond this box, unless the grid ends there.
    margin = reach + 2
    box = box_around(mask, margin)
    ends = [(margin * (edges.start == 0), margin * (edges.stop == n)) for edges, n in zip(box, mask.shape, strict=True)]
    empty = np.pad(array[box] == 0, ends, constant_values=True)
    beyond = ndimage.binary_opening(empty, np.ones((3, 3, 3))) if empty.any() else empty
    if not beyond.any():
        return False
    distance = ndimage.distance_transform_edt(~np.pad(mask[box], ends))
    return bool((distance[beyond] <= reach).any())


def axis_concentration(field: torch.Tensor) -> tuple[float, float, float]:
    """How well the voxels agree on each axis.

    Parameters
    ----------
    field : torch.Tensor
        Shape ``[9, d, h, w]``: the pseudovector x and the vectors y, z at each voxel.

    Returns
    -------
    tuple of float
        Of y and z the length of the mean unit vector. Of x, whose sign is free, the same for an axis: with l the
        largest eigenvalue of the mean of x·xᵀ, (3l − 1)/2 (the order parameter of a nematic).
    """
    x, y, z = (functional.normalize(part.flatten(1).double(), dim=0) for part in field.split(3))
    largest = float(torch.linalg.eigvalsh(x @ x.T / x.shape[1])[-1])
    return (
        min(1.0, max(0.0, (3 * largest - 1) / 2)),
        float(y.mean(dim=1).norm()),
        float(z.mean(dim=1).norm()),
    )


def orthogonality_error(axes: np.ndarray) -> float:
    """How far the rows of a 3×3 matrix are from right angles, in degrees, [0, 90].

    The angle whose cosine is the volume that the unit rows span: d where two of them are off by d and the third is
    upright to both, and 90 where all three lie in one plane, whatever the angles between them.
    """
    unit = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return float(np.rad2deg(np.arccos(min(1.0, abs(np.linalg.det(unit))))))
