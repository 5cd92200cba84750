"""Models read from files: the project's own, and official weights."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from ..errors import ModelError
from ..networks.equivariant.network import E3CNN
from ..networks.unet.unet import UNet
from .catalog import ModelHeader, find_model, read_header, thresholds_of
from .limits import problem_of_e3cnn, problem_of_unet
from .model import SECOND, Model
from .official import import_e3cnn, import_unet
from .settings import joined_settings

Network = TypeVar("Network", UNet, E3CNN)


def load_model(
    source: str | os.PathLike = "default",
    *,
    unet: str | os.PathLike | None = None,
    e3cnn: str | os.PathLike | None = None,
    device: str | torch.device = "cpu",
) -> Model:
    """Load a model, ready for inference.

    Parameters
    ----------
    source : str or path-like
        The name of a built-in or installed model, or a ``.safetensors`` file.
    unet, e3cnn : path-like, optional
        Official weights instead: the U-Net's ``.ckpt`` and the E(3)-CNN's ``.pth``, both or none.
    device : str or torch.device
        Where the networks go.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If there is no such model, a model and official weights are given, or the file is damaged, of a newer format or
        another architecture, or holds anything but weights.
    """
    if unet is None and e3cnn is None:
        return _read(find_model(source)).to(device)
    if unet is None or e3cnn is None:
        raise ModelError("official weights come in pairs: give both the U-Net's .ckpt and the E(3)-CNN's .pth")
    if str(source) != "default":
        raise ModelError(f"give either the model {str(source)!r} or official weights, not both")
    return import_official(unet, e3cnn).to(device)


def import_official(unet: str | os.PathLike, e3cnn: str | os.PathLike, **changes: Any) -> Model:
    """Build a model from official weights, or from those that this project's training writes.

    The architectures follow from the shapes of the weights. Where training has written its settings beside the weights,
    they are the model's; official files have none and get those of the official program. One of each makes a model
    where the training had the official voxel size and clipped nothing.

    Parameters
    ----------
    unet, e3cnn : path-like
        The U-Net's Lightning checkpoint ``.ckpt`` and the E(3)-CNN's ``.pth``.
    **changes
        Fields of `ModelHeader` that differ from these; ``segmentation`` and ``rotation`` are merged into the
        architectures found.

    Raises
    ------
    ModelError
        If a file is missing, damaged, holds anything but weights, does not fit the architecture, or was trained with
        settings that cannot be or that the other one contradicts.
    """
    segmentation, segmentation_weights, unet_settings = import_unet(unet, "segmentation")
    rotation, rotation_weights, e3cnn_settings = import_e3cnn(e3cnn, "rotation")
    of_each = {"segmentation": unet_settings, "rotation": e3cnn_settings}
    settings = joined_settings(of_each, (str(unet), str(e3cnn)))
    segmentation |= changes.pop("segmentation", {})
    rotation |= changes.pop("rotation", {})
    for path, problem in ((unet, problem_of_unet(segmentation)), (e3cnn, problem_of_e3cnn(rotation))):
        if problem:
            raise ModelError(f"{path}: its architecture cannot be: {problem}")
    header = ModelHeader(
        name=Path(unet).stem,
        segmentation=segmentation,
        rotation=rotation,
        thresholds=thresholds_of(segmentation.get("n_classes", 3)),
        description=f"Imported from {Path(unet).name} and {Path(e3cnn).name}.",
        licence="as the imported weights",
        citation="Muthukrishnan et al., Equivariant Symmetry-Aware Head Pose Estimation for Fetal MRI, 2025",
    )
    header = replace(header, **settings | changes)
    return Model(
        filled(UNet, header.segmentation, segmentation_weights, unet),
        filled(E3CNN, header.rotation, rotation_weights, e3cnn),
        header,
    )


def _read(path: Path) -> Model:
    header = read_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error

    def model(header: ModelHeader, prefix: str, second_opinion: Model | None = None) -> Model:
        def network(network_class: type[Network], part: str) -> Network:
            begins = f"{prefix}{part}."
            weights = {name.removeprefix(begins): one for name, one in tensors.items() if name.startswith(begins)}
            return filled(network_class, getattr(header, part), weights, path)

        return Model(
            network(UNet, "segmentation"),
            network(E3CNN, "rotation"),
            header,
            network(UNet, "eyes") if header.eyes else None,
            network(UNet, "upright") if header.upright else None,
            network(E3CNN, "brain_only") if header.brain_only else None,
            second_opinion,
        )

    second = replace(header, brain_only={}, second_opinion=False)
    return model(header, "", model(second, SECOND) if header.second_opinion else None)


def filled(
    network_class: type[Network], arguments: dict, weights: dict[str, torch.Tensor], path: str | os.PathLike
) -> Network:
    """A network of that class, built with these arguments and weights; weights in half precision become float32."""
    n_weights = sum(weight.numel() for weight in weights.values())
    problem = (problem_of_unet if network_class is UNet else problem_of_e3cnn)(arguments, n_weights)
    if problem:
        raise ModelError(f"{path}: the weights are not those of {network_class.__name__}: {problem}")
    if not all(weight.is_floating_point() or weight.dtype == torch.int64 for weight in weights.values()):
        raise ModelError(f"{path}: the weights are not floating-point numbers; the file is damaged")
    try:
        network = network_class(**arguments)
        network.load_state_dict(weights)
    except (TypeError, ValueError, RuntimeError) as error:
        described = ", ".join(f"{name}={value}" for name, value in arguments.items())
        first_lines = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{path}: the weights are not those of {network_class.__name__}({described}): {first_lines}"
        ) from error
    return network
