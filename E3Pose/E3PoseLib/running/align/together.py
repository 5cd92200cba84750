"""Stacks that are at hand, brought together: for the command and for Slicer's worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...alignment.consensus import FURTHEST_MM, Placed, brought_together
from ...alignment.quality import Quality, common_brain, quality, seen_together
from ...alignment.registration import can_register, registered
from ...alignment.stack import PosedStack, Sample
from ...errors import AlignmentError, NoHeadFoundError, VolumeError
from ...imaging.geometry import pose_difference
from ...imaging.rotations import matrix_to_euler
from ...imaging.volume import Volume
from ...method.estimate import PoseEstimate
from ..session import Session

ESTIMATING = 0.7
"""Share of the progress that estimating the poses of all stacks takes."""

SAME_MM = 1e-3
"""Formats round where a scan lies."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Together:
    """What became of stacks that were brought together.

    Parameters
    ----------
    placed : list of Placed
        In the order of the stacks.
    together : Sample
        What those that were kept show.
    is_registered : bool
        Whether they were registered; otherwise each stands by its own pose.
    remarks : tuple of str
        Why they were not registered, where that was asked for.
    """

    placed: list[Placed]
    together: Sample
    is_registered: bool
    remarks: tuple[str, ...] = ()


def bring_together(stacks: Sequence[PosedStack], refine: bool = True, furthest_mm: float = FURTHEST_MM) -> Together:
    """Bring stacks together by registration where that is possible, else as their poses are.

    Parameters
    ----------
    stacks : sequence of PosedStack
        At least one.
    refine : bool
        False leaves out registration.
    furthest_mm : float
        See `brought_together`.

    Raises
    ------
    AlignmentError
        If no two of several stacks show the same head.
    """
    remarks: tuple[str, ...] = ()
    if refine and not can_register():
        remarks = ("SimpleITK is not installed (pip install 'e3pose[formats]'): poses stay as estimated",)
        refine = False
    placed = brought_together(stacks, registered if refine else None, furthest_mm)
    return Together(placed, seen_together(placed), refine, remarks)


def check_another(volume: Volume, other: Volume) -> None:
    """Refuse a stack that is there already: it would agree with itself, and count twice in a reconstruction.

    Raises
    ------
    VolumeError
        Both have the same voxels in the same place, in whatever order and format.
    """
    one, another = volume.closest_canonical(), other.closest_canonical()
    if one.shape != another.shape or not np.allclose(one.voxel_to_ras, another.voxel_to_ras, rtol=0, atol=SAME_MM):
        return
    if np.array_equal(one.array, another.array, equal_nan=True):
        raise VolumeError(f"{volume.name}: is the same stack as {other.name}, which is taken once")


