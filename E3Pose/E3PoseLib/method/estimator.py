"""The method on one page: find the brain, look at it, say how the head lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch

from ..errors import E3PoseError, NoHeadFoundError, VolumeError
from ..imaging.cropping import cut
from ..imaging.geometry import head_axes_to_ras, rigid, transform_points
from ..imaging.intensities import rescale
from ..imaging.masks import centre_of_mass, largest_components
from ..imaging.resampling import nearest_on_grid
from ..imaging.sampling import sample_grids
from ..imaging.volume import Volume
from ..models.model import Model
from ..networks.device import exact_float32, memory_errors, pick_device
from ..networks.equivariant.network import pool_axes
from ..networks.precision import PRECISIONS, fastest_precision, segment
from ..networks.replay import Replay
from ..networks.unet.padding import find_object_without_padding
from .confidence import Confidence, axis_concentration, orthogonality_error, touches_border
from .crop import crop_around, crop_views, cube_around, upright_cube
from .estimate import PoseEstimate
from .eyes import Eyes, average_with_eyes, find_eyes
from .ghosts import is_ghost
from .looks import HALF_TURN, LEFT_AND_RIGHT, Look, closer_look, mirrored_posterior, upright_look
from .motion import between, every_other_slice, interleave_ratios
from .posterior import posterior_to_object
from .prepared import PreparedScan, prepare
from .second_thoughts import is_surer, may_be_elsewhere, shows_a_head, try_others
from .stopwatch import Progress, Stopwatch
from .views import assemble_rotation, combine_views, view_rotations

LEAST_CANDIDATE_ML = 4.0
"""Beside the largest, no smaller thing is tried as the brain: at times a corner is all that the U-Net sees of one."""


class PoseEstimator:
    """Estimates head poses with one model on one device.

    Parameters
    ----------
    model : Model
    device : str
        ``auto`` (an NVIDIA GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, … or ``mps``.
    as_official : bool
        Work in the file's own axis order and on the very grid of the official program. Without, in the axis order
        closest to right, anterior, superior, so that the same scan gives the same pose however it is stored.
    precision : str
        ``float32``, or ``bfloat16`` or ``float16`` for the U-Net's convolutions where the device has them; or ``auto``,
        what `fastest_precision` finds on the first scan and all others then get. The rotation network stays in float32:
        it is faster in the Fourier domain than in lower precision.

    Raises
    ------
    DeviceError
        If there is no such device.
    ValueError
        For an unknown precision.

    >>> estimator = PoseEstimator(model)  # doctest: +SKIP
    >>> estimator.estimate(read_volume("scan.nii.gz")).canonical_to_ras  # doctest: +SKIP
    """

    def __init__(
        self, model: Model, device: str = "auto", *, as_official: bool = False, precision: str = "float32"
    ) -> None:
        if precision not in (*PRECISIONS, "auto"):
            raise ValueError(f"unknown precision {precision!r}; choose auto or one of {', '.join(PRECISIONS)}")
        self.precision = precision
        self.device = pick_device(device)
        self.model = model.to(self.device)
        self.as_official = as_official
        self._closer_network = partial(mirrored_posterior, model.eyes_network, HALF_TURN)
        self._upright_network = partial(mirrored_posterior, model.upright_network, LEFT_AND_RIGHT)
        self._replay = Replay()
        self._view_to_scan = view_rotations(max(self.model.header.views, 1))

    def estimate(self, volume: Volume, progress: Progress | None = None) -> PoseEstimate:
        """Estimate the pose of the head in one scan.

        Parameters
        ----------
        volume : Volume
        progress : callable, optional
            Called with the step that begins and the fraction of the work done.

        Returns
        -------
        PoseEstimate

        Raises
        ------
        VolumeError
            If the intensities are of no use, see `Volume.intensities`.
        NoHeadFoundError
            If the segmentation finds no brain.
        DeviceError
            If the device runs out of memory.
        """
        (result,) = self._estimate([volume], Stopwatch(progress))
        if isinstance(result, E3PoseError):
            raise result
        return result

    def estimate_batch(self, volumes: Sequence[Volume]) -> list[PoseEstimate | E3PoseError]:
        """Estimate several scans, each network run on all of them at once; worth it on a GPU.

        Parameters
        ----------
        volumes : sequence of Volume

        Returns
        -------
        list
            For each scan its estimate, or the error that `estimate` would have raised: one bad scan does not spoil the
            others. Timings are those of the whole batch.

        Raises
        ------
        DeviceError
            If the device runs out of memory: try fewer scans at once.
        """
        return self._estimate(volumes, Stopwatch())

    @exact_float32()
    def _estimate(self, volumes: Sequence[Volume], clock: Stopwatch) -> list[PoseEstimate | E3PoseError]:
        """The pose in each scan; where that is doubtful, or there is none, in the brightened scan too."""
        clock.begin("prepare", 0.0)
        scans, outcomes = _attempt(range(len(volumes)), lambda index: self._prepare(volumes[index]))
        outcomes |= self._find(scans, {}, clock)
        dim = {index: scan for index, scan in scans.items() if may_be_elsewhere(outcomes[index])}
        if dim and self.model.header.candidates > 1:
            clock.begin("prepare", 0.95)
            brightened = {index: scan.brightened() for index, scan in dim.items()}
            known = {
                index: scan.on_grid(outcomes[index].mask)
                for index, scan in dim.items()
                if shows_a_head(outcomes[index])
            }
            for index, outcome in self._find(brightened, known, clock).items():
                doubted = outcome.with_evidence(brightened=True) if isinstance(outcome, PoseEstimate) else outcome
                if is_surer(doubted, outcomes[index]):
                    outcomes[index] = doubted
        # Read when all is done: what candidates cost that were tried in vain belongs to the scan's time too.
        timings = clock.read()
        for index, outcome in outcomes.items():
            if isinstance(outcome, PoseEstimate):
                outcomes[index] = replace(outcome, timings=timings)
        return [outcomes[index] for index in range(len(volumes))]

    def _find(
        self, scans: dict[int, PreparedScan], known: dict[int, np.ndarray], clock: Stopwatch
    ) -> dict[int, PoseEstimate | E3PoseError]:
        """What may be the brain, where that is not known, and the pose of the largest of it; where that is doubtful, of
        the others too.
        """
        unknown = {index: scan for index, scan in scans.items() if index not in known}
        brains, outcomes = self._find_brains(unknown, clock)
        brains |= {index: [mask] for index, mask in known.items()}
        outcomes |= self._estimate_from(scans, {index: masks[0] for index, masks in brains.items()}, clock)
        outcomes |= self._estimate_between(scans, {index: outcomes[index] for index in brains}, clock)
        if self.model.header.candidates > 1:
            estimate_from = partial(self._estimate_from, scans, clock=clock)
            outcomes |= try_others(brains, outcomes, self.model.header.candidates, estimate_from)
        return outcomes

    def _find_brains(
        self, scans: dict[int, PreparedScan], clock: Stopwatch
    ) -> tuple[dict[int, list[np.ndarray]], dict[int, E3PoseError]]:
        """What may be the brain on the model's grid, largest first, and the error of each scan that shows none."""
        if not scans:
            return {}, {}
        clock.begin("segment", 0.05)
        found = dict(zip(scans, self._run(self._find_object, [scan.array for scan in scans.values()]), strict=True))
        return _attempt(scans, lambda index: self._localise(scans[index], found[index].cpu().numpy()))

    def _estimate_from(
        self, scans: dict[int, PreparedScan], masks: dict[int, np.ndarray], clock: Stopwatch
    ) -> dict[int, PoseEstimate]:
        """The method from a first mask of the brain; nothing where there is none."""
        if not masks or self.model.eyes_network is None:
            return self._estimate_seen(scans, {index: Look(mask) for index, mask in masks.items()}, clock)
        clock.begin("eyes", 0.2)
        return self._estimate_seen(scans, self._look_closer(scans, masks), clock)

    def _estimate_seen(
        self, scans: dict[int, PreparedScan], looks: dict[int, Look], clock: Stopwatch
    ) -> dict[int, PoseEstimate]:
        """The method from a closer look, step by step; nothing where there is none."""
        if not looks:
            return {}
        clock.begin("crop", 0.35)
        views = [view for index, look in looks.items() for view in self._crop(scans[index], look.mask)]
        clock.begin("rotate", 0.4)
        fields = iter(self._run(self.model.rotation_network.axes_field, views))
        seen = {index: self._combine(list(islice(fields, len(self._view_to_scan)))) for index in looks}
        if self.model.upright_network is not None:
            clock.begin("upright", 0.8)
            looks = self._look_upright(scans, looks, seen)
        clock.begin("assemble", 0.95)
        return {index: self._assemble(scans[index], seen[index], look) for index, look in looks.items()}

    def _estimate_between(
        self, scans: dict[int, PreparedScan], wholes: dict[int, PoseEstimate], clock: Stopwatch
    ) -> dict[int, PoseEstimate]:
        """Of heads that may have moved between odd and even slices the pose halfway, where both are surer of theirs."""
        axes, halves, looks = {}, {}, {}
        for index, whole in wholes.items():
            if whole.confidence.may_be_of_neither_half and not self.as_official:
                clock.begin("prepare", 0.95)
                scan, oriented = scans[index], scans[index].oriented
                shown = replace(scan.volume, array=whole.mask).closest_canonical().array
                axis = int(np.argmax(interleave_ratios(oriented.array, shown)))
                arrays = (every_other_slice(oriented.array, axis, first) for first in (0, 1))
                try:
                    both = [self._prepare(replace(oriented, array=array), scan) for array in arrays]
                except VolumeError:
                    # One of them is empty, and the other what all slices show.
                    continue
                axes[index] = axis
                look = Look(scan.on_grid(whole.mask), whole.confidence.brain_agreement)
                for first, half in enumerate(both):
                    halves[index, first], looks[index, first] = half, look
        if self.model.upright_network is None:
            found = self._estimate_from(halves, {half: look.mask for half, look in looks.items()}, clock)
        else:
            found = self._estimate_seen(halves, looks, clock)
        settled = {}
        for index, axis in axes.items():
            halfway = between(scans[index].volume, axis, found[index, 0], found[index, 1], wholes[index])
            if halfway is not None:
                settled[index] = halfway
        return settled

    def _prepare(self, volume: Volume, like: PreparedScan | None = None) -> PreparedScan:
        stride = self.model.segmentation_network.stride
        return prepare(volume, self.model.header, stride, self.as_official, like)

    def _localise(self, scan: PreparedScan, is_object: np.ndarray) -> list[np.ndarray]:
        """What may be the brain on the model's grid, largest first, of all that the U-Net calls so."""
        settings = self.model.header
        least = LEAST_CANDIDATE_ML * 1000 / settings.spacing_mm**3
        masks = largest_components(is_object, settings.candidates, least)
        masks = [mask for mask in masks if mask[scan.field_of_view].any()]
        if not masks:
            raise NoHeadFoundError(
                f"{scan.volume.name}: no fetal head was found; check that the scan shows one and that the model "
                "suits it"
            )
        return masks

    def _to_object(self, logits: torch.Tensor) -> torch.Tensor:
        return posterior_to_object(logits, self.model.header.thresholds, self.model.header.object_label)

    def _look_closer(self, scans: dict[int, PreparedScan], masks: dict[int, np.ndarray]) -> dict[int, Look]:
        """The brain by a second network, which sees the head alone, and where eyes may be."""
        settings = self.model.header
        cubes = {index: cube_around(mask, settings.eyes_edge) for index, mask in masks.items()}
        heads = [rescale(cut(scans[index].array, cube), settings.clip_fraction) for index, cube in cubes.items()]
        posteriors = self._run(self._closer_network, heads)
        return {
            index: closer_look(posterior, cube, masks[index], *scans[index].place, settings.spacing_mm)
            for (index, cube), posterior in zip(cubes.items(), posteriors, strict=True)
        }

    def _crop(self, scan: PreparedScan, mask: np.ndarray) -> list[np.ndarray]:
        """What the rotation network sees, from each side."""
        settings = self.model.header
        crop = (settings.rotation_edge, settings.object_fraction)
        if settings.views:
            return list(crop_views(mask, scan.array, *crop, self._view_to_scan, settings.clip_fraction, self.device))
        minimum_edge = 2**self.model.rotation_network.n_levels
        return [crop_around(mask, scan.array, scan.field_of_view, *crop, minimum_edge, settings.clip_fraction)]

    def _combine(self, fields: list[torch.Tensor]) -> _Axes:
        """One set of axes from those seen in each view."""
        raw = torch.stack([pool_axes(field[None])[0] for field in fields]).reshape(-1, 3, 3).cpu().double().numpy()
        concentration = np.mean([axis_concentration(field.cpu()) for field in fields], axis=0)
        return _Axes(*combine_views(raw, self._view_to_scan), concentration)

    def _look_upright(
        self, scans: dict[int, PreparedScan], looks: dict[int, Look], seen: dict[int, _Axes]
    ) -> dict[int, Look]:
        """Brain and eyes by a third one, which sees the head as upright as the rotation network can turn it."""
        settings = self.model.header
        edge = settings.upright_edge
        cubes = {
            index: upright_cube(look.mask, assemble_rotation(seen[index].axes), edge) for index, look in looks.items()
        }
        heads = [
            rescale(head.cpu().numpy(), settings.clip_fraction)
            for index, cube in cubes.items()
            for head in sample_grids(scans[index].array, cube[None], (edge,) * 3, device=self.device)
        ]
        posteriors = self._run(self._upright_network, heads)
        return {
            index: upright_look(posterior, cube, looks[index], *scans[index].place)
            for (index, cube), posterior in zip(cubes.items(), posteriors, strict=True)
        }

    def _assemble(self, scan: PreparedScan, seen: _Axes, look: Look) -> PoseEstimate:
        """Translation from the mask, rotation from the axes that were seen and the eyes, all carried to RAS."""
        centre = transform_points(scan.grid_to_ras, centre_of_mass(look.mask))
        brain_volume_ml = np.count_nonzero(look.mask) * self.model.header.spacing_mm**3 / 1000
        by_network = assemble_rotation(head_axes_to_ras(seen.axes, scan.grid_to_ras))
        rotation = _rotate(by_network, centre, brain_volume_ml, look)
        oriented = scan.oriented
        on_scan = nearest_on_grid(look.mask.view(np.uint8), scan.grid_to_ras, oriented.shape, oriented.voxel_to_ras)
        confidence = Confidence(
            axis_concentration=tuple(seen.concentration.tolist()),
            orthogonality_error_degrees=orthogonality_error(seen.axes),
            view_disagreement_degrees=seen.disagreement if self.model.header.views > 1 else None,
            brain_volume_ml=brain_volume_ml,
            brain_agreement=look.brain_agreement,
            upright_agreement=look.upright_agreement,
            touches_border=touches_border(scan.array, look.mask, self.model.header.spacing_mm),
            orientation_doubtful=bool(scan.volume.notes),
            interleave_ratio=max(interleave_ratios(oriented.array, on_scan)),
            in_ghost=is_ghost(oriented.array, on_scan != 0),
            eyes_agree=rotation.eyes_agree,
            eyes_disagreement_degrees=rotation.eyes_disagreement,
        )
        return PoseEstimate(
            canonical_to_ras=rigid(rotation.matrix, centre),
            mask=on_scan if self.as_official else scan.volume.in_own_order(on_scan),
            confidence=confidence,
            warnings=(*scan.volume.warnings(), *confidence.warnings()),
            timings={},
            device=str(self.device),
            precision=self.precision,
            eyes=rotation.eyes,
        )

    def _find_object(self, batch: torch.Tensor) -> torch.Tensor:
        """What the U-Net calls brain, bool ``[B, D, H, W]``, of scans ``[B, 1, D, H, W]``."""
        network = self.model.segmentation_network
        if self.precision == "auto":
            self.precision = fastest_precision(network, batch, self._to_object)
        if batch.device.type != "cpu":
            # Where calls are replayed the same is computed each time, whatever the batch shows.
            return self._to_object(segment(network, self.precision, batch))
        return find_object_without_padding(partial(segment, network, self.precision), batch, self._to_object)

    def _run(self, network: Callable[[torch.Tensor], torch.Tensor], arrays: list[np.ndarray]) -> list[torch.Tensor]:
        """What a network makes of arrays ``[D, H, W]``, those of one shape together."""
        outputs: list[torch.Tensor | None] = [None] * len(arrays)
        for shape in dict.fromkeys(array.shape for array in arrays):
            indices = [index for index, array in enumerate(arrays) if array.shape == shape]
            alike = [arrays[index] for index in indices]
            # That of a single scan is no copy.
            batch = torch.from_numpy(np.stack(alike) if len(alike) > 1 else alike[0][None])[:, None]
            with torch.inference_mode(), memory_errors(self.device):
                for index, output in zip(indices, self._replay(network, batch.to(self.device)), strict=True):
                    outputs[index] = output
        return outputs


def _rotate(by_network: np.ndarray, centre: np.ndarray, brain_volume_ml: float, look: Look) -> _Rotation:
    """The head's rotation by the rotation network and, where a look tells of them, by the eyes."""
    if look.eye_probability is None:
        return _Rotation(by_network)
    eyes = find_eyes(look.eye_probability, look.voxel_to_ras, centre, brain_volume_ml, by_network)
    if eyes is None:
        return _Rotation(by_network, eyes_agree=False)
    rotation, disagreement, agree = average_with_eyes(by_network, eyes, centre)
    return _Rotation(rotation, eyes, agree, disagreement)


def _attempt(indices: Iterable[int], step: Callable[[int], Any]) -> tuple[dict[int, Any], dict[int, E3PoseError]]:
    """A step of each scan: what it gives, and the error of each scan with which it went wrong."""
    done, failures = {}, {}
    for index in indices:
        try:
            done[index] = step(index)
        except E3PoseError as error:
            failures[index] = error
    return done, failures


@dataclass(frozen=True)
class _Axes:
    """What the rotation network says: rows x, y, z in the grid's axes, how far views disagree, how sure each is."""

    axes: np.ndarray
    disagreement: float
    concentration: np.ndarray


@dataclass(frozen=True)
class _Rotation:
    """The head's rotation, as columns its axes in RAS, and what the eyes say of it."""

    matrix: np.ndarray
    eyes: Eyes | None = None
    eyes_agree: bool | None = None
    eyes_disagreement: float | None = None
