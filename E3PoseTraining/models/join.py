"""Joins networks to one model file: ``python -m E3PoseTraining.models.join --unet FILE --e3cnn FILE -o MODEL``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from E3PoseLib.cli import add_overwrite_option
from E3PoseLib.models.catalog import ModelHeader
from E3PoseLib.models.loading import load_model
from E3PoseLib.models.model import Model
from E3PoseLib.models.settings import joined_settings
from E3PoseLib.running.ending import exit_status
from E3PoseLib.running.results.folder import refuse_standing

from .weights import read_network

MUST_AGREE = {"spacing_mm": "img_res", "clip_fraction": "norm_perc"}
"""Fields of a model that all its networks were trained with, by the flag that sets them."""

CITATION = "Muthukrishnan et al., Equivariant Symmetry-Aware Head Pose Estimation for Fetal MRI, 2025"


def write_model(
    path: Path,
    unet: Path,
    e3cnn: Path,
    eyes: Path | None = None,
    upright: Path | None = None,
    brain_only: Path | None = None,
    second_opinion: Path | None = None,
) -> None:
    """Joins the networks to one model file.

    Parameters
    ----------
    path : Path
        The ``.safetensors`` file.
    unet : Path
    e3cnn : Path
    eyes : Path | None
    upright : Path | None
    brain_only : Path | None
        Weights of this package's commands, official weights, or a model file with that network; the last three may be
        missing.
    second_opinion : Path | None
        A model file of the same design, whose second opinion is taken; where it has none, its own networks but that for
        brains alone. Where it is missing there is no second opinion.

    Raises
    ------
    ModelError
        A file cannot be used, or the networks were trained on voxels, intensities, crops or views that differ.
    """
    files = {"segmentation": unet, "rotation": e3cnn, "eyes": eyes, "upright": upright, "brain_only": brain_only}
    files = {part: file for part, file in files.items() if file is not None}
    networks, architectures, headers = zip(*(read_network(file, part) for part, file in files.items()), strict=True)
    sources = [f"{file} ({part})" for part, file in files.items()]
    flags = {field: f"--{flag}" for field, flag in MUST_AGREE.items()}
    settings = joined_settings(dict(zip(files, headers, strict=True)), sources, flags)
    header = ModelHeader(
        name=path.stem,
        description=f"Trained by E3PoseTraining: {' and '.join(file.name for file in files.values())}.",
        citation=CITATION,
        **settings | dict(zip(files, architectures, strict=True)),
    )
    parts = {f"{part}_network": network for part, network in zip(files, networks, strict=True)}
    second = None
    if second_opinion is not None:
        given = load_model(second_opinion)
        own = {f"{part}_network": network for part, network in given.own_networks.items() if part != "brain_only"}
        second = given.second_opinion or Model(header=replace(given.header, brain_only={}), **own)
    Model(header=header, second_opinion=second, **parts).save(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.models.join",
        description="Joins trained networks to one model file. Each may also be a model file, of which it is taken.",
    )
    parser.add_argument("--unet", type=Path, required=True, help="weights of the network that finds the head")
    parser.add_argument("--e3cnn", type=Path, required=True, help="weights of the rotation network")
    parser.add_argument("--eyes", type=Path, help="weights that train_unet --around_object wrote")
    parser.add_argument("--upright", type=Path, help="weights that train_unet --upright wrote")
    parser.add_argument("--brain_only", type=Path, help="weights of a rotation network for brains without skull")
    parser.add_argument("--second_opinion", type=Path, help="model file of that design, which reads doubtful scans too")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model file; its name is the model's")
    add_overwrite_option(parser)
    options = parser.parse_args(arguments)
    files = (options.unet, options.e3cnn, options.eyes, options.upright, options.brain_only, options.second_opinion)

    def write() -> None:
        refuse_standing([options.output], options.overwrite)
        write_model(options.output, *files)

    return exit_status("join", write)


if __name__ == "__main__":
    sys.exit(main())
