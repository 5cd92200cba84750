"""Weights that a training begins with: those of an earlier run, of a narrower network, or of another part."""

from __future__ import annotations

from pathlib import Path

import torch

from E3PoseLib.errors import ModelError
from E3PoseLib.networks.unet.unet import UNet

from .weights import PARTS, read_network


def initialise(network: torch.nn.Module, path: Path | None, part: str, further_outputs: int = 0) -> None:
    """Begins with the weights of an earlier run, where its file is given.

    A `UNet` may have a multiple of the features that it had there: it begins with the same answer. And it may have
    been trained for another part of a model.

    Parameters
    ----------
    network : torch.nn.Module
        A `UNet` or an `E3CNN`.
    path : Path | None
        What ``--init`` names.
    part : str
        Which of a model's networks it is, a key of `PARTS`.
    further_outputs : int
        Of a `UNet`: how many of its last outputs may be missing there, and then begin at random.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another architecture.
    """
    if path is None:
        return
    is_model = path.suffix == ".safetensors"
    weights = read_network(path, part)[0].state_dict() if is_model else PARTS[part][1](path)[1]
    try:
        if isinstance(network, UNet):
            weights = widened(weights, network.state_dict())
            weights = with_outputs(weights, network.state_dict(), further_outputs)
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"--init {path}: not the network that the flags describe: {error}") from error


def widened(weights: dict[str, torch.Tensor], wide: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a U-Net in one with a multiple of its features: each feature stands beside its copies.

    Who reads them takes their mean, so the answer is the same but for a little noise, a tenth of each kernel's spread,
    without which copies would learn the same for ever (Chen et al., Net2Net, ICLR 2016).

    Parameters
    ----------
    weights : dict[str, torch.Tensor]
        Of the narrow network.
    wide : dict[str, torch.Tensor]
        Weights of the shapes that are wanted. Input channels and classes are not multiplied.
    """
    first = "list_encoder_blocks.0.0.weight"
    copies = wide[first].shape[0] // weights[first].shape[0]
    if copies < 2:
        return weights
    result = {}
    for name, weight in weights.items():
        is_kernel = weight.ndim > 1
        if weight.ndim and not name.startswith("last_conv."):
            weight = weight.repeat_interleave(copies, 0)
        if is_kernel and name != first:
            weight = weight.repeat_interleave(copies, 1) / copies
        result[name] = weight + 0.1 * weight.std() * torch.randn_like(weight) if is_kernel else weight
    return result


def with_outputs(
    weights: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], n_further: int
) -> dict[str, torch.Tensor]:
    """The weights of a U-Net that lacks the last outputs, with these as they are in another.

    Parameters
    ----------
    weights : dict[str, torch.Tensor]
        Given back as they are where not just so many outputs are missing.
    wanted : dict[str, torch.Tensor]
        Of the network that has all outputs.
    n_further : int
        How many may be missing.
    """
    last = [name for name in weights if name.startswith("last_conv.")]
    if any(len(weights[name]) + n_further != len(wanted[name]) for name in last):
        return weights
    return weights | {name: torch.cat([weights[name], wanted[name][len(weights[name]) :]]) for name in last}
