"""2000 damaged files of each kind: what is read, what is refused, and whether anything else happens.

    python Testing/benchmarks/damaged_files.py [--n 2000] [--seed 0] [--keep FOLDER]

Prints for each kind how many files were read and refused, every other error, the slowest file, and the peak memory of
the process. The test `test_damaged_files.py` does the same with a few files.
"""

from __future__ import annotations

import argparse
import logging
import resource
import tempfile
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from damaged import (
    checkpoints,
    damaged_checkpoint,
    damaged_image,
    damaged_model,
    images,
    outcome,
    try_checkpoint,
    try_image,
    try_model,
)
from phantoms import make_small_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=["images", "models", "checkpoints"])
    parser.add_argument("--keep", type=Path, help="folder for the files that are neither read nor refused")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # nibabel says what it corrects
    warnings.simplefilter("ignore")
    model = make_small_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = images(folder)
        model.save(folder / "sound.safetensors")
        model_bytes = (folder / "sound.safetensors").read_bytes()
        pair = checkpoints(model)
        for file, content in pair.items():
            (folder / f"sound-{file}").write_bytes(content)
        for kind in options.kinds:
            said, slowest = Counter(), 0.0
            for index in range(options.n):
                rng = np.random.default_rng([options.seed, index])
                if kind == "images":
                    file, content = damaged_image(sound, rng)
                    action = try_image
                elif kind == "models":
                    file, content = "damaged.safetensors", damaged_model(model_bytes, rng)
                    action = try_model
                else:
                    file, partner = [("unet.ckpt", "e3cnn.pth"), ("e3cnn.pth", "unet.ckpt")][index % 2]
                    content = damaged_checkpoint(pair[file], rng)
                    action = partial(try_checkpoint, partner=folder / f"sound-{partner}")
                path = folder / file
                path.write_bytes(content)
                result, seconds = outcome(partial(action, path))
                said[result] += 1
                slowest = max(slowest, seconds)
                if options.keep and result not in ("read", "refused"):
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{kind}-{index}-{file}").write_bytes(content)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{kind}: {dict(said)}; slowest {slowest:.2f} s; peak memory of the process {peak:.2f} GB", flush=True
            )


if __name__ == "__main__":
    main()