def align_volumes(
    session: Session,
    volumes: Sequence[Volume],
    files: Sequence[str | None],
    model: dict,
    options: dict,
    progress: Progress,
) -> tuple[dict, list[np.ndarray | None]]:
    """Estimate the pose in each of several stacks of one fetus, and bring the stacks together.

    Parameters
    ----------
    session : Session
    volumes : sequence of Volume
    files : sequence of str or None
        Of each, that it was read from.
    model, options : dict
        Arguments of `Session.estimate`.
    progress : callable
        ``progress(stage, fraction)`` is called on the way.

    Returns
    -------
    answer : dict
        ``stacks``, a dictionary for each in their order: ``kept``, ``reason`` (why not), ``notes``, ``order`` (from 1,
        best first), ``likeness``, ``coverage``, ``slices_at_place`` and ``result``, the summary of an estimate whose
        pose is where the common frame lies in that stack. ``registered`` and ``remarks`` are those of `Together`.
    masks : list of np.ndarray or None
        The brain on which they agree, uint8 on the grid of each that was kept.

    Raises
    ------
    ModelError, DeviceError
        The poses cannot be estimated.
    AlignmentError
        Fewer than two stacks show a head, or no two the same.
    """
    estimates: dict[int, PoseEstimate] = {}
    reasons: dict[int, str] = {}
    for index, volume in enumerate(volumes):

        def told(stage: str, fraction: float, index: int = index) -> None:
            progress(f"Stack {index + 1} of {len(volumes)}", ESTIMATING * (index + fraction) / len(volumes))

        try:
            for other in estimates:
                check_another(volume, volumes[other])
            estimates[index] = session.estimate(volume, model, **options, progress=told)
        except (VolumeError, NoHeadFoundError) as error:
            reasons[index] = str(error)
    if len(estimates) < 2:
        raise AlignmentError(f"of {len(volumes)} stacks {len(estimates)} can be used: {'; '.join(reasons.values())}")
    progress("Aligning the stacks", ESTIMATING)
    stacks = [
        PosedStack(volumes[index].name, volumes[index], estimate.canonical_to_ras, estimate.mask)
        for index, estimate in estimates.items()
    ]
    found = bring_together(stacks)
    placed = dict(zip(estimates, found.placed, strict=True))
    worth = {index: quality(one, found.together) for index, one in placed.items() if one.is_kept}
    order = {index: place for place, index in enumerate(sorted(worth, key=lambda index: -worth[index].worth), 1)}
    results = {
        index: _aligned(
            session.summary(estimates[index], files[index], **options),
            placed[index],
            estimates[index].confidence.bounds_without_landmarks,
        )
        for index in worth
    }
    answers = [
        {"kept": False, "reason": reasons[index]}
        if index in reasons
        else _described(placed[index], results.get(index), worth.get(index), order.get(index, 0))
        for index in range(len(volumes))
    ]
    masks = [_mask(placed[index], found.together) if index in worth else None for index in range(len(volumes))]
    return {"stacks": answers, "registered": found.is_registered, "remarks": list(found.remarks)}, masks


def _mask(placed: Placed, together: Sample) -> np.ndarray | None:
    """The brain on a stack's grid; None where the stack shows nothing of it."""
    mask = common_brain(placed, together)
    return mask if mask.any() else None


def _described(placed: Placed, result: dict | None, worth: Quality | None, order: int) -> dict:
    """What became of a stack, as JSON takes it."""
    if worth is None:
        return {"kept": False, "reason": placed.reason, "likeness": placed.likeness}
    return {
        "kept": True,
        "reason": "",
        "notes": list(placed.notes),
        "order": order,
        "likeness": placed.likeness,
        "coverage": worth.coverage,
        "slices_at_place": worth.slices_at_place,
        "result": result,
    }


def _aligned(result: dict, placed: Placed, bounds: tuple[float, float] | None) -> dict:
    """The summary of an estimate with the pose of the alignment in place of its own.

    Its confidence is that of the stack's own pose. Where the new one lies outside of the bounds of that, which are
    `Confidence.bounds_without_landmarks`, the confidence has nothing to say of it, and is low.
    """
    degrees, mm = pose_difference(np.array(result["canonical_to_ras"]), placed.frame_to_ras)
    moved = f"the pose is that of the aligned stacks, {degrees:.1f}° and {mm:.1f} mm from the stack's own"
    confidence = result["confidence"]
    is_outside = bounds is not None and (degrees > bounds[0] or mm > bounds[1])
    if placed.is_mended or is_outside:
        confidence = {**confidence, "level": "low", "probability": None, "bound_degrees": None, "bound_mm": None}
        moved += "; how sure that one was says nothing of this: look at the comparison"
    return {
        **result,
        "canonical_to_ras": placed.frame_to_ras.tolist(),
        "euler_xyz_degrees": matrix_to_euler(torch.from_numpy(placed.frame_to_ras[:3, :3].copy())).tolist(),
        "confidence": confidence,
        "alignment": list(placed.notes),
        "warnings": [*placed.notes, moved, *result["warnings"]],
    }
