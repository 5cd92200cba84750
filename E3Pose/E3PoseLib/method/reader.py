"""One set of networks that reads scans: finds the brain, looks closer, rotates, looks at the head upright."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..models.catalog import ModelHeader
from ..models.model import Model
from ..networks.inference import Inference
from .assemble import assemble
from .close_ups import CloseUps
from .doubt.reading import Reading
from .estimate import PoseEstimate
from .head import Head
from .localise import BrainLocaliser
from .stopwatch import Stopwatch
from .views import HeadViews


class Reader:
    """Runs one set of a model's networks.

    Parameters
    ----------
    model : Model
        Whose own networks these are; its second opinion is another reader.
    header : ModelHeader
        By which the answers are judged: of the model that was given to `PoseEstimator`.
    device : torch.device
    precision : str
        See `BrainLocaliser`.
    as_official : bool
        See `PoseEstimator`.
    """

    def __init__(
        self, model: Model, header: ModelHeader, device: torch.device, precision: str, as_official: bool
    ) -> None:
        self._header = header
        self._device = device
        self._as_official = as_official
        self._infer = Inference(device)
        self._model = model
        self.localiser = BrainLocaliser(model, self._infer, precision)
        self.close_ups = CloseUps(model, self._infer)
        self.views = HeadViews(model, self._infer)

    def fewer_views(self, most: int) -> HeadViews:
        """Views of a head, at most so many."""
        return HeadViews(self._model, self._infer, most)

    def __call__(self, readings: Sequence[Reading], clock: Stopwatch, views: HeadViews | None = None) -> list[Reading]:
        """Find the brains where there are none yet; then estimate the pose of the head around the first of them.

        Parameters
        ----------
        readings : sequence of Reading
            Not read yet.
        clock : Stopwatch
        views : HeadViews, optional
            In place of the reader's own.

        Returns
        -------
        list of Reading
            With outcomes.

        Raises
        ------
        DeviceError
            If the device runs out of memory.
        """
        readings = self._localise(readings, clock)
        heads = [Head(one.scan, one.brains[0], one.brain_agreement) for one in readings if one.brains]
        estimates = iter(self._estimate_heads(heads, clock, views or self.views))
        return [one.with_outcome(next(estimates)) if one.brains else one for one in readings]

    def _localise(self, readings: Sequence[Reading], clock: Stopwatch) -> Sequence[Reading]:
        """The same readings with what may be the brain, or with the error that there is none."""
        unknown = [one.scan for one in readings if not one.brains]
        if not unknown:
            return readings
        clock.begin("segment", 0.05)
        found = iter(self.localiser(unknown))
        return [one if one.brains else one.with_brains(next(found)) for one in readings]

    def _estimate_heads(self, heads: list[Head], clock: Stopwatch, views: HeadViews) -> list[PoseEstimate]:
        """Look closer, rotate, look at the head upright, assemble."""
        if not heads:
            return []
        if self.close_ups.sees_heads and any(head.wants_close_up for head in heads):
            clock.begin("eyes", 0.2)
            heads = self.close_ups.in_scan(heads)
        clock.begin("crop", 0.35)
        crops = [views.crop(head) for head in heads]
        clock.begin("rotate", 0.4)
        heads = views.rotate(heads, crops)
        if self.close_ups.sees_upright_heads:
            clock.begin("upright", 0.8)
            heads = self.close_ups.upright(heads)
        clock.begin("assemble", 0.95)
        official, device, precision = self._as_official, str(self._device), self.localiser.precision
        return [assemble(head, self._header, official, device, precision) for head in heads]
