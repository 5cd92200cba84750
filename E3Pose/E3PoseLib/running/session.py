"""A warm model: estimates scan after scan, by the panel's choices, without loading the weights again."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import DeviceError
from ..imaging.volume import Volume
from ..method.estimate import PoseEstimate
from ..method.estimator import PoseEstimator, Progress
from ..models.catalog import find_model
from ..models.model import Model, load_model
from ..networks.device import memory_errors, pick_device


class Session:
    """Keeps the model of the last request loaded; another model, or a changed file, replaces it."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._key: tuple | None = None

    def model(self, arguments: dict) -> Model:
        """The model of ``load_model(**arguments)``, with the name or file under the key ``model``."""
        files = [find_model(value) if name == "model" else Path(value) for name, value in arguments.items()]
        key = (json.dumps(arguments, sort_keys=True), [file.stat().st_mtime_ns for file in files if file.is_file()])
        if self._model is not None and key == self._key:
            return self._model
        self._model = self._key = None  # the old weights go before the new ones come
        named = {name: value for name, value in arguments.items() if name != "model"}
        self._model = load_model(*([arguments["model"]] if "model" in arguments else []), **named)
        self._key = key
        return self._model

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
            note = f"computed on the processor instead: {error}"
        estimate = run(loaded, torch.device("cpu"), volume, precision, progress)
        return replace(estimate, warnings=(*estimate.warnings, note))


def run(model: Model, device: torch.device, volume: Volume, precision: str, progress: Progress | None) -> PoseEstimate:
    """One estimate; DeviceError where weights or scan do not fit on the device or into the computer."""
    with memory_errors(device):
        estimator = PoseEstimator(model, str(device), precision=precision)
    # The networks' own lack of memory is told apart inside; what is left is the computer's.
    with memory_errors(torch.device("cpu")):
        return estimator.estimate(volume, progress=progress)


def with_thresholds(model: Model, thresholds: list[float]) -> Model:
    """The same networks with other thresholds in the header."""
    changed = copy.copy(model)
    own = model.header.thresholds
    changed.header = replace(model.header, thresholds=(*thresholds, *own[len(thresholds) :]))
    return changed
