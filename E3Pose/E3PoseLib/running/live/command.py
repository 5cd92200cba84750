"""``e3pose serve``: poses for images as they come, by OpenIGTLink."""

from __future__ import annotations

import argparse
import importlib.util
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import E3PoseError
from ..ending import SUCCESS
from ..memory import keep_freed_memory, made_to_stay

if TYPE_CHECKING:
    # With them come numpy and torch, for which help and errors of usage need not wait.
    from ...method.estimator import PoseEstimator
    from .server import ImageServer

LOOPBACK, PORT = "127.0.0.1", 18944
"""Where it listens unless told otherwise; the port is OpenIGTLink's own."""


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``e3pose serve`` but those of model and device."""
    parser.add_argument("--port", type=_port, default=PORT, help=f"to listen on; 0 for any (default: {PORT})")
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="to listen on; others than this computer's own reach it by any other than the default, and nothing asks "
        f"who they are (default: {LOOPBACK})",
    )


def run_serve(options: argparse.Namespace, model: Mapping[str, Any]) -> int:
    """Serve until interrupted.

    Parameters
    ----------
    options : argparse.Namespace
        See `add_serve_arguments`, and ``device``.
    model : mapping
        The arguments of `load_model`.

    Raises
    ------
    E3PoseError
        If pyigtl is not installed, the port is in use, or model or device cannot be used.
    """
    if importlib.util.find_spec("pyigtl") is None:
        raise E3PoseError("serving needs pyigtl; install it: pip install 'e3pose[live]'")
    keep_freed_memory()
    with made_to_stay():
        from ...imaging.volume import read_volume
        from ...method.estimator import PoseEstimator
        from ...models.catalog import resources
        from ...models.loading import load_model
        from .server import ImageServer

    # First, so that a port in use is told at once; images that come while the model is loaded wait.
    server = ImageServer(options.host, options.port)
    try:
        estimator = PoseEstimator(load_model(**model), options.device)
        # The first estimate builds what all others use.
        estimator.estimate(read_volume(resources() / "SampleData" / "SyntheticFetalEPI.nii.gz"))
        print(f"serving on {options.host}:{server.port}; end it by Ctrl+C", flush=True)
        with suppress(KeyboardInterrupt):  # which is how it ends
            serve(server, estimator)
    finally:
        server.close()
    return SUCCESS


def serve(server: ImageServer, estimator: PoseEstimator, stop: threading.Event | None = None) -> None:
    """Answer images, the newest of each device first known; those of another client begin anew.

    Parameters
    ----------
    server : ImageServer
    estimator : PoseEstimator
    stop : threading.Event, optional
        Ends it.
    """
    from ...method.tracking.tracker import PoseTracker
    from .answers import answer, no_image
    from .server import IMAGE, MOST_DEVICES

    trackers: dict[str, PoseTracker] = {}
    numbers: dict[str, int] = {}
    last_client = 0
    while stop is None or not stop.is_set():
        client, messages = server.newest(timeout_seconds=0.2)
        if client != last_client:
            last_client = client
            trackers.clear()
            numbers.clear()
        for message, arrived in messages:
            if message.message_type != IMAGE:
                server.say(no_image(message), client)
                continue
            device = message.device_name
            tracker = trackers.pop(device, None) or PoseTracker(estimator)
            trackers[device] = tracker
            if len(trackers) > MOST_DEVICES:
                forgotten = next(iter(trackers))
                trackers.pop(forgotten)
                numbers.pop(forgotten, None)
            number = numbers.get(device) or min(set(range(1, MOST_DEVICES + 1)) - set(numbers.values()))
            for reply in answer(message, arrived, tracker, number):
                if reply.message_type == "TRANSFORM":
                    numbers[device] = number
                server.say(reply, client)


def _port(text: str) -> int:
    """A port from the command line."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port from 0 to 65535")
    return int(text)
