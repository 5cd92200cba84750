"""What a pose costs, as ratios taken in one run: each convolution of the official E(3)-CNN, the network, a volume.

    python Testing/benchmarks/inference.py [--model FILE --scan FILE… [--precision float32 bfloat16]] [--plain]
        [--clock cpu --threads 1] [-o PLOT.png]

On a machine that others use too, `--clock cpu --threads 1` counts the process's own seconds on one core; the wall's are
what a user waits for. Without a model the weights are random, which costs the same.
"""

from __future__ import annotations

import argparse
import math
import platform
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import conv3d

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.precision import PRECISIONS
from E3PoseLib.running.memory import keep_freed_memory

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Timer:
    """The fastest of some calls, the first of which warms up and does not count."""

    def __init__(self, clock: str, repeats: int) -> None:
        self.clock, self.repeats = CLOCKS[clock], repeats

    def once(self, call: Callable[[], object]) -> float:
        started = self.clock()
        call()
        return self.clock() - started

    def __call__(self, call: Callable[[], object]) -> float:
        call()
        return min(self.once(call) for _ in range(self.repeats))


def layers_and_inputs(network: E3CNN, volume: Tensor) -> list[tuple[str, SteerableConvolution, Tensor]]:
    """Every convolution with features of the shape that it meets."""
    found, handles = [], []
    for name, layer in network.named_modules():
        if isinstance(layer, SteerableConvolution):
            handles.append(
                layer.register_forward_pre_hook(
                    lambda module, inputs, name=name: found.append((name, module, torch.randn_like(inputs[0])))
                )
            )
    network.axes_field(volume)
    for handle in handles:
        handle.remove()
    return found


def kept_bytes(layer: SteerableConvolution) -> int:
    """Memory of what a frozen layer keeps."""

    def size(kept: object) -> int:
        if isinstance(kept, Tensor):
            return kept.nbytes if kept.is_floating_point() else 0
        if isinstance(kept, dict):
            kept = list(kept.values())
        return sum(map(size, kept)) if isinstance(kept, list | tuple) else 0

    return sum(map(size, layer.kept.values()))


