"""Models: one safetensors file with both networks and all that is needed to use them; import of official weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .equivariant.network import E3CNN
from .errors import ModelError
from .files import whole_file
from .official import import_e3cnn, import_unet
from .segmentation.unet import UNet

FORMAT_VERSION = 1
_HEADER_KEY = "e3pose"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says of itself.

    Parameters
    ----------
    name : str
    segmentation, rotation : dict
        Arguments of `UNet` and `E3CNN`.
    spacing_mm : float
        Voxels that both networks see.
    segmentation_edge, rotation_edge : int
        Edges of their inputs, voxels.
    object_fraction : float
        Extent of the brain relative to the rotation network's input.
    thresholds : tuple of float
        For each class, the probability up to which it counts as 0.
    object_label : int
        Class of the brain.
    description, training_data, licence, citation : str
        The model card.
    format_version : int
    """

    name: str
    segmentation: dict = field(default_factory=dict)
    rotation: dict = field(default_factory=dict)
    spacing_mm: float = 3.0
    segmentation_edge: int = 128
    rotation_edge: int = 64
    object_fraction: float = 0.6
    thresholds: tuple[float, ...] = (0.9, 0.8, -1.0)
    object_label: int = 1
    description: str = ""
    training_data: str = ""
    licence: str = ""
    citation: str = ""
    format_version: int = FORMAT_VERSION


