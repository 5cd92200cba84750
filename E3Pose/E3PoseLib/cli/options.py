"""Options that several commands have, and how values are read from the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from ..errors import E3PoseError


def check_none_empty(arguments: Sequence[str]) -> None:
    """Refuse an empty argument: as the name of a folder it would be the one where one happens to be.

    Raises
    ------
    E3PoseError
        One is empty.
    """
    if not all(arguments) or any(re.fullmatch(r"--[\w-]+=", one) for one in arguments):
        raise E3PoseError("an argument is empty: is a variable not set?")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--unet`` and ``--e3cnn``."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="NAME|FILE", help="a model's name or .safetensors file (default: default)")
    group.add_argument("--unet", metavar="CKPT", help="official U-Net weights, together with --e3cnn")
    group.add_argument("--e3cnn", metavar="PTH", help="official E(3)-CNN weights, together with --unet")


def model_asked_for(options: argparse.Namespace) -> dict[str, str | None]:
    """The arguments of `load_model`."""
    source = "default" if options.model is None else options.model
    return {"source": source, "unet": options.unet, "e3cnn": options.e3cnn}


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")


def add_overwrite_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``; see `running.results.folder.refuse_standing`."""
    parser.add_argument("--overwrite", action="store_true", help="replace what stands where the results go")


def number(text: str) -> float:
    """A number from the command line."""
    try:
        return float(text)
    except ValueError:
        advice = f"; write {text.replace(',', '.')}" if text.count(",") == 1 and "." not in text else ""
        raise argparse.ArgumentTypeError(f"{text} is no number{advice}") from None


def voxel_size(text: str) -> float:
    """A voxel size in mm from the command line."""
    value = number(text)
    if not 0.1 <= value <= 20:
        raise argparse.ArgumentTypeError(f"{text} is no voxel size between 0.1 and 20 mm")
    return value


def voxel_edges(text: str) -> tuple[float, ...]:
    """A voxel's edge in mm, or its three edges, from the command line."""
    edges = tuple(voxel_size(part) for part in text.split("x"))
    if len(edges) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text} is neither one voxel size nor three, as in 1.1x1.1x3.3")
    return edges


def positive_int(text: str) -> int:
    """A number of things from the command line, at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
