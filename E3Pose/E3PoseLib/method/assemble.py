"""The pose from what all networks say of a head: its brain's centre, its axes, its eyes; with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging.brain_only import is_cut
from ..imaging.geometry import head_axes_to_ras, rigid, transform_points
from ..imaging.masks import centre_of_mass
from ..imaging.resampling import nearest_on_grid
from ..models.calibration import read_calibration
from ..models.catalog import ModelHeader
from .cut_brain import whole_brain
from .doubt.interleave import interleave_ratios
from .estimate import PoseEstimate
from .eyes import Eyes, average_with_eyes, find_eyes
from .head import EyeMap, Head
from .trust.confidence import Confidence
from .trust.evidence import BRAIN_VOLUME_ML, border_share, orthogonality_error
from .trust.ghosts import is_ghost
from .trust.proportions import stretched_by
from .views import assemble_rotation, average_with_places

MOSTLY_SEEN = 0.2
"""A brain of whose outline the end of the scan cuts less than this has the proportions of the whole."""

LEAST_CONCENTRATION = 0.8
"""Of the axes, below which nobody knows how a brain that is cut goes on beyond the end of the scan."""


def assemble(head: Head, header: ModelHeader, as_official: bool, device: str, precision: str) -> PoseEstimate:
    """The estimate: translation from the brain mask, rotation from axes, places and eyes, both carried to RAS.

    Parameters
    ----------
    head : Head
        Of which all is known that the model's networks see.
    header : ModelHeader
    as_official : bool
        The scan was prepared in the file's own axis order.
    device, precision : str
        Of the networks; recorded in the estimate.

    Returns
    -------
    PoseEstimate
        Without timings.
    """
    scan, seen = head.scan, head.axes
    assert seen is not None
    array, brain = scan.array, head.brain
    if scan.is_continued:
        array, brain = scan.shown_part(array), scan.shown_part(brain)
    voxel_ml = header.spacing_mm**3 / 1000
    n_seen = float(np.count_nonzero(brain))
    is_brain = head.has_skull and n_seen * voxel_ml <= BRAIN_VOLUME_ML[1]
    if is_brain and min(seen.concentration) >= LEAST_CONCENTRATION and not as_official:
        middle, size = whole_brain(array, brain, assemble_rotation(seen.axes))
    else:
        middle, size = centre_of_mass(brain), n_seen
    centre = transform_points(scan.grid_to_ras, middle)
    by_axes = assemble_rotation(head_axes_to_ras(seen.axes, scan.grid_to_ras))
    by_brain = by_axes
    if head.turned is not None:
        by_places = assemble_rotation(head_axes_to_ras(head.turned.T, scan.grid_to_ras))
        by_brain = average_with_places(by_axes, by_places)
    rotation = _with_eyes(by_brain, centre, size * voxel_ml, head.eye_map)
    oriented = scan.oriented
    on_scan = nearest_on_grid(brain.view(np.uint8), scan.grid_to_ras, oriented.shape, oriented.voxel_to_ras)
    if scan.brain is None:
        reaches_border, share_at_border = border_share(array, brain, header.spacing_mm)
    else:
        reaches_border, share_at_border = is_cut(scan.brain), 0.0
    is_seen = not as_official and (share_at_border < MOSTLY_SEEN if scan.brain is None else not reaches_border)
    confidence = Confidence(
        axis_concentration=seen.concentration,
        orthogonality_error_degrees=orthogonality_error(seen.axes),
        view_disagreement_degrees=seen.disagreement_degrees if header.views > 1 else None,
        brain_volume_ml=n_seen * voxel_ml,
        brain_agreement=head.brain_agreement,
        upright_agreement=head.upright_agreement,
        touches_border=reaches_border,
        border_share=share_at_border,
        orientation_doubtful=bool(scan.volume.doubts),
        slices_out_of_order=scan.out_of_order,
        brain_only=scan.brain is not None,
        interleave_ratio=max(interleave_ratios(oriented.array, on_scan)),
        in_ghost=is_ghost(oriented.array, on_scan != 0),
        stretched_by=stretched_by(on_scan, oriented.voxel_to_ras, rotation.matrix) if is_seen else 1.0,
        eyes_probability=None if rotation.eyes is None else rotation.eyes.probability,
        eyes_agree=rotation.eyes_agree,
        eyes_disagreement_degrees=rotation.eyes_disagreement_degrees,
        calibration=read_calibration(header.calibration),
    )
    return PoseEstimate(
        canonical_to_ras=rigid(rotation.matrix, centre),
        mask=on_scan if as_official else scan.volume.in_own_order(on_scan),
        confidence=confidence,
        warnings=(*scan.volume.warnings(), *confidence.warnings()),
        timings={},
        device=device,
        precision=precision,
        eyes=rotation.eyes,
    )


@dataclass(frozen=True)
class _Rotation:
    """The head's rotation (columns are its axes in RAS), and what the eyes say of it."""

    matrix: np.ndarray
    eyes: Eyes | None = None
    eyes_agree: bool | None = None
    eyes_disagreement_degrees: float | None = None


def _with_eyes(by_brain: np.ndarray, centre: np.ndarray, brain_volume_ml: float, eye_map: EyeMap | None) -> _Rotation:
    """The rotation by the brain and, where a network has looked for them, by the eyes."""
    if eye_map is None:
        return _Rotation(by_brain)
    eyes = find_eyes(eye_map.probability, eye_map.voxel_to_ras, centre, brain_volume_ml, by_brain)
    if eyes is None:
        return _Rotation(by_brain, eyes_agree=False)
    rotation, disagreement, agree = average_with_eyes(by_brain, eyes, centre)
    return _Rotation(rotation, eyes, agree, disagreement)
