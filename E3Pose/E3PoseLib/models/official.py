"""Reading weights from checkpoints of the official program and of this project's training."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import torch

from ..errors import ModelError
from .checkpoint import read_checkpoint

_UNET_PREFIX = "model."


def import_unet(path: str | os.PathLike) -> tuple[dict, dict[str, torch.Tensor]]:
    """Architecture (arguments of `UNet`) and weights from a U-Net's Lightning checkpoint.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds anything but weights, or is not such a checkpoint.
    """
    checkpoint, architecture = _read_weights(path, "state_dict", "a U-Net's Lightning checkpoint (.ckpt)")
    weights = {
        name.removeprefix(_UNET_PREFIX): tensor for name, tensor in checkpoint.items() if name.startswith(_UNET_PREFIX)
    }
    if architecture:
        return architecture, weights
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
    return architecture, weights


def import_e3cnn(path: str | os.PathLike) -> tuple[dict, dict[str, torch.Tensor]]:
    """Architecture (arguments of `E3CNN`) and weights from an E(3)-CNN's ``.pth``.

    Only learned weights are taken; lattices, spherical harmonics and couplings are computed by this project.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds anything but weights, or is not such a file.
    """
    checkpoint, architecture = _read_weights(path, "net_state_dict", "an E(3)-CNN's .pth file")
    weights = {}
    for name, tensor in checkpoint.items():
        own = name.replace("net.down.down_blocks.", "blocks.").replace("net.out.", "head.")
        if re.fullmatch(r"(blocks\.\d+\.conv\d|head)(\.sc)?\.weight|blocks\.\d+\.batchnorm\d\.(weight|bias)", own):
            weights[own] = tensor
    if architecture:
        return architecture, weights
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
    return architecture, weights


def _count(weights: Mapping[str, torch.Tensor], pattern: str) -> int:
    return len({match[1] for name in weights if (match := re.match(pattern, name))})


def _read_weights(path: str | os.PathLike, key: str, description: str) -> tuple[dict[str, torch.Tensor], dict]:
    """Weights by name, and the architecture where the file tells it, as those of this project's training do."""
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
    return dict(weights), dict(architecture)
