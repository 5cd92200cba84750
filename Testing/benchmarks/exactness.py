"""How far the rotation network's answer is from its own in float64, beside what exactness costs.

    python Testing/benchmarks/exactness.py SCAN… --model official.safetensors [--as-official] [--repeats 3]

For each scan the rotation network sees the same crop four times: as `e3pose estimate` runs it; with all of it in
float32; by plain dense convolutions in float32; and by plain dense convolutions in float64, which is the truth here.
Printed are the angles of the first three to the fourth, and the processor's seconds of the first two, the fastest of
`--repeats` taken in turns. The dense network in float64 takes half a minute a scan.
"""

from __future__ import annotations

import argparse
import time
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn.functional import conv3d

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.imaging.rotations import geodesic_angle
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.method.head import Head
from E3PoseLib.method.views import assemble_rotation
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.running.memory import keep_freed_memory


def dense_network(network: E3CNN, dtype: torch.dtype) -> E3CNN:
    """A copy that is of one precision throughout and applies every kernel as an ordinary convolution."""
    copy = deepcopy(network).to(dtype)
    copy.exact_pooling = False
    for layer in copy.modules():
        if isinstance(layer, SteerableConvolution):
            layer.forward = partial(conv3d, weight=layer.kernel(), padding=layer.kernel_size // 2)
    return copy


def rotation_of(network: E3CNN, crop: torch.Tensor) -> torch.Tensor:
    """The rotation ``[3, 3]``, float64, that a network's axes make."""
    axes = network(crop)[0].double().reshape(3, 3)
    return torch.from_numpy(assemble_rotation(axes.numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="+", help="NIfTI files")
    parser.add_argument("--model", required=True, help="'default', or a .safetensors file")
    parser.add_argument("--as-official", action="store_true", help="in the file's own axis order, another crop")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()  # as the command line does
    estimator = PoseEstimator(load_model(options.model), "cpu", as_official=options.as_official)
    ours = estimator.model.rotation_network
    single = deepcopy(ours)
    single.exact_pooling = False
    dense, exact = (dense_network(ours, dtype) for dtype in (torch.float32, torch.float64))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'scan':16} {'as run':>10} {'float32':>10} {'dense float32':>14}   {'as run':>7} {'float32':>7}")
    rows = []
    with torch.inference_mode():
        for path in options.scan:
            scan = estimator.prepare(read_volume(path))
            [brains] = estimator.reader.localiser([scan])
            if not brains:
                print(f"{path.name}: no brain was found")
                continue
            crop = torch.from_numpy(estimator.reader.views.crop(Head(scan, brains[0]))[0])[None, None]
            truth = rotation_of(exact, crop.double())
            angles = [float(geodesic_angle(rotation_of(network, crop), truth)) for network in (ours, single, dense)]
            seconds = [float("inf")] * 2
            for _ in range(options.repeats):
                for index, network in enumerate((ours, single)):
                    started = time.process_time()
                    network(crop)
                    seconds[index] = min(seconds[index], time.process_time() - started)
            rows.append([*angles, *seconds])
            a, b, c, *times = rows[-1]
            name = path.name.removesuffix(".nii.gz")
            print(f"{name:16} {a:9.4f}° {b:9.4f}° {c:13.4f}°   {times[0]:6.2f}s {times[1]:6.2f}s", flush=True)
    if rows:
        a, b, c = np.max(rows, axis=0)[:3]
        times = [median(row[index] for row in rows) for index in (3, 4)]
        print(f"{'worst; median s':16} {a:9.4f}° {b:9.4f}° {c:13.4f}°   {times[0]:6.2f}s {times[1]:6.2f}s")
        beyond = max(row[0] - row[2] for row in rows)
        print(f"as run lies at most {beyond:.4f}° further from float64 than dense float32")


if __name__ == "__main__":
    main()
