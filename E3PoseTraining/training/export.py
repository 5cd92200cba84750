"""From the checkpoint of a run to weights of one network, and with another's to a whole model file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from E3PoseLib.errors import ModelError
from E3PoseLib.imaging.files import whole_file
from E3PoseLib.models.catalog import thresholds_of
from E3PoseLib.models.model import Model, ModelHeader, load_model
from E3PoseLib.models.official import import_e3cnn, import_unet
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.unet.unet import UNet

from ..augmentation.pipelines import OBJECT_FRACTION
from .folder import RunFolder

PARTS = {
    "segmentation": (
        UNet,
        import_unet,
        ("spacing_mm", "segmentation_edge", "thresholds", "object_label", "clip_fraction", "candidates"),
    ),
    "rotation": (
        E3CNN,
        import_e3cnn,
        ("spacing_mm", "rotation_edge", "object_fraction", "views", "clip_fraction"),
    ),
    "eyes": (UNet, import_unet, ("spacing_mm", "eyes_edge", "clip_fraction")),
    "upright": (UNet, import_unet, ("spacing_mm", "upright_edge", "clip_fraction")),
}
"""Of each network of a model: its class, what reads official weights of it, and its fields of a header."""
MUST_AGREE = {"spacing_mm": "img_res", "clip_fraction": "norm_perc"}
"""Fields of a model that all its networks were trained with, by the flag that sets them."""
CITATION = "Muthukrishnan et al., Equivariant Symmetry-Aware Head Pose Estimation for Fetal MRI, 2025"


def unet_architecture(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `UNet` from the flags of `train_unet`."""
    return {
        "n_levels": options.n_levels,
        "n_features": options.unet_feat,
        "feature_multiplier": options.feat_mult,
        "activation": options.activation,
        "n_classes": options.n_output_channels,
        "input_stride": options.input_stride,
    }


