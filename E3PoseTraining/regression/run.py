"""One run of ``train_methods``: which networks, what they see, and what comes out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container
from functools import partial

from lightning.pytorch import LightningModule, seed_everything
from monai.transforms import Compose

from E3PoseLib.errors import TrainingError

from ..augmentation.inputs import OBJECT_FRACTION, HeadCrop
from ..augmentation.pipelines import rotation_augmentation
from ..augmentation.sample import Sample
from ..data.sources import find_both_sides
from ..training.folder import RunFolder
from ..training.rotation import e3cnn_architecture
from ..training.run import train
from .equivariant import EquivariantCNN
from .module import SideBySide
from .named import NETWORKS, OWN_AUGMENTATION
from .networks import EDGE
from .places import RegistrationByRegression
from .weights import save_network

USAGE = """python -m E3PoseTraining.train_methods TRAIN_IMAGES/ TRAIN_LABELS/ TRAIN_ANNOTATIONS.csv
           VAL_IMAGES/ VAL_LABELS/ VAL_ANNOTATIONS.csv OUTPUT/ [flags]"""


def train_methods(options: argparse.Namespace) -> None:
    """Trains the networks side by side and writes ``METHOD.safetensors`` of each.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    if options.image_size != EDGE or not options.views:
        raise TrainingError(f"these networks see cubes of {EDGE} voxels: give --image_size {EDGE} and --views")
    for name in OWN_AUGMENTATION.keys() & set(options.methods):
        if len(options.methods) > 1:
            raise TrainingError(f"{name} sees other crops than the rest: train it in a run of its own")
        vars(options).update(OWN_AUGMENTATION[name])
    train_by_name(
        lambda: SideBySide(
            {name: NETWORKS[name](**architecture_of(name, options)) for name in options.methods}, options
        ),
        options,
        rotation_augmentation(options),
        HeadCrop(EDGE, 1, options.norm_perc, cube=True),
        header_of,
    )


def refuse_others(options: argparse.Namespace, own: Container[str], sentence: str) -> None:
    """Refuses methods that see something else than those of this run.

    Raises
    ------
    TrainingError
        With the sentence on what those of this run see, and which are to be trained elsewhere.
    """
    others = [name for name in options.methods if name not in own]
    if others:
        raise TrainingError(f"{sentence}: train {' and '.join(others)} in a run of its own")


def train_by_name(
    make: Callable[[], LightningModule],
    options: argparse.Namespace,
    augmentation: Compose,
    network_input: Callable[[Sample], Sample],
    header_of: Callable[[str, argparse.Namespace], dict],
    monitor: str = "val_rotation_degrees",
    mode: str = "min",
) -> None:
    """Trains the networks of one module and writes ``METHOD.safetensors`` of each.

    Parameters
    ----------
    make : callable
        Gives the module, once the seed is set. Its networks are ``model.METHOD``.
    options : argparse.Namespace
        The flags of ``train_methods``.
    augmentation, network_input
        See `training.run.train`.
    header_of : callable
        By the method's name and the flags: what is needed to use its network.
    monitor, mode : str
        See `training.run.train`.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    if options.export == "best" and len(options.methods) > 1:
        raise TrainingError(
            "--export best picks the epoch by the mean error of all networks; none of them need be best there. Train "
            "them one by one, or give --export last."
        )
    seed_everything(options.seed, verbose=False)
    module = make()
    sources = find_both_sides(options.paths, options.val_fold, with_rotations=True, usage=USAGE)
    train(
        module,
        options,
        sources,
        augmentation,
        network_input,
        batch_size=options.batch_size,
        n_classes=256,
        monitor=monitor,
        mode=mode,
        picture=None,
        export=partial(export_methods, n_scans=len(sources.training), header_of=header_of),
    )


def architecture_of(name: str, options: argparse.Namespace) -> dict:
    """Arguments of a network's class: those that have flags have them from there, the others are as they are."""
    if issubclass(NETWORKS[name], EquivariantCNN):
        return e3cnn_architecture(options)
    if issubclass(NETWORKS[name], RegistrationByRegression):
        return {"n_levels": options.rbr_levels, "n_features": options.rbr_features}
    return {}


def header_of(name: str, options: argparse.Namespace) -> dict:
    """What is needed to use a network, and what its card says beyond its training."""
    header = {
        "architecture": architecture_of(name, options),
        "crop": {"edge": EDGE, "object_fraction": OBJECT_FRACTION, "clip_fraction": options.norm_perc},
        "views": options.views,
    }
    if name in OWN_AUGMENTATION:
        flags = ", ".join(f"{flag} {value}" for flag, value in OWN_AUGMENTATION[name].items())
        header["card"] = {"augmentation": flags}
    return header


def export_methods(
    folder: RunFolder,
    options: argparse.Namespace,
    n_scans: int,
    header_of: Callable[[str, argparse.Namespace], dict],
) -> None:
    """Writes the weights of each network of a run, with a card of what it was trained on.

    They are those of the last epoch, or of the one that validated best, as ``options.export`` says.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    checkpoint = folder.chosen_checkpoint(options.export)
    for name in options.methods:
        prefix = f"model.{name}."
        weights = {
            key.removeprefix(prefix): value for key, value in checkpoint["state_dict"].items() if key.startswith(prefix)
        }
        header = header_of(name, options)
        card = {
            "trained_on": f"{n_scans} scans, {checkpoint['epoch'] + 1} epochs, seed {options.seed}",
            "use": "comparison with E(3)-Pose; research only, not for clinical use",
        }
        header |= {"spacing_mm": options.img_res, "card": card | header.get("card", {})}
        save_network(folder.path / f"{name}.safetensors", name, weights, header)
