"""The mean of several models' weights as a model: ``python -m E3PoseTraining.models.average MODEL MODEL… -o MODEL``.

Where one model went on learning from another on other scans, their mean often knows both kinds (Wortsman et al., Model
soups, ICML 2022).
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from E3PoseLib.cli import add_overwrite_option
from E3PoseLib.errors import TrainingError
from E3PoseLib.models.catalog import CARD_FIELDS
from E3PoseLib.models.loading import load_model
from E3PoseLib.models.model import Model
from E3PoseLib.running.ending import exit_status
from E3PoseLib.running.results.folder import refuse_standing


def average(models: Sequence[Model], name: str) -> Model:
    """A model of the mean of each weight.

    Parameters
    ----------
    models : Sequence[Model]
        Two or more, whose headers differ in name and card at most; the card is the first one's.
    name : str
        What the model is called.

    Raises
    ------
    TrainingError
        Their networks, or what these expect of a scan, differ.
    """
    first = models[0]
    own = {"name": "", **dict.fromkeys(CARD_FIELDS, "")}
    for other in models[1:]:
        if replace(other.header, **own) != replace(first.header, **own):
            raise TrainingError(f"The models {first.header.name} and {other.header.name} are not of one design.")
    result = copy.deepcopy(first)
    result.header = replace(first.header, name=name)
    for part, network in result.networks.items():
        states = [model.networks[part].state_dict() for model in models]
        mean = {key: _mean([state[key] for state in states]) for key in states[0]}
        network.load_state_dict(mean)
    return result


def _mean(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Of weights; of whole numbers, a count of batches for instance, the first."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    return torch.stack([tensor.double() for tensor in tensors]).mean(0).to(tensors[0].dtype)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.models.average", description="The mean of several models' weights as a model."
    )
    parser.add_argument("models", nargs="+", type=Path, help="model files of one design, .safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model file; its name is the model's")
    add_overwrite_option(parser)
    options = parser.parse_args(arguments)

    def write() -> None:
        refuse_standing([options.output], options.overwrite)
        average([load_model(path) for path in options.models], options.output.stem).save(options.output)

    return exit_status("average", write)


if __name__ == "__main__":
    sys.exit(main())
