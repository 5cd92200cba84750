"""Flags that both training commands share, and the config file that may stand in for any flag."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from E3PoseLib.cli import positive_int
from E3PoseLib.errors import TrainingError

from ..data.yaml_files import read_yaml

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "bf16-true", "64-true")
BOUNDS = {
    "img_res": (0.1, 50),
    "scaling_lower_bound": (0.01, 100),
    "scaling_upper_bound": (0.01, 100),
    "norm_perc": (0, 0.49),
    "sigma_min": (0.01, np.inf),
    "sigma_max": (0.01, np.inf),
    "seed": (0, 2**32 - 1),
    "lr": (0, np.inf),
    "weight_decay": (0, np.inf),
    "momentum": (0, 1),
    "ema": (0, 1),
    "clip_gradient": (0, np.inf),
    "memory_gb": (0, np.inf),
}
"""Least and largest value of flags that hold a number, where the command has them."""


def add_signal_options(signal: argparse._ArgumentGroup, **defaults: float) -> None:
    """Adds the flags of intensities, noise, resolution and spin history, with a default for each by its name."""
    for name, what in {
        "max_res_iso": "largest isotropic voxel, mm",
        "max_bias": "largest coefficient of the bias field",
        "noise_std": "largest standard deviation of the noise",
        "norm_perc": "quantile that becomes 0; 1 minus it, 1",
        "gamma_min": "least logarithm of the exponent",
        "gamma_max": "largest logarithm of the exponent",
        "sigma_min": "least width of a spin-history plane, mm",
        "sigma_max": "largest width of a spin-history plane, mm",
        "alpha_min": "least signal loss in a spin-history plane",
        "alpha_max": "largest signal loss in that plane",
    }.items():
        signal.add_argument(f"--{name}", type=float, default=defaults[name], help=what)


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """Adds what both commands understand beyond the method's own flags."""
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    machine.add_argument("--devices", type=positive_int, default=1, help="processes per node")
    machine.add_argument("--num_nodes", type=positive_int, default=1, help="machines")
    machine.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="32-true",
        help="of numbers, as Lightning names it",
    )
    machine.add_argument("--num_workers", type=non_negative_int, default=0, help="reader processes")
    machine.add_argument(
        "--memory_gb", type=float, default=4, help="scans kept in memory up to this (default: %(default)s)"
    )

    training = parser.add_argument_group("training, beyond the method")
    training.add_argument("--accumulate", type=positive_int, default=1, help="batches a step")
    training.add_argument("--seed", type=int, default=0, help="decides every random number")
    training.add_argument("--schedule", choices=["constant", "cosine", "polynomial"], default="constant")
    training.add_argument("--warmup_epochs", type=non_negative_int, default=0, help="linear warm-up")
    training.add_argument("--ema", type=float, default=0, help="decay of averaged weights, such as 0.999; 0: none")
    training.add_argument(
        "--early_stopping",
        type=non_negative_int,
        default=0,
        help="validations without progress; 0: never stop",
    )
    training.add_argument("--clip_gradient", type=float, default=0, help="largest gradient norm; 0: no limit")

    augmentation = parser.add_argument_group("augmentation, beyond the method")
    augmentation.add_argument("--spin_history", type=probability, default=0.5, help="probability")
    for name in (
        "surroundings",
        "thick_slices",
        "interleaved_motion",
        "ghosting",
        "distortion",
        "shear",
        "cropped_fov",
        "shading",
    ):
        augmentation.add_argument(f"--{name}", type=probability, default=0, help="probability")

    augmentation.add_argument(
        "--max_passes", type=positive_int, default=2, help="interleaves that move, from 2 up to so many"
    )

    run = parser.add_argument_group("run")
    run.add_argument("--config", type=Path, help="YAML file of flags without the dashes; the command line wins")
    run.add_argument(
        "--resume",
        nargs="?",
        const="last",
        choices=["last", "auto"],
        help="go on from the last checkpoint; 'auto' starts anew where there is none",
    )
    run.add_argument(
        "--init", type=Path, help="weights to begin with (this command's own, official ones, or a model file)"
    )
    run.add_argument(
        "--export",
        choices=["best", "last"],
        default="best",
        help="which checkpoint becomes the result; 'last' where the validating scans are also those to report on",
    )
    run.add_argument("--val_fold", help="fold that validates, where one CSV with a fold column names the folds")


def non_negative_int(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a probability between 0 and 1")
    return value


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Parses the command line over the values of ``--config FILE``.

    The file's values are parsed as if they had been typed, so they meet the same conversions and choices. Every
    positional of the parser must be optional for that; the command checks their number.

    Raises
    ------
    TrainingError
        The config file is unreadable, not a mapping, or names an unknown flag; a number is out of its bounds; or there
        are more workers than cores.
    """
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--config", type=Path)
    path = early.parse_known_args(arguments)[0].config
    configured = argparse.Namespace()
    if path is not None:
        configured, unknown = parser.parse_known_args(config_arguments(path))
        if unknown:
            raise TrainingError(f"The config file {path} names flags that do not exist: {' '.join(unknown)}.")
    options = parser.parse_args(arguments, namespace=configured)
    for flag, (least, largest) in BOUNDS.items():
        if not least <= getattr(options, flag, least) <= largest:
            wanted = f"{least} or more" if np.isinf(largest) else f"{least} to {largest}"
            raise TrainingError(f"--{flag} {getattr(options, flag)} makes no sense; give {wanted}.")
    cores = usable_cores()
    if options.num_workers * options.devices > cores:
        raise TrainingError(
            f"--num_workers {options.num_workers} on each of {options.devices} device(s) is more than the {cores} "
            f"cores of this machine. Ask for {cores // options.devices} or fewer."
        )
    return options


def usable_cores() -> int:
    """How many cores this process may use: a scheduler may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def config_arguments(path: Path) -> list[str]:
    """The command-line arguments that a YAML file of ``flag: value`` lines stands for.

    Raises
    ------
    TrainingError
        The file is unreadable or not such a list.
    """
    values = read_yaml(path, "config file") or {}
    if not isinstance(values, dict):
        raise TrainingError(f"The config file {path} is not a list of `flag: value` lines.")
    arguments: list[str] = []
    for flag, value in values.items():
        if value is False or value is None:
            continue
        arguments.append(f"--{flag}")
        if value is not True:
            arguments += [str(item) for item in (value if isinstance(value, list) else [value])]
    return arguments


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """Flags as what JSON and a weights-only checkpoint can hold."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
