"""A head that moved between odd and even slices: each half of them is read, and the pose is mostly the one halfway.

What networks say of a scan that shows the head twice may be the pose of neither half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch

from ...errors import VolumeError
from ...imaging.geometry import pose_difference, rigid
from ...imaging.rotations import orthonormalise
from ...imaging.volume import Volume
from ...models.model import Model
from ..estimate import PoseEstimate
from ..prepared import PreparedScan, prepare
from ..trust.confidence import FURTHEST_DEGREES, MODERATE
from .interleave import every_other_slice, interleave_ratios
from .reading import Doubt, Reading


class MovedHalves:
    """Reads odd and even slices apart, where the head may have moved between them.

    Parameters
    ----------
    model : Model
    """

    within: Sequence[Doubt] = ()
    marks: Mapping[str, bool] = MappingProxyType({})
    shows_same_pose = False

    def __init__(self, model: Model) -> None:
        self._header = model.header
        self._stride = model.segmentation_network.stride
        # Upright, each half shows its own brain; without that network the close-up must find it.
        self._keeps_brain = model.upright_network is not None

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading of the even and one of the odd slices, from the brain that all of them show."""
        whole = reading.estimate
        if whole is None or not whole.confidence.may_be_of_neither_half:
            return []
        scan = reading.scan
        axis = _slice_axis(scan, whole)
        arrays = [every_other_slice(scan.oriented.array, axis, first) for first in (0, 1)]
        try:
            halves = [self._prepare(replace(scan.oriented, array=array), scan) for array in arrays]
        except VolumeError:
            # One of them is empty, and the other shows what all slices show.
            return []
        brains = (scan.on_grid(whole.mask),)
        agreement = whole.confidence.brain_agreement if self._keeps_brain else None
        return [reading.again(half, brains, agreement) for half in halves]

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The pose halfway, or that of one half, see `between`; where both halves are surer of theirs."""
        estimates = [one.estimate for one in (reading, *others) if one.estimate is not None]
        if len(estimates) != 3:
            return reading
        whole, even, odd = estimates
        found = between(reading.scan.volume, _slice_axis(reading.scan, whole), even, odd, whole)
        return reading if found is None else reading.with_outcome(found)

    def _prepare(self, half: Volume, scan: PreparedScan) -> PreparedScan:
        return prepare(half, self._header, self._stride, like=scan)


def _slice_axis(scan: PreparedScan, whole: PoseEstimate) -> int:
    """The axis of `PreparedScan.oriented` along which neighbouring slices differ most."""
    shown = replace(scan.volume, array=whole.mask).closest_canonical().array
    return int(np.argmax(interleave_ratios(scan.oriented.array, shown)))


def between(
    volume: Volume, axis: int, even: PoseEstimate, odd: PoseEstimate, whole: PoseEstimate
) -> PoseEstimate | None:
    """The estimate halfway between those of even and of odd slices; of clear ones that are far apart the surer one.

    Parameters
    ----------
    volume : Volume
        The scan.
    axis : int
        Across the slices, of `Volume.closest_canonical`.
    even, odd : PoseEstimate
        By the scan in that order, as `every_other_slice` gives it.
    whole : PoseEstimate
        By the scan as it is.

    Returns
    -------
    PoseEstimate or None
        With the confidence of the less certain half and, slice by slice, the mask of the half that it is of. Where both
        are further apart than `FURTHEST_DEGREES`, and neither is doubtful, the more certain half as it is: its
        probability is halved. None where that half is no more certain than the whole, or further apart and doubtful.
    """
    # Their brains were compared with that of the whole, which shows the head twice: it speaks against neither.
    even, odd = (half.with_evidence(upright_agreement=None) for half in (even, odd))
    degrees, mm = pose_difference(even.canonical_to_ras, odd.canonical_to_ras)
    less, more = sorted((even, odd), key=lambda half: half.confidence.certainty)
    if less.confidence.certainty <= whole.confidence.certainty:
        return None
    are_clear = less.confidence.probability is not None and less.confidence.probability >= MODERATE
    ratio = whole.confidence.interleave_ratio
    less, more = (
        half.with_evidence(interleave_ratio=ratio, halves_apart_degrees=degrees, halves_apart_mm=mm)
        for half in (less, more)
    )
    if degrees > FURTHEST_DEGREES:
        warnings = (*volume.warnings(), *more.confidence.warnings())
        return replace(more, mask=volume.in_own_order(more.mask), warnings=warnings) if are_clear else None
    mask = even.mask.copy()
    np.moveaxis(mask, axis, 0)[1::2] = np.moveaxis(odd.mask, axis, 0)[1::2]
    found = replace(
        less,
        canonical_to_ras=halfway(even.canonical_to_ras, odd.canonical_to_ras),
        mask=volume.in_own_order(mask),
        warnings=volume.warnings(),
        eyes=even.eyes.halfway_to(odd.eyes) if even.eyes and odd.eyes else None,
    )
    return found.with_evidence(touches_border=less.confidence.touches_border or more.confidence.touches_border)


def halfway(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The pose between two.

    Parameters
    ----------
    one, other : np.ndarray
        Shape ``[4, 4]``, rigid, mm.

    Returns
    -------
    np.ndarray
        Shape ``[4, 4]``, rigid: the rotation nearest to both, and the middle of both origins.
    """
    mean = (one + other) / 2
    return rigid(orthonormalise(torch.from_numpy(mean[:3, :3])).numpy(), mean[:3, 3])
