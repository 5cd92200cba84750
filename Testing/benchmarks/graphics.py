"""What a pose costs on an NVIDIA GPU, and how far its networks are from what arithmetic and memory allow.

    python Testing/benchmarks/graphics.py SCAN… [--model FILE.safetensors]

Of every scan the fastest of some estimates, with the time of each step; of both networks of an official pair at their
full size the time of a plain call and of a replayed one, beside two floors measured in the same minute: their
multiplications at the rate of a large matrix product, and the bytes that their layers read and write, each feature and
weight once, at that of a large copy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.networks.device import exact_float32
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.pooling import NormMaxPool
from E3PoseLib.networks.precision import segment
from E3PoseLib.networks.replay import Replay

REPEATS = 10


def milliseconds(call: Callable[[], object]) -> float:
    """Median of some calls, after three that warm up."""
    times = []
    for repeat in range(REPEATS + 3):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        stop.record()
        stop.synchronize()
        if repeat >= 3:
            times.append(start.elapsed_time(stop))
    return median(times)


def rates() -> tuple[dict[str, float], float]:
    """Operations a second by precision, and bytes a second."""
    one, other = (torch.randn(8192, 8192, device="cuda") for _ in range(2))
    operations = {"float32": 2 * 8192**3 / milliseconds(lambda: one @ other) * 1e3}
    one, other = one.half(), other.half()
    operations["float16"] = 2 * 8192**3 / milliseconds(lambda: one @ other) * 1e3
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    return operations, 2 * source.nbytes / milliseconds(lambda: target.copy_(source)) * 1e3


def bytes_moved(network: nn.Module, call: Callable[[], object]) -> int:
    """What the layers of a network read and write, float32."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += sum(tensor.nbytes for tensor in (inputs[0], output, *module.parameters()))

    kinds = (SteerableConvolution, nn.Conv3d, nn.BatchNorm3d, nn.ELU, NormMaxPool)
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    call()
    for handle in handles:
        handle.remove()
    return total


def compare(name: str, network: nn.Module, call: Callable[[Tensor], Tensor], batch: Tensor, limits: tuple) -> None:
    """Print a network's times and floors."""
    (operations, bandwidth), precision = limits
    with FlopCounterMode(display=False) as counter:
        call(batch)
    arithmetic = counter.get_total_flops() / operations[precision] * 1e3
    memory = bytes_moved(network, lambda: call(batch)) / bandwidth * 1e3
    if precision == "float16":
        memory /= 2
    replay = Replay()
    plain, replayed = milliseconds(lambda: call(batch)), milliseconds(lambda: replay(call, batch))
    print(
        f"{name:22} {precision:8} plain {plain:6.2f} ms, replayed {replayed:6.2f} ms; floor of arithmetic "
        f"{arithmetic:5.2f} ms ({counter.get_total_flops() / 1e9:.0f} GFLOP), of memory {memory:5.2f} ms; "
        f"{replayed / max(arithmetic, memory):.1f} × the larger"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", help="NIfTI files")
    parser.add_argument("--model", help="name or .safetensors file of an official pair")
    options = parser.parse_args()
    volumes = [read_volume(scan) for scan in options.scans]
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {torch.get_num_threads()} cores")
    for name in filter(None, ("default", options.model)):
        for precision in ("float32", "float16", "auto"):
            estimator = PoseEstimator(load_model(name), "cuda", as_official=name != "default", precision=precision)
            totals = []
            for volume in volumes:
                estimates = [estimator.estimate(volume) for _ in range(REPEATS)]
                timings = min((estimate.timings for estimate in estimates), key=lambda timings: timings["total"])
                totals.append(timings["total"])
                steps = ", ".join(f"{step} {seconds * 1e3:.1f}" for step, seconds in timings.items())
                print(f"{name} {precision} {volume.name}: first {estimates[0].timings['total'] * 1e3:.0f} ms; {steps}")
            chosen = f"{precision}, that is {estimator.precision}" if precision == "auto" else precision
            memory = torch.cuda.max_memory_allocated() / 1e9
            print(f"{name} {chosen}: median {median(totals) * 1e3:.1f} ms, {memory:.2f} GB of the card")
            torch.cuda.reset_peak_memory_stats()
    if options.model:
        with torch.inference_mode(), exact_float32():
            measured = rates()
            print(", ".join(f"{name} {rate / 1e12:.0f} TFLOP/s" for name, rate in measured[0].items()), end=", ")
            print(f"memory {measured[1] / 1e9:.0f} GB/s")
            model = load_model(options.model).to("cuda")
            unet, rotation = model.segmentation_network, model.rotation_network
            scan, crop = torch.rand(1, 1, 128, 128, 128, device="cuda"), torch.rand(1, 1, 64, 64, 64, device="cuda")
            for precision in ("float32", "float16"):
                limits = (measured, precision)
                compare("U-Net, 128³", unet, lambda batch, p=precision: segment(unet, p, batch), scan, limits)
            compare("rotation network, 64³", rotation, rotation.axes_field, crop, (measured, "float32"))


if __name__ == "__main__":
    main()
