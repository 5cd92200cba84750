"""The worker's own end: runs as a script in a process of its own; see `E3PoseLib.worker` for what passes
between.

It leaves when its host does: nobody reading its output, or its folder being gone, ends it, so that a crashed
or killed host leaves no process behind with a model in memory.
"""

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

if __name__ == "__main__":
    # Run by path, Python would look for modules in E3PoseLib itself instead of beside it.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from E3PoseLib.worker import MARKER

POLL_SECONDS = 0.02
HEARTBEAT_SECONDS = 0.5


class Output:
    """Writes messages to the process's standard output, one at a time, and ends the process when nobody reads
    them.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._descriptor = os.dup(sys.stdout.fileno())

    def send(self, kind: str = "", **fields) -> None:
        payload = json.dumps({"kind": kind, **fields}) if kind else ""
        with self._lock:
            try:
                os.write(self._descriptor, f"{MARKER}{payload}\n".encode())
            except OSError:
                os._exit(1)


def beat(output: Output, folder: Path) -> None:
    """Tell twice a second that the worker lives; leave if the host does not."""
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        output.send()
        if not folder.is_dir():
            os._exit(0)


class Tasks:
    """What a host may ask for; the model of the last request stays loaded."""

    def __init__(self, output: Output, folder: Path):
        self._output = output
        self._folder = folder
        self._model = None
        self._model_key = None

    def _load(self, arguments: dict):
        """The model of ``load_model(**arguments)``, kept until another one, or a changed file, is asked for."""
        from E3PoseLib.model import load_model

        paths = [Path(value) for value in arguments.values() if Path(value).is_file()]
        key = (json.dumps(arguments, sort_keys=True), [path.stat().st_mtime_ns for path in paths])
        if key != self._model_key:
            self._model = self._model_key = None
            positional = [arguments["model"]] if "model" in arguments else []
            named = {name: value for name, value in arguments.items() if name != "model"}
            self._model, self._model_key = load_model(*positional, **named), key
        return self._model

    def estimate(self, request: dict) -> dict:
        import numpy as np

        self._output.send("progress", stage="Loading the model", fraction=0.0)
        from E3PoseLib.estimator import PoseEstimator
        from E3PoseLib.volume import Volume

        array_file = self._folder / f"request-{request['request']}.npy"
        array = np.load(array_file)
        array_file.unlink()
        volume = Volume(array, np.array(request["voxel_to_ras"]), request["name"])
        estimator = PoseEstimator(self._load(request["model"]), **request["options"])
        estimate = estimator.estimate(
            volume,
            progress=lambda stage, fraction: self._output.send("progress", stage=stage, fraction=fraction),
        )
        mask_file = self._folder / f"answer-{request['request']}.npy"
        np.save(mask_file, estimate.mask)
        return {**estimate.to_dict(), "mask_file": str(mask_file)}

    def import_weights(self, request: dict) -> dict:
        self._output.send("progress", stage="Importing the weights", fraction=0.0)
        self._load(request["model"]).save(request["output"])
        return {"output": request["output"]}


def serve(folder: Path, idle_seconds: float) -> None:
    """Answer requests until the host is gone or has been silent for ``idle_seconds``."""
    output = Output()
    output.send("hello", pid=os.getpid())
    threading.Thread(target=beat, args=(output, folder), daemon=True).start()
    tasks = Tasks(output, folder)
    handlers = {"estimate": tasks.estimate, "import": tasks.import_weights}
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
