"""Models: all networks and their header, which one safetensors file holds."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ..errors import ModelError
from ..imaging.files import whole_file
from ..networks.equivariant.network import E3CNN
from ..networks.unet.unet import UNet
from .catalog import HEADER_KEY, ModelHeader, design

SECOND = "second_"
"""Begins the names of the second opinion's weights in a model file."""

N_EYES_CLASSES = 3
"""Classes of the networks that find the eyes: background, brain, eyes."""

N_PLACES = 3
"""Further outputs that the upright network may have: how far right, anterior, superior each voxel lies in the head."""


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
