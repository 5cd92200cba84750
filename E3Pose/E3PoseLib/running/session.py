"""A warm model: estimates scan after scan, or follows a series, by the panel's choices; weights are loaded once."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..errors import DeviceError
from ..imaging.volume import Volume
from ..method.estimate import PoseEstimate
from ..method.estimator import PoseEstimator, Progress
from ..method.tracking.tracker import PoseTracker, TrackedFrame
from ..models.catalog import find_model
from ..models.loading import load_model
from ..models.model import Model
from ..networks.device import memory_errors, pick_device
from .summary import with_origin


class Session:
    """Keeps the model of the last request loaded; another model, or a changed file, replaces it."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._identity = ""
        self._key: tuple | None = None
        self._tracker: PoseTracker | None = None
        self._tracked: tuple | None = None
        self._note: str | None = None

    def model(self, arguments: dict) -> Model:
        """The model of ``load_model(**arguments)``, with the name or file under the key ``model``."""
        files = [find_model(value) if name == "model" else Path(value) for name, value in arguments.items()]
        key = (json.dumps(arguments, sort_keys=True), [file.stat().st_mtime_ns for file in files if file.is_file()])
        if self._model is not None and key == self._key:
            return self._model
        self._model = self._key = None  # the old weights go before the new ones come
        named = {name: value for name, value in arguments.items() if name != "model"}
        self._model = load_model(*([arguments["model"]] if "model" in arguments else []), **named)
        self._identity, self._key = self._model.identity, key
        return self._model

    def summary(self, estimate: PoseEstimate, file: str | None = None, **options: Any) -> dict:
        """`with_origin` of the estimate just made and the scan's file.

        The settings are the identity of the model that was loaded for it and these options, those of `estimate`.
        """
        settings = {"model": self._identity, **{name: one for name, one in options.items() if one is not None}}
        if "thresholds" in settings:
            settings["thresholds"] = [float(one) for one in settings["thresholds"]]
        return with_origin(estimate, file, **settings)

    def estimate(
        self,
        volume: Volume,
        model: dict,
        device: str = "auto",
        thresholds: list[float] | None = None,
        precision: str = "float32",
        progress: Progress | None = None,
    ) -> PoseEstimate:
        """Estimate a pose; on a device that was not asked for by name and runs out of memory, again on the processor.

        Parameters
        ----------
        volume : Volume
        model : dict
            Arguments of `load_model`, see `model`.
        device : str
            See `PoseEstimator`.
        thresholds : list of float, optional
            Instead of the model's own, for the first classes of the segmentation (background, brain): the
            probability up to which a class counts as 0.
        precision : str
            See `PoseEstimator`.
        progress : callable, optional
            See `PoseEstimator.estimate`.

        Raises
        ------
        ModelError, DeviceError, VolumeError, NoHeadFoundError
        """
        loaded = self.model(model)
        if thresholds is not None:
            loaded = with_thresholds(loaded, thresholds)
        chosen = pick_device(device)
        try:
            return run(loaded, chosen, volume, precision, progress)
        except DeviceError as error:
            if device != "auto" or chosen.type == "cpu":
                raise
            note = _on_processor(error)
        estimate = run(loaded, torch.device("cpu"), volume, precision, progress)
        return replace(estimate, warnings=(*estimate.warnings, note))

    def track(
        self,
        volume: Volume,
        model: dict,
        series: tuple[str, float | None],
        device: str = "auto",
        thresholds: list[float] | None = None,
        precision: str = "float32",
    ) -> TrackedFrame:
        """Find the head in the next scan of a series by a `PoseTracker`, which goes on from those before.

        Parameters
        ----------
        series : (str, float or None)
            Name of the series, and the time of the scan, see `PoseTracker.add`. Another series, model or choice begins
            anew.

        Other parameters, errors, and what happens where a device runs out of memory, are those of `estimate`. A series
        then stays on the processor.
        """
        name, seconds = series
        loaded, choices = self.model(model), (device, thresholds, precision)
        tracked = (name, choices, self._key)
        if self._tracker is None or tracked != self._tracked:
            if thresholds is not None:
                loaded = with_thresholds(loaded, thresholds)
            self._note, self._tracked = None, tracked
            self._tracker = PoseTracker(make_estimator(loaded, pick_device(device), precision))
        try:
            frame = follow(self._tracker, volume, seconds)
        except DeviceError as error:
            estimator = self._tracker.estimator
            if device != "auto" or estimator.device.type == "cpu":
                raise
            self._note = _on_processor(error)
            self._tracker = PoseTracker(make_estimator(estimator.model, torch.device("cpu"), precision))
            frame = follow(self._tracker, volume, seconds)
        if frame.estimate is None or self._note is None:
            return frame
        return replace(frame, estimate=replace(frame.estimate, warnings=(*frame.estimate.warnings, self._note)))


def run(model: Model, device: torch.device, volume: Volume, precision: str, progress: Progress | None) -> PoseEstimate:
    """One estimate; DeviceError where weights or scan do not fit on the device or into the computer."""
    estimator = make_estimator(model, device, precision)
    # The networks' own lack of memory is told apart inside; what is left is the computer's.
    with memory_errors(torch.device("cpu")):
        return estimator.estimate(volume, progress=progress)


def make_estimator(model: Model, device: torch.device, precision: str) -> PoseEstimator:
    """An estimator; DeviceError where the weights do not fit on the device."""
    with memory_errors(device):
        return PoseEstimator(model, str(device), precision=precision)


def follow(tracker: PoseTracker, volume: Volume, seconds: float | None) -> TrackedFrame:
    """The next scan of a series; DeviceError where it does not fit on the device or into the computer."""
    with memory_errors(torch.device("cpu")):
        return tracker.add(volume, seconds)


def _on_processor(error: DeviceError) -> str:
    return f"computed on the processor instead: {error}"


def with_thresholds(model: Model, thresholds: list[float]) -> Model:
    """The same networks with other thresholds in the header."""
    changed = copy.copy(model)
    own = model.header.thresholds
    changed.header = replace(model.header, thresholds=(*thresholds, *own[len(thresholds) :]))
    return changed
