"""Models: all networks and their header in one safetensors file; import of official weights."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import ModelError
from ..imaging.files import whole_file
from ..networks.equivariant.network import E3CNN
from ..networks.unet.unet import UNet
from .catalog import (
    HEADER_KEY,
    ModelHeader,
    available_models,
    design,
    find_model,
    model_folders,
    read_header,
    thresholds_of,
)
from .limits import problem_of_e3cnn, problem_of_unet
from .official import import_e3cnn, import_unet

__all__ = [
    "Model",
    "ModelHeader",
    "available_models",
    "find_model",
    "import_official",
    "load_model",
    "model_folders",
    "read_header",
]

SECOND = "second_"
"""Begins the names of the second opinion's weights in a model file."""

N_EYES_CLASSES = 3
"""Classes of the networks that find the eyes: background, brain, eyes."""

N_PLACES = 3
"""Further outputs that the upright network may have: how far right, anterior, superior each voxel lies in the head."""


Network = TypeVar("Network", UNet, E3CNN)


class Model:
    """Networks ready for inference, and their header.

    Parameters
    ----------
    segmentation_network : UNet
    rotation_network : E3CNN
    header : ModelHeader
    eyes_network, upright_network : UNet, optional
        See `ModelHeader.eyes` and `ModelHeader.upright`.
    brain_only_network : E3CNN, optional
        See `ModelHeader.brain_only`.
    second_opinion : Model, optional
        See `ModelHeader.second_opinion`: a model of the same `design`.

    Raises
    ------
    ModelError
        If weights are not finite, the header does not fit the networks, or the second opinion is of another design.
    """

    def __init__(
        self,
        segmentation_network: UNet,
        rotation_network: E3CNN,
        header: ModelHeader,
        eyes_network: UNet | None = None,
        upright_network: UNet | None = None,
        brain_only_network: E3CNN | None = None,
        second_opinion: Model | None = None,
    ) -> None:
        n_classes = segmentation_network.last_conv.out_channels
        if len(header.thresholds) != n_classes or not 0 < header.object_label < n_classes:
            raise ModelError(
                f"model {header.name!r}: {n_classes} classes need as many thresholds and an object label among them, "
                f"got thresholds {header.thresholds} and label {header.object_label}"
            )
        if header.segmentation_edge is not None and header.segmentation_edge % segmentation_network.stride:
            raise ModelError(
                f"model {header.name!r}: the segmentation edge {header.segmentation_edge} is no multiple of "
                f"{segmentation_network.stride}, as its U-Net needs"
            )
        n_levels = max(one.n_levels for one in (rotation_network, brain_only_network) if one is not None)
        if header.rotation_edge < 2**n_levels:
            raise ModelError(
                f"model {header.name!r}: a rotation edge of {header.rotation_edge} voxels cannot be halved "
                f"{n_levels} times"
            )
        with_places = N_EYES_CLASSES + N_PLACES
        for part, closer_network, edge, n_outputs in (
            ("eyes", eyes_network, header.eyes_edge, (N_EYES_CLASSES,)),
            ("upright", upright_network, header.upright_edge, (N_EYES_CLASSES, with_places)),
        ):
            if closer_network is None:
                continue
            if edge % closer_network.stride:
                raise ModelError(
                    f"model {header.name!r}: the {part} network's edge {edge} is no multiple of "
                    f"{closer_network.stride}, as it needs"
                )
            if closer_network.last_conv.out_channels not in n_outputs:
                places = ", and may tell three places" if part == "upright" else ""
                raise ModelError(
                    f"model {header.name!r}: the {part} network needs the classes background, brain and eyes{places}"
                )
        if upright_network is not None and eyes_network is None:
            raise ModelError(
                f"model {header.name!r}: the upright network needs the eyes network, which finds the brain"
            )
        self.segmentation_network = segmentation_network
        self.rotation_network = rotation_network
        self.eyes_network = eyes_network
        self.upright_network = upright_network
        self.brain_only_network = brain_only_network
        self.second_opinion = second_opinion
        # What the networks are, not what somebody has written of them, decides.
        self.header = replace(header, second_opinion=second_opinion is not None)
        if second_opinion is not None and design(self.header) != design(second_opinion.header):
            raise ModelError(f"model {header.name!r}: the second opinion is by networks of another design")
        for network in self.own_networks.values():
            if not all(weight.isfinite().all() for weight in network.state_dict().values()):
                raise ModelError(f"model {header.name!r}: some weights are NaN or infinite; the file is damaged")
            network.eval().requires_grad_(False)
            if isinstance(network, UNet):
                network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # as torch documents it
            else:
                network.freeze()

    @property
    def networks(self) -> dict[str, UNet | E3CNN]:
        """All networks by the prefix of their weights' names in a model file."""
        others = {} if self.second_opinion is None else self.second_opinion.own_networks
        return self.own_networks | {f"{SECOND}{part}": network for part, network in others.items()}

    @property
    def own_networks(self) -> dict[str, UNet | E3CNN]:
        """The same without those of the second opinion."""
        networks: dict[str, UNet | E3CNN | None] = {
            "segmentation": self.segmentation_network,
            "rotation": self.rotation_network,
            "eyes": self.eyes_network,
            "upright": self.upright_network,
            "brain_only": self.brain_only_network,
        }
        return {part: network for part, network in networks.items() if network is not None}

    @property
    def identity(self) -> str:
        """The model's name and a fingerprint of header and weights; different for different models."""
        digest = hashlib.sha256(json.dumps(asdict(self.header), sort_keys=True).encode())
        for network in self.networks.values():
            for name, tensor in sorted(network.state_dict().items()):
                digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return f"{self.header.name}-{digest.hexdigest()[:12]}"

    def with_header(self, **changes: Any) -> Model:
        """The same networks with other fields of the header; so are those of the second opinion."""
        header, second = replace(self.header, **changes), self.second_opinion
        second = None if second is None else second.with_header(**design(header))
        networks: dict[str, Any] = {f"{part}_network": network for part, network in self.own_networks.items()}
        return Model(header=header, second_opinion=second, **networks)

    def to(self, device: torch.device | str) -> Model:
        """Move the networks to a device, in place."""
        for network in self.networks.values():
            network.to(device)
        return self

    def save(self, path: str | os.PathLike, precision: torch.dtype = torch.float32) -> None:
        """Write the model to one ``.safetensors`` file, whole or not at all.

        Parameters
        ----------
        path : path-like
        precision : torch.dtype
            Of convolutions' weights in the file; ``torch.float16`` halves it. Biases and normalisations, which are few
            and may be larger than float16 holds, stay float32, and so does every computation.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        tensors = {
            f"{part}.{name}": _stored(tensor, precision).cpu().contiguous()
            for part, network in self.networks.items()
            for name, tensor in network.state_dict().items()
        }
        with whole_file(path) as temporary:
            try:
                save_file(tensors, temporary, metadata={HEADER_KEY: json.dumps(asdict(self.header))})
            except SafetensorError as error:
                raise OSError(str(error)) from error


def _stored(tensor: torch.Tensor, precision: torch.dtype) -> torch.Tensor:
    """A tensor in the type in which it goes into a file."""
    if tensor.ndim < 2 or not tensor.is_floating_point():
        return tensor
    stored = tensor.to(precision)
    return stored if stored.isfinite().all() else tensor


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
    """Build a model from official weights; the architectures follow from the shapes of the weights.

    Parameters
    ----------
    unet, e3cnn : path-like
        The U-Net's Lightning checkpoint ``.ckpt`` and the E(3)-CNN's ``.pth``.
    **changes
        Fields of `ModelHeader` that differ from the official defaults; ``segmentation`` and ``rotation`` are merged
        into the architectures found.

    Raises
    ------
    ModelError
        If a file is missing, damaged, holds anything but weights, or does not fit the architecture.
    """
    segmentation, segmentation_weights = import_unet(unet)
    rotation, rotation_weights = import_e3cnn(e3cnn)
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
    header = replace(header, **changes)
    return Model(
        _filled(UNet, header.segmentation, segmentation_weights, unet),
        _filled(E3CNN, header.rotation, rotation_weights, e3cnn),
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
            return _filled(network_class, getattr(header, part), weights, path)

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


def _filled(
    network_class: type[Network], arguments: dict, weights: dict[str, torch.Tensor], path: str | os.PathLike
) -> Network:
    """A network of that class, built with these arguments and weights; weights in half precision become float32."""
    n_weights = sum(weight.numel() for weight in weights.values())
    problem = (problem_of_unet if network_class is UNet else problem_of_e3cnn)(arguments, n_weights)
    if problem:
        raise ModelError(f"{path}: the weights are not those of a {network_class.__name__}: {problem}")
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
