"""The worker's own end: runs as a script in a process of its own; see `E3PoseLib.running.worker.host` for what passes
between.

It leaves when its host does: nobody reading its output, or its folder being gone, ends it, so that a crashed
or killed host leaves no process behind with a model in memory, and no folder with a patient's voxels.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    # Run by path, Python would look for modules in this folder instead of beside E3PoseLib.
    sys.path[0] = str(Path(__file__).resolve().parents[3])

import numpy as np

from E3PoseLib.errors import WorkerError
from E3PoseLib.running.worker.folder import beat, remove_folder
from E3PoseLib.running.worker.masks import save_mask
from E3PoseLib.running.worker.messages import MARKER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from E3PoseLib.imaging.volume import Volume
    from E3PoseLib.method.estimate import PoseEstimate
    from E3PoseLib.running.session import Session

POLL_SECONDS = 0.02
HEARTBEAT_SECONDS = 0.5


class Output:
    """Writes messages to the process's standard output, one at a time, and ends the process when nobody reads
    them: nobody is left to remove the folder then but it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._descriptor = os.dup(sys.stdout.fileno())

    def send(self, kind: str = "", **fields: Any) -> None:
        payload = json.dumps({"kind": kind, **fields}) if kind else ""
        with self._lock:
            try:
                os.write(self._descriptor, f"{MARKER}{payload}\n".encode())
            except OSError:
                remove_folder(self._folder)
                os._exit(1)


def keep_beating(output: Output, folder: Path) -> None:
    """Tell twice a second that the worker lives; leave if the host does not."""
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        output.send()
        if not beat(folder):
            os._exit(0)


class Tasks:
    """What a host may ask for. The method is imported at the first request, which needs it, not at the start."""

    def __init__(self, output: Output, folder: Path) -> None:
        self._output = output
        self._folder = folder
        self._session: Session | None = None

    def _warm_session(self) -> Session:
        if self._session is None:
            self._output.send("progress", stage="Loading PyTorch", fraction=0.0)
            from E3PoseLib.running.memory import made_to_stay

            with made_to_stay():
                from E3PoseLib.running.session import Session

            self._session = Session()
        return self._session

    def estimate(self, request: dict) -> dict:
        """A pose: its summary, and the file with the mask; of a scan of a series also the marks of `TrackedFrame`."""
        session, (volume,) = self._warm_session(), self._volumes(request)
        model, options = request["model"], request["options"]
        if request["series"] is None:
            return self._answer(request, session.estimate(volume, model, **options, progress=self._tell))
        found = session.track(volume, model, tuple(request["series"]), **options)
        if found.estimate is None:
            raise found.error or WorkerError("nothing was found")
        return {**self._answer(request, found.estimate), "marks": found.marks, "searched": found.was_searched}

    def align(self, request: dict) -> dict:
        """Stacks brought together, and the files with their masks."""
        session, volumes = self._warm_session(), self._volumes(request)
        from E3PoseLib.running.align.together import align_volumes

        files = [scan["file"] for scan in request["scans"]]
        answer, masks = align_volumes(session, volumes, files, request["model"], request["options"], self._tell)
        return {**answer, **self._masks(request, masks)}

    def import_weights(self, request: dict) -> dict:
        """One model file of the weights given."""
        session = self._warm_session()
        self._tell("Reading the weights", 0.3)
        session.model(request["model"]).save(request["output"])
        return {"output": request["output"]}

    def _tell(self, stage: str, fraction: float) -> None:
        self._output.send("progress", stage=stage, fraction=fraction)

    def _volumes(self, request: dict) -> list[Volume]:
        """The scans that were handed over; their files go."""
        from E3PoseLib.imaging.file_doubts import file_doubts
        from E3PoseLib.imaging.volume import Volume

        volumes = []
        for scan in request["scans"]:
            array_file = self._folder / scan["array"]
            array = np.load(array_file)
            array_file.unlink()
            doubts = (*scan["doubts"], *(file_doubts(scan["file"]) if scan["file"] else ()))
            volumes.append(Volume(array, np.array(scan["voxel_to_ras"]), scan["name"], tuple(scan["notes"]), doubts))
        self._tell("Loading the model", 0.0)
        return volumes

    def _answer(self, request: dict, estimate: PoseEstimate) -> dict:
        file = request["scans"][0]["file"]
        summary = self._warm_session().summary(estimate, file, **request["options"])
        return {**summary, **self._masks(request, [estimate.mask])}

    def _masks(self, request: dict, masks: Sequence[np.ndarray | None]) -> dict:
        """Masks in files, as the host finds them."""
        from E3PoseLib.imaging.masks import filled_box

        files = [self._folder / f"answer-{request['request']}-{index}.npy" for index in range(len(masks))]
        saved = [
            None if mask is None else save_mask(mask, filled_box(mask > 0), file)
            for mask, file in zip(masks, files, strict=True)
        ]
        return {"masks": saved}


def serve(folder: Path, idle_seconds: float) -> None:
    """Answer requests until the host is gone or has been silent for ``idle_seconds``."""
    if hasattr(os, "nice"):
        os.nice(5)  # the host's window comes first
    output = Output(folder)
    output.send("hello", pid=os.getpid())
    threading.Thread(target=keep_beating, args=(output, folder), daemon=True).start()
    tasks = Tasks(output, folder)
    handlers = {"estimate": tasks.estimate, "align": tasks.align, "import": tasks.import_weights}
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < idle_seconds:
        waiting = sorted(folder.glob("request-*.json"))
        if not waiting:
            time.sleep(POLL_SECONDS)
            continue
        request = json.loads(waiting[0].read_text(encoding="utf-8"))
        waiting[0].unlink()
        try:
            answer = handlers[request["task"]](request)
        except Exception as error:
            traceback.print_exc()
            output.send("error", type=type(error).__name__, message=str(error) or type(error).__name__)
        else:
            output.send("result", **answer)
        idle_since = time.monotonic()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), float(sys.argv[2]))
    os._exit(0)  # at once: taking PyTorch down in order would only hold the memory longer
