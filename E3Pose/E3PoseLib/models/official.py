"""Reading weights from checkpoints of the official program and of this project's training."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import ModelError
from .checkpoint import read_checkpoint
from .settings import check_settings

_UNET_PREFIX = "model."


def import_unet(
    path: str | os.PathLike, part: str | None = None
) -> tuple[dict, dict[str, torch.Tensor], dict[str, Any]]:
    """Architecture (arguments of `UNet`), weights and settings from a U-Net's Lightning checkpoint.

    Parameters
    ----------
    path : path-like
    part : str, optional
        A key of `SETTINGS`: the network whose settings these must be. Official files have none.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds anything but weights, is not such a checkpoint, or is another part's.
    """
    checkpoint, architecture, settings = _read_weights(
        path, part, "state_dict", "a U-Net's Lightning checkpoint (.ckpt)"
    )
    weights = {
        name.removeprefix(_UNET_PREFIX): tensor for name, tensor in checkpoint.items() if name.startswith(_UNET_PREFIX)
    }
    if architecture:
        return architecture, weights, settings
    try:
        first = weights["list_encoder_blocks.0.0.weight"]
        second = weights.get("list_encoder_blocks.1.0.weight")
        architecture = {
            "n_levels": _count(weights, r"list_encoder_blocks\.(\d+)\."),
            "n_features": first.shape[0],
            "feature_multiplier": second.shape[0] // first.shape[0] if second is not None else 1,
            "n_classes": weights["last_conv.weight"].shape[0],
        }
    except (LookupError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: not the weights of an official U-Net ({error!r})") from error
    return architecture, weights, settings


def import_e3cnn(
    path: str | os.PathLike, part: str | None = None
) -> tuple[dict, dict[str, torch.Tensor], dict[str, Any]]:
    """Architecture (arguments of `E3CNN`), weights and settings from an E(3)-CNN's ``.pth``.

    Only learned weights are taken; lattices, spherical harmonics and couplings are computed by this project.

    Parameters
    ----------
    path : path-like
    part : str, optional
        A key of `SETTINGS`: the network whose settings these must be. Official files have none.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds anything but weights, is not such a file, or is another part's.
    """
    checkpoint, architecture, settings = _read_weights(path, part, "net_state_dict", "an E(3)-CNN's .pth file")
    weights = {}
    for name, tensor in checkpoint.items():
        own = name.replace("net.down.down_blocks.", "blocks.").replace("net.out.", "head.")
        if re.fullmatch(r"(blocks\.\d+\.conv\d|head)(\.sc)?\.weight|blocks\.\d+\.batchnorm\d\.(weight|bias)", own):
            weights[own] = tensor
    if architecture:
        return architecture, weights, settings
    try:
        harmonics = checkpoint["net.down.down_blocks.0.conv1.sh"]
        architecture = {
            "n_levels": _count(weights, r"blocks\.(\d+)\.") - 1,
            "kernel_size": harmonics.shape[0],
            # The first self-connection leads from one scalar to 4m scalars and 6m gates.
            "multiplicity": weights["blocks.0.conv1.sc.weight"].numel() // 10,
            "n_radial": weights["blocks.0.conv1.weight"].shape[0],
            "lmax": round(harmonics.shape[-1] ** 0.5) - 1,
            "signed_odd_scalars": True,
        }
    except LookupError as error:
        raise ModelError(f"{path}: not the weights of an official E(3)-CNN ({error!r})") from error
    return architecture, weights, settings


def _count(weights: Mapping[str, torch.Tensor], pattern: str) -> int:
    return len({match[1] for name in weights if (match := re.match(pattern, name))})


def _read_weights(
    path: str | os.PathLike, part: str | None, key: str, description: str
) -> tuple[dict[str, torch.Tensor], dict, dict[str, Any]]:
    """Weights by name; architecture and settings where the file tells them, as those of this project's training do."""
    try:
        document = read_checkpoint(path)
    except ModelError as error:
        raise ModelError(f"{error}; {description} is needed") from error
    weights = document.get(key) if isinstance(document, dict) else None
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()
    ):
        raise ModelError(f"{path}: has no weights under {key!r}; {description} is needed")
    architecture = document.get("architecture", {})
    if not isinstance(architecture, Mapping) or not all(isinstance(name, str) for name in architecture):
        raise ModelError(f"{path}: its architecture is damaged; {description} is needed")
    return dict(weights), dict(architecture), check_settings(path, part, document.get("header", {}))