def e3cnn_architecture(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `E3CNN` from the flags of `train_e3cnn`."""
    return {
        "n_levels": options.n_levels,
        "kernel_size": options.kernel_size,
        "multiplicity": _one_or_each(options.multiplicity),
        "n_convolutions": _one_or_each(options.n_convolutions),
        "smooth_pooling": options.smooth_pooling,
        "n_radial": options.n_radial,
        "lmax": options.lmax,
    }


def _one_or_each(values: list[int]) -> int | list[int]:
    """A flag of one number for all blocks, or of a number for each."""
    return values[0] if len(values) == 1 else values


def export_unet(folder: RunFolder, options: argparse.Namespace) -> None:
    """Writes the best weights of a run as ``unet.ckpt``, which the method's own program reads as well.

    With ``options.e3cnn`` also ``model.safetensors``, which `load_model` reads.

    Raises:
        ModelError: the other network's weights cannot be used.
        OutputError: a file cannot be written.
    """
    checkpoint = chosen_checkpoint(folder, options.export)
    header = {"spacing_mm": options.img_res, "clip_fraction": options.norm_perc}
    if options.around_object:
        header |= {"eyes_edge": options.crop_size}
    elif options.upright:
        header |= {"upright_edge": options.crop_size}
    else:
        header |= {
            "segmentation_edge": None if options.whole_scan else options.crop_size,
            "candidates": options.candidates,
            "thresholds": thresholds_of(options.n_output_channels, options.seg_thresh),
        }
    path = folder.path / "unet.ckpt"
    save(path, "state_dict", checkpoint["state_dict"], unet_architecture(options), header)
    if options.e3cnn:
        write_model(folder.path / "model.safetensors", path, Path(options.e3cnn))


def export_e3cnn(folder: RunFolder, options: argparse.Namespace) -> None:
    """Writes the best weights of a run as ``e3cnn.pth``, and with ``options.unet`` also ``model.safetensors``.

    Raises:
        ModelError: the other network's weights cannot be used.
        OutputError: a file cannot be written.
    """
    checkpoint = chosen_checkpoint(folder, options.export)
    weights = {name.removeprefix("model."): value for name, value in checkpoint["state_dict"].items()}
    header = {
        "spacing_mm": options.img_res,
        "rotation_edge": options.image_size,
        "object_fraction": OBJECT_FRACTION,
        "views": options.views,
        "clip_fraction": options.norm_perc,
    }
    path = folder.path / "e3cnn.pth"
    save(path, "net_state_dict", weights, e3cnn_architecture(options), header)
    if options.unet:
        write_model(folder.path / "model.safetensors", Path(options.unet), path)


def check_partner(options: argparse.Namespace) -> None:
    """Reads the other network, where one is given for the model file, so that a mistake is told before training.

    Raises:
        ModelError: its weights cannot be used, or it was trained on other voxels or intensities.
    """
    for flag, part in (("unet", "segmentation"), ("e3cnn", "rotation")):
        if getattr(options, flag, None):
            *_, header = read_network(Path(getattr(options, flag)), part)
            for field, name in MUST_AGREE.items():
                ours, theirs = getattr(options, name), header.get(field)
                if theirs not in (None, ours):
                    raise ModelError(
                        f"{getattr(options, flag)} was trained with --{name} {theirs}, not {ours}; a model needs one."
                    )


def chosen_checkpoint(folder: RunFolder, choice: str) -> dict[str, Any]:
    """The checkpoint that validated best, or the last one: where that is the choice, or none has validated."""
    path = folder.best if choice == "best" and folder.best.is_file() else folder.last
    return torch.load(path, weights_only=True, map_location="cpu")


def save(path: Path, key: str, weights: dict, architecture: dict[str, Any], header: dict[str, Any]) -> None:
    """Writes weights with what is needed to use them, whole or not at all."""
    with whole_file(path) as temporary:
        torch.save({key: weights, "architecture": architecture, "header": header}, temporary)


def initialise(network: torch.nn.Module, path: Path | None, part: str) -> None:
    """Begins with the weights of an earlier run, where its file is given.

    A `UNet` may have a multiple of the features that it had there: it begins with the same answer. And it may have
    been trained for another part of a model.

    Args:
        network: a `UNet` or an `E3CNN`.
        path: what ``--init`` names.
        part: which of a model's networks it is, a key of `PARTS`.

    Raises:
        ModelError: the file is missing, damaged or of another architecture.
    """
    if path is None:
        return
    is_model = path.suffix == ".safetensors"
    weights = read_network(path, part)[0].state_dict() if is_model else PARTS[part][1](path)[1]
    try:
        network.load_state_dict(widened(weights, network.state_dict()) if isinstance(network, UNet) else weights)
    except RuntimeError as error:
        raise ModelError(f"--init {path}: not the network that the flags describe: {error}") from error


def widened(weights: dict[str, torch.Tensor], wide: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a U-Net in one with a multiple of its features: each feature stands beside its copies.

    Who reads them takes their mean, so the answer is the same but for a little noise, a tenth of each kernel's spread,
    without which copies would learn the same for ever (Chen et al., Net2Net, ICLR 2016).

    Args:
        weights: of the narrow network.
        wide: weights of the shapes that are wanted. Input channels and classes are not multiplied.
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


def write_model(path: Path, unet: Path, e3cnn: Path, eyes: Path | None = None, upright: Path | None = None) -> None:
    """Joins the networks to one model file.

    Args:
        path: the ``.safetensors`` file.
        unet, e3cnn, eyes, upright: weights of this package's commands, official weights, or a model file with that
            network; the last two may be missing.

    Raises:
        ModelError: a file cannot be used, or the networks were trained on voxels or intensities that differ.
    """
    files = {"segmentation": unet, "rotation": e3cnn, "eyes": eyes, "upright": upright}
    files = {part: file for part, file in files.items() if file is not None}
    networks, architectures, headers = zip(*(read_network(file, part) for part, file in files.items()), strict=True)
    for field, flag in MUST_AGREE.items():
        values = {header[field] for header in headers if field in header}
        if len(values) > 1:
            raise ModelError(
                f"{' and '.join(map(str, files.values()))} were trained with different --{flag}: {sorted(values)}; one "
                "is needed."
            )
    settings = {name: value for header in headers for name, value in header.items()}
    header = ModelHeader(
        name=path.stem,
        description=f"Trained by E3PoseTraining: {' and '.join(file.name for file in files.values())}.",
        citation=CITATION,
        **settings | dict(zip(files, architectures, strict=True)),
    )
    parts = {f"{part}_network": network for part, network in zip(files, networks, strict=True)}
    Model(header=header, **parts).save(path)


def read_network(path: Path, part: str) -> tuple[Any, dict, dict]:
    """One network, its arguments, and its fields of a `ModelHeader`, from any of the files that may hold it.

    Args:
        path: the file.
        part: a key of `PARTS`.

    Raises:
        ModelError: the file is missing, damaged or another network's.
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
