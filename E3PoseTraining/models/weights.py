"""The weights of one network: written with what is needed to use them, read from any file that may hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from E3PoseLib.errors import ModelError, TrainingError
from E3PoseLib.imaging.files import whole_file
from E3PoseLib.models.limits import problem_of_header
from E3PoseLib.models.loading import filled, load_model
from E3PoseLib.models.official import import_e3cnn, import_unet
from E3PoseLib.models.settings import SETTINGS
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.unet.unet import UNet

_UNET, _E3CNN = (UNet, import_unet), (E3CNN, import_e3cnn)

PARTS = {"segmentation": _UNET, "rotation": _E3CNN, "eyes": _UNET, "upright": _UNET, "brain_only": _E3CNN}
"""Of each network of a model: its class, and what reads weights of it."""


def check_usable(part: str, architecture: dict[str, Any], header: dict[str, Any]) -> None:
    """Refuse flags by which no model could be loaded, before hours of training instead of after them.

    Parameters
    ----------
    part : str
        A key of `PARTS`.
    architecture, header : dict
        As `save_weights` takes them.

    Raises
    ------
    TrainingError
        They are beyond what a model may have.
    """
    if problem := problem_of_header({**header, part: architecture}):
        raise TrainingError(f"No model may have such a network: {problem}.")


def save_weights(path: Path, key: str, weights: dict, architecture: dict[str, Any], header: dict[str, Any]) -> None:
    """Writes weights with what is needed to use them, whole or not at all."""
    with whole_file(path) as temporary:
        torch.save({key: weights, "architecture": architecture, "header": header}, temporary)


def read_network(path: Path, part: str) -> tuple[Any, dict, dict]:
    """One network, its arguments, and its fields of a `ModelHeader`, from any of the files that may hold it.

    Parameters
    ----------
    path : Path
        The file.
    part : str
        A key of `PARTS`.

    Raises
    ------
    ModelError
        The file is missing, damaged or another network's, or asks for what no model may.
    """
    network_class, import_weights = PARTS[part]
    if path.suffix == ".safetensors":
        model = load_model(path)
        if part not in model.networks:
            raise ModelError(f"{path}: this model has no {part} network")
        architecture = getattr(model.header, part)
        return model.networks[part], architecture, {name: getattr(model.header, name) for name in SETTINGS[part]}
    architecture, weights, header = import_weights(path, part)
    return filled(network_class, architecture, weights, path), architecture, header
