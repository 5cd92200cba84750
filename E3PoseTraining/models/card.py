"""Gives a trained model its name and card: ``python -m E3PoseTraining.models.card MODEL CARD.yaml -o FILE``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from E3PoseLib.cli import add_overwrite_option
from E3PoseLib.errors import TrainingError
from E3PoseLib.models.catalog import CARD_FIELDS
from E3PoseLib.models.loading import load_model
from E3PoseLib.models.model import Model
from E3PoseLib.running.ending import exit_status
from E3PoseLib.running.results.folder import refuse_standing

from ..data.yaml_files import read_yaml


def with_card(model: Model, path: Path, name: str) -> Model:
    """The same networks under a name and with the texts of a YAML file.

    Parameters
    ----------
    model : Model
        The networks.
    path : Path
        YAML of ``description``, ``training_data``, ``licence`` and ``citation``, all of them.
    name : str
        What the model is called.

    Raises
    ------
    TrainingError
        The file is unreadable, or a text is missing, empty or unknown.
    """
    texts = read_yaml(path, "model card")
    if not isinstance(texts, dict) or set(texts) != set(CARD_FIELDS) or not all(texts.values()):
        raise TrainingError(f"The model card {path} needs the texts {', '.join(CARD_FIELDS)}, and no other.")
    stripped = {field: " ".join(str(text).split()) for field, text in texts.items()}
    return model.with_header(name=name, **stripped)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m E3PoseTraining.models.card", description=__doc__)
    parser.add_argument("model", type=Path, help="the trained model, .safetensors")
    parser.add_argument("card", type=Path, help="YAML of its texts")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write; its name is the model's")
    add_overwrite_option(parser)
    options = parser.parse_args(arguments)

    def write() -> None:
        refuse_standing([options.output], options.overwrite)
        with_card(load_model(options.model), options.card, options.output.stem).save(options.output)

    return exit_status("card", write)


if __name__ == "__main__":
    sys.exit(main())
