"""`e3pose serve` on loopback: seconds from an image to its answer, and the memory of the server after many images.

``python Testing/benchmarks/serving.py --images 1000`` (memory: Linux alone).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyigtl

from E3PoseLib.running.live.answers import REPORT, TRANSFORM
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.kinds.kind import Wanted
from E3PoseTraining.synthesis.kinds.moving import MovingFetus, draw_course

SHAPE, N_FRAMES = (100, 100, 40), 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fetus = MovingFetus(options.seed, 30.0, lambda age, rng: ParametricBrain(), Wanted(SHAPE, 3.0))
    motions = draw_course(N_FRAMES, 2.0, np.random.default_rng(options.seed), furthest=(15.0, 10.0)).motions
    # There and back, so that the head makes no leap where they begin again. pyigtl's checksum takes longer than a pose.
    packed = [_packed(fetus.scan(motion, index), index) for index, motion in enumerate(motions)]
    packed += packed[-2:0:-1]
    command = [sys.executable, "-m", "E3PoseLib", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split(";")[0].rsplit(":", 1)[1])
        try:
            seconds, memory, n_transforms = _run(port, server.pid, packed, options.images)
        finally:
            server.terminate()
    seconds = seconds[1:]
    print(f"{len(seconds) + 1} images of {SHAPE}, {n_transforms} transforms; of all but the first")
    print(f"image to answer: median {np.median(seconds):.3f} s, 95 of 100 {np.percentile(seconds, 95):.3f} s", end="")
    print(f", at most {max(seconds):.2f} s")
    print("memory, MB: " + ", ".join(f"{size:.0f} after {index}" for index, size in memory))


def _packed(made, index: int) -> bytes:
    voxels = np.ascontiguousarray((made.image * 200).astype(np.int16).transpose(2, 1, 0))
    return bytes(
        pyigtl.ImageMessage(voxels, made.voxel_to_ras, "ras", timestamp=float(index), device_name="Nav").pack()
    )


def _run(port: int, pid: int, packed: list[bytes], n_images: int) -> tuple[list[float], list[tuple[int, float]], int]:
    seconds, memory, n_transforms = [], [], 0
    reader = pyigtl.OpenIGTLinkClient("127.0.0.1", port, start_now=False)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(30)
        for index in range(n_images):
            began = time.perf_counter()
            connection.sendall(packed[index % len(packed)])
            while True:
                reader._receive_message_from_socket(connection)
                names = {one.device_name: one for one in reader.get_latest_messages()}
                n_transforms += TRANSFORM in names
                if REPORT in names:
                    break
            seconds.append(time.perf_counter() - began)
            assert "error" not in json.loads(names[REPORT].string), names[REPORT].string
            if (index + 1) % max(1, n_images // 5) == 0:
                memory.append((index + 1, _megabytes(pid)))
    return seconds, memory, n_transforms


def _megabytes(pid: int) -> float:
    """Of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
