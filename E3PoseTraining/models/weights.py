"""The weights of one network: written with what is needed to use them, read from any file that may hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from E3PoseLib.errors import ModelError
from E3PoseLib.imaging.files import whole_file
from E3PoseLib.models.loading import load_model
from E3PoseLib.models.official import import_e3cnn, import_unet
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.unet.unet import UNet

_ROTATION = (E3CNN, import_e3cnn, ("spacing_mm", "rotation_edge", "object_fraction", "views", "clip_fraction"))

PARTS = {
    "segmentation": (
        UNet,
        import_unet,
        ("spacing_mm", "segmentation_edge", "thresholds", "object_label", "clip_fraction", "candidates"),
    ),
    "rotation": _ROTATION,
    "eyes": (UNet, import_unet, ("spacing_mm", "eyes_edge", "clip_fraction")),
    "upright": (UNet, import_unet, ("spacing_mm", "upright_edge", "clip_fraction")),
    "brain_only": _ROTATION,
}
"""Of each network of a model: its class, what reads official weights of it, and its fields of a header."""


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
        The file is missing, damaged or another network's.
    """
    network_class, import_weights, fields = PARTS[part]
    if path.suffix == ".safetensors":
        model = load_model(path)
        if part not in model.networks:
            raise ModelError(f"{path}: this model has no {part} network")
        architecture = getattr(model.header, part)
        return model.networks[part], architecture, {name: getattr(model.header, name) for name in fields}
    architecture, weights = import_weights(path)
    header = torch.load(path, weights_only=True, map_location="cpu").get("header", {})
    if header and not set(header) <= set(fields):
        raise ModelError(f"{path}: a network trained for another part of a model, with {', '.join(header)}")
    try:
        network = network_class(**architecture)
        network.load_state_dict(weights)
    except (TypeError, RuntimeError) as error:
        raise ModelError(f"{path}: the weights do not fit {network_class.__name__}({architecture}): {error}") from error
    return network, architecture, header
