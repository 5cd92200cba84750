"""``e3pose import-weights`` and ``e3pose models``: the model files."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ModelError
from ..running.ending import SUCCESS


def add_models(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    weights = commands.add_parser("import-weights", help="make one model file from official E(3)-Pose weights")
    weights.add_argument("unet", help="the U-Net's Lightning checkpoint, .ckpt")
    weights.add_argument("e3cnn", help="the E(3)-CNN's weights, .pth")
    weights.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file, .safetensors")
    weights.add_argument("--overwrite", action="store_true", help="replace a file that stands")
    weights.set_defaults(run=import_weights)

    models = commands.add_parser("models", help="list the models that can be named with --model, with their cards")
    models.set_defaults(run=list_models)


def import_weights(options: argparse.Namespace) -> int:
    """Make one model file of official weights."""
    from ..errors import OutputError
    from ..models.loading import import_official
    from ..running.results.folder import refuse_standing

    target = Path(options.output)
    if target.suffix != ".safetensors":
        raise OutputError(f"{target}: a model file ends in .safetensors")
    refuse_standing([target], options.overwrite)
    model = import_official(options.unet, options.e3cnn)
    model.save(target)
    print(f"{target}: U-Net {model.header.segmentation}, E(3)-CNN {model.header.rotation}")
    return SUCCESS


def list_models(options: argparse.Namespace) -> int:
    """Print the models that have names."""
    from ..models.catalog import CARD_FIELDS, available_models, model_folders, read_header

    models = available_models()
    if not models:
        folders = " or ".join(map(str, model_folders()))
        print(f"No model is installed. Make one with 'e3pose import-weights' and put it into {folders}.")
    for name, path in models.items():
        try:
            header = read_header(path)
        except ModelError as error:
            print(f"{name}: {error}")
            continue
        print(f"{name}  ({path})")
        for label in CARD_FIELDS:
            if getattr(header, label):
                print(f"    {label.replace('_', ' ')}: {getattr(header, label)}")
    return SUCCESS