class Layers:
    """Each convolution beside the dense `conv3d` of its shape."""

    def __init__(self, network: E3CNN, volume: Tensor) -> None:
        self._found = layers_and_inputs(network, volume)
        self._dense = {}
        for name, layer, features in self._found:
            kernel = torch.randn(layer.irreps_out.dim, layer.irreps_in.dim, *[layer.kernel_size] * 3)
            everything = torch.randn(1, layer.irreps_in.dim, *features.shape[2:])
            self._dense[name] = partial(conv3d, everything, kernel, padding=layer.kernel_size // 2)

    def all_dense(self) -> None:
        """Every dense call once."""
        for call in self._dense.values():
            call()

    def compare(self, timer: Timer) -> list[tuple[str, float, float]]:
        """Print a table and return its rows: name, seconds of the dense call and of ours."""
        rows = []
        print(f"{'convolution':17} {'channels':>12} {'grid':>5} {'way':>8} {'dense':>8} {'ours':>8} ratio")
        for name, layer, features in self._found:
            dense, ours = timer(self._dense[name]), timer(partial(layer, features))
            ((way, _),) = layer.kept
            channels, edge = f"{layer.irreps_in.dim} > {layer.irreps_out.dim}", features.shape[2]
            print(
                f"{name:17} {channels:>12} {edge:4d}³ {way!s:>8} {dense:7.3f}s {ours:7.3f}s {ours / dense:5.2f}",
                flush=True,
            )
            rows.append((name, dense, ours))
        return rows


def time_poses(estimators: dict[str, PoseEstimator], paths: list[Path], layers: Layers, timer: Timer) -> None:
    """Print what a pose takes from array to pose, scan by scan, and by precision the median ratio to the dense calls.

    Dense calls and scans take turns, so that a noisy minute does not fall on one of them alone; the fastest counts.
    """
    scans = {}
    for path in paths:
        scan = read_volume(path)
        try:
            for estimator in estimators.values():
                estimator.estimate(scan)
            scans[path.name] = scan
        except NoHeadFoundError as error:
            print(error)
    poses = [(precision, name) for name in scans for precision in estimators]
    floor, seconds, timings = math.inf, dict.fromkeys(poses, math.inf), {}
    for _ in range(timer.repeats):
        floor = min(floor, timer.once(layers.all_dense))
        for precision, name in poses:
            results = []
            estimate = partial(estimators[precision].estimate, scans[name])
            taken = timer.once(lambda estimate=estimate, results=results: results.append(estimate()))
            if taken < seconds[precision, name]:
                seconds[precision, name], timings[precision, name] = taken, results[0].timings
    print(f"dense convolutions {floor:.2f} s")
    for (precision, name), taken in seconds.items():
        steps = timings[precision, name]
        shares = ", ".join(f"{step} {part / steps['total']:.0%}" for step, part in steps.items())
        print(f"{name}, {precision}: {taken:.2f} s, ratio to dense {taken / floor:.2f}; of the wall time {shares}")
    for precision in estimators if scans else ():
        middle = median(seconds[precision, name] for name in scans)
        print(f"{precision}: median {middle:.2f} s, ratio to dense {middle / floor:.2f}")


def draw(rows: list[tuple[str, float, float]], path: Path) -> None:
    """A bar of the dense call and one of ours for every convolution."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    position = range(len(rows))
    axes.bar([p - 0.2 for p in position], [dense for _, dense, _ in rows], 0.4, label="dense conv3d", color="#bbbbbb")
    axes.bar([p + 0.2 for p in position], [ours for _, _, ours in rows], 0.4, label="this project", color="#2a6f97")
    axes.set_xticks(list(position), [name.removeprefix("blocks.") for name, _, _ in rows])
    axes.set_xlabel("level and convolution of the official E(3)-CNN, 64³ input")
    axes.set_ylabel("seconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="'default', or the .safetensors file of an official pair")
    parser.add_argument("--scan", type=Path, nargs="+", help="NIfTI files for the time of a whole pose")
    parser.add_argument("--precision", choices=PRECISIONS, nargs="+", default=["float32"], help="of the U-Net")
    parser.add_argument("--plain", action="store_true", help="also time a plain e3nn implementation")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="plot of the convolutions, .png")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as the command line does
    timer = Timer(options.clock, options.repeats)
    is_official = options.model not in (None, "default")
    network = load_model(options.model).rotation_network if is_official else E3CNN().eval().requires_grad_(False)
    network.freeze()
    volume = torch.rand(1, 1, 64, 64, 64)
    machine = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    print(f"{machine}, {options.threads} threads, {options.clock} time")
    with torch.inference_mode():
        first = timer.once(lambda: network.axes_field(volume))
        layers = Layers(network, volume)
        rows = layers.compare(timer)
        floor = sum(dense for _, dense, _ in rows)
        whole = timer(lambda: network.axes_field(volume))
        kept = sum(kept_bytes(layer) for layer in network.modules() if isinstance(layer, SteerableConvolution))
        print(f"sum of dense convolutions {floor:.2f} s; whole network {whole:.2f} s, ratio {whole / floor:.2f}")
        print(f"kernels at load {first - whole:.2f} s, kept {kept / 1e6:.0f} MB")
        if options.plain:
            from plain_e3nn import PlainE3CNN

            plain = PlainE3CNN(network)
            seconds = timer.once(lambda: plain(volume))
            print(f"plain e3nn {seconds:.2f} s, ratio to dense {seconds / floor:.2f}")
    if options.model and options.scan:
        estimators = {
            precision: PoseEstimator(load_model(options.model), "cpu", as_official=is_official, precision=precision)
            for precision in options.precision
        }
        time_poses(estimators, options.scan, layers, timer)
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    if options.output:
        draw(rows, options.output)


if __name__ == "__main__":
    main()