class Model:
    """Both networks, ready for inference, and their header.

    Parameters
    ----------
    segmentation_network : UNet
    rotation_network : E3CNN
    header : ModelHeader

    Raises
    ------
    ModelError
        If weights are not finite, or the header does not fit the networks.
    """

    def __init__(self, segmentation_network: UNet, rotation_network: E3CNN, header: ModelHeader) -> None:
        n_classes = segmentation_network.last_conv.out_channels
        if len(header.thresholds) != n_classes or not 0 < header.object_label < n_classes:
            raise ModelError(
                f"model {header.name!r}: {n_classes} classes need as many thresholds and an object label among them, "
                f"got thresholds {header.thresholds} and label {header.object_label}"
            )
        if header.segmentation_edge % segmentation_network.stride:
            raise ModelError(
                f"model {header.name!r}: the segmentation edge {header.segmentation_edge} is no multiple of "
                f"{segmentation_network.stride}, as its U-Net needs"
            )
        if header.rotation_edge < 2**rotation_network.n_levels:
            raise ModelError(
                f"model {header.name!r}: a rotation edge of {header.rotation_edge} voxels cannot be halved "
                f"{rotation_network.n_levels} times"
            )
        for network in (segmentation_network, rotation_network):
            if not all(weight.isfinite().all() for weight in network.state_dict().values()):
                raise ModelError(f"model {header.name!r}: some weights are NaN or infinite; the file is damaged")
            network.eval().requires_grad_(False)
        rotation_network.freeze()
        self.segmentation_network = segmentation_network
        self.rotation_network = rotation_network
        self.header = header

    def to(self, device: torch.device | str) -> Model:
        """Move both networks to a device."""
        self.segmentation_network.to(device)
        self.rotation_network.to(device)
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to one ``.safetensors`` file, whole or not at all.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        tensors = {
            f"{part}.{name}": tensor.cpu().contiguous()
            for part, network in (("segmentation", self.segmentation_network), ("rotation", self.rotation_network))
            for name, tensor in network.state_dict().items()
        }
        with whole_file(path) as temporary:
            try:
                save_file(tensors, temporary, metadata={_HEADER_KEY: json.dumps(asdict(self.header))})
            except SafetensorError as error:
                raise OSError(str(error)) from error


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
        If there is no such model, or the file is damaged, of a newer format or another architecture, or holds more than weights.
    """
    if (unet is None) != (e3cnn is None):
        raise ModelError("official weights come in pairs: give both the U-Net's .ckpt and the E(3)-CNN's .pth")
    if unet is not None:
        return import_official(unet, e3cnn).to(device)
    return _read(find_model(source)).to(device)


def import_official(unet: str | os.PathLike, e3cnn: str | os.PathLike, **changes) -> Model:
    """Build a model from official weights; the architectures are read off the weights' shapes.

    Parameters
    ----------
    unet, e3cnn : path-like
        The U-Net's Lightning checkpoint ``.ckpt`` and the E(3)-CNN's ``.pth``.
    **changes
        Fields of `ModelHeader` that differ from the official defaults; ``segmentation`` and ``rotation`` are merged into
        the architectures found.

    Raises
    ------
    ModelError
        If a file is missing, damaged, holds more than weights, or does not fit the architecture.
    """
    segmentation, segmentation_weights = import_unet(unet)
    rotation, rotation_weights = import_e3cnn(e3cnn)
    segmentation |= changes.pop("segmentation", {})
    rotation |= changes.pop("rotation", {})
    thresholds = (0.9, 0.8, *[-1.0] * (segmentation["n_classes"] - 2))[: segmentation["n_classes"]]
    header = ModelHeader(
        name=Path(unet).stem,
        segmentation=segmentation,
        rotation=rotation,
        thresholds=thresholds,
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
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error
    header = _header(path, metadata)
    parts = {
        part: {name.removeprefix(f"{part}."): tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}
        for part in ("segmentation", "rotation")
    }
    return Model(
        _filled(UNet, header.segmentation, parts["segmentation"], path),
        _filled(E3CNN, header.rotation, parts["rotation"], path),
        header,
    )


def _header(path: Path, metadata: dict[str, str]) -> ModelHeader:
    if _HEADER_KEY not in metadata:
        raise ModelError(f"{path}: holds weights but no E3Pose header; make the file with 'e3pose import-weights'")
    try:
        document = json.loads(metadata[_HEADER_KEY])
        version = document["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: the model's header is damaged") from error
    if version != FORMAT_VERSION:
        raise ModelError(f"{path}: format {version}; this E3Pose reads format {FORMAT_VERSION}: update one of the two")
    try:
        document["thresholds"] = tuple(document["thresholds"])
        return ModelHeader(**document)
    except (KeyError, TypeError) as error:
        known = ", ".join(part.name for part in fields(ModelHeader))
        raise ModelError(f"{path}: the model's header is damaged; its fields are {known}") from error


def _filled(network_class: type, arguments: dict, weights: dict[str, torch.Tensor], path: str | os.PathLike):
    """A network of that architecture with those weights."""
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


def model_folders() -> list[Path]:
    """Where named models lie: those that come with E3Pose, then the user's own (``E3POSE_MODELS`` or ``~/.e3pose/models``)."""
    own = os.environ.get("E3POSE_MODELS") or Path.home() / ".e3pose" / "models"
    return [Path(__file__).parent.parent / "Resources" / "Models", Path(own)]


def available_models() -> dict[str, Path]:
    """Files of all named models, by name; a built-in one goes before a user's of the same name."""
    found: dict[str, Path] = {}
    for folder in model_folders():
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            found.setdefault(path.stem, path)
    return found


def find_model(source: str | os.PathLike) -> Path:
    """The file of a model that is given by name or path.

    Raises
    ------
    ModelError
        If there is none.
    """
    if Path(source).suffix == _SUFFIX or os.sep in str(source):
        if not Path(source).is_file():
            raise ModelError(f"{source}: no such model file")
        return Path(source)
    models = available_models()
    if str(source) not in models:
        raise ModelError(f"no model named {str(source)!r}; {_known(models)}")
    return models[str(source)]


def _known(models: Iterable[str]) -> str:
    names = ", ".join(models)
    if names:
        return f"there are: {names}"
    return "none is installed: give a .safetensors file, or official weights (--unet and --e3cnn)"


def read_header(path: str | os.PathLike) -> ModelHeader:
    """The header of a model file, without its weights.

    Raises
    ------
    ModelError
        If the file is missing, damaged or not a model.
    """
    path = find_model(path)
    try:
        with safe_open(path, framework="pt") as file:
            return _header(path, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error
