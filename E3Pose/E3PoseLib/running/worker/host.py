"""The host's end of the worker: a process of its own that keeps a model warm and estimates poses.

The window that shows the panel must stay alive while a pose is computed, a crash must not take it down, and a
cancelled computation must be gone at once: so the computation lives in another process
(`E3PoseLib.running.worker.process`), and nothing here ever waits for it. The two share a folder and the process's
output:

* a request is ``request-N.json`` (written whole, then renamed) with voxels in ``request-N-I.npy``, which a thread
  writes before (`hand_over`);
* everything the worker says is a line of its output; a line with `MARKER` in it carries one JSON message, any
  other is a log line, kept as last words;
* a mask of an answer is ``answer-N.npy``, the box of it that is not empty (`masks`).

Example::

    worker = PoseWorker(lambda args: subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    worker.estimate(volume, model={"model": "default"})
    while worker.busy:                       # the panel does this from a timer
        for event in worker.poll():
            print(event)                     # Progress, ..., Finished
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from E3PoseLib import errors
from E3PoseLib.errors import E3PoseError, WorkerError
from E3PoseLib.running.worker.folder import make_folder, remove_folder
from E3PoseLib.running.worker.hand_over import HandOver, Scan, describe
from E3PoseLib.running.worker.masks import load_mask
from E3PoseLib.running.worker.messages import MARKER, Failed, Finished, Progress, describe_exit

PROCESS_SCRIPT = Path(__file__).with_name("process.py")

IDLE_SECONDS = 600
"""How long a worker without work keeps its memory before it leaves by itself."""

LAST_WORDS = 12
"""Log lines kept for the report of a worker's death."""


@dataclass(frozen=True)
class _Child:
    """A worker's process, its output, and the folder that it shares with its host."""

    process: subprocess.Popen
    output: IO[bytes]
    folder: Path


class PoseWorker:
    """Starts the worker at the first request, keeps it for the next ones, and tells by `poll` what it says.

    ``launch`` starts a process from an argument list and returns its ``Popen`` with a ``stdout`` pipe that
    carries the errors too (in Slicer: ``slicer.util.launchConsoleProcess``). ``python`` is the interpreter to
    run.
    """

    def __init__(
        self,
        launch: Callable[[list[str]], subprocess.Popen],
        python: str = sys.executable,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._launch = launch
        self._idle_seconds = idle_seconds
        self._python = python
        self._child: _Child | None = None
        self._worker_pid: int | None = None
        self._unread = b""
        self._log: collections.deque[str] = collections.deque(maxlen=LAST_WORDS)
        self._request_count = 0
        self._hand_over: HandOver | None = None
        self._waiting: dict = {}
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether a request awaits its answer."""
        return self._busy

    @property
    def alive(self) -> bool:
        """Whether the worker's process runs."""
        return self._child is not None and self._child.process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process that computes, once it has said hello; a launcher in between is another one."""
        return self._worker_pid

    def estimate(
        self,
        scan: Scan,
        model: dict,
        file: str | None = None,
        check: Callable[[], Any] = lambda: None,
        series: tuple[str, float | None] | None = None,
        **options: Any,
    ) -> None:
        """Ask for a pose; where the scan is the next of a ``series``, by following the head, see `Session.track`.

        ``model`` holds the arguments of `load_model`, ``options`` those of `Session.estimate`. Of a ``file`` that the
        scan was loaded from, the worker notes what is doubtful about it. ``check()`` is called once the voxels are
        handed over, and raises an E3PoseError where they were changed meanwhile.

        Raises
        ------
        WorkerError
            A request is under way, or the worker cannot be started.
        """
        message = {"task": "estimate", "model": model, "options": options, "series": series}
        self._send(message, [(scan, file)], check)

    def align(
        self,
        scans: Sequence[tuple[Scan, str | None]],
        model: dict,
        check: Callable[[], Any] = lambda: None,
        **options: Any,
    ) -> None:
        """Ask for stacks of one fetus to be brought together, see `align_volumes`; each comes with its file or None.

        The masks of the answer are those of the stacks, in their order. The other arguments are those of `estimate`.

        Raises
        ------
        WorkerError
            A request is under way, or the worker cannot be started.
        """
        self._send({"task": "align", "model": model, "options": options}, scans, check)

    def import_weights(self, model: dict, output: str) -> None:
        """Ask to read weights by ``load_model(**model)`` and save them as one model file at ``output``.

        Raises
        ------
        WorkerError
            A request is under way, or the worker cannot be started.
        """
        self._send({"task": "import", "model": model, "output": str(output)})

    def poll(self) -> list[Progress | Finished | Failed]:
        """What the worker has said since the last call; never waits."""
        if self._child is None:
            return []
        if self._hand_over is not None and self._hand_over.done:
            try:
                self._hand_over.finish()
                self._ask(self._waiting)
            except E3PoseError as error:
                self._busy = False
                return [Failed(error)]
            finally:
                self._hand_over = None
        ended = not self.alive
        lines = self._new_lines(self._child.output)
        events = [event for line in lines if (event := self._understand(line)) is not None]
        if ended:
            events += self._bury(self._child.process.returncode)
        return events

    def stop(self) -> None:
        """End the worker now, whatever it does, and remove its files; the next request starts a fresh one."""
        if self._child is None:
            return
        if not self.alive:  # it has left by itself, and its number may be another process's by now
            self._forget()
            return
        try:
            # A launcher, as Slicer's PythonSlicer is one, outlives no child: it needs no signal of its own.
            os.kill(self._worker_pid or self._child.process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        except OSError:
            self._child.process.kill()
        self._forget()

    def _start(self) -> _Child:
        folder = make_folder()
        arguments = [self._python, str(PROCESS_SCRIPT), str(folder), str(self._idle_seconds)]
        try:
            process = self._launch(arguments)
        except OSError as error:
            remove_folder(folder)
            raise WorkerError(f"cannot start the worker process {self._python}: {error}") from error
        if process.stdout is None:
            raise TypeError("launch must start the worker with its output in a pipe")
        os.set_blocking(process.stdout.fileno(), False)
        self._worker_pid = None
        self._unread = b""
        self._log.clear()
        return _Child(process, process.stdout, folder)

    def _send(
        self,
        message: dict,
        scans: Sequence[tuple[Scan, str | None]] = (),
        check: Callable[[], Any] = lambda: None,
    ) -> None:
        if self._busy:
            raise WorkerError("the worker is busy: wait for its answer or cancel it")
        if not self.alive:
            self._forget()
        if self._child is None:
            self._child = self._start()
        self._request_count += 1
        names = [f"request-{self._request_count}-{index}.npy" for index in range(len(scans))]
        described = [{**describe(scan, file), "array": name} for (scan, file), name in zip(scans, names, strict=True)]
        request = {"request": self._request_count, **message, "scans": described}
        if not scans:
            self._ask(request)
        else:
            self._waiting = request
            folder = self._child.folder
            arrays = {folder / name: scan.array for (scan, _), name in zip(scans, names, strict=True)}
            self._hand_over = HandOver(arrays, check)
        self._busy = True

    def _ask(self, request: dict) -> None:
        if self._child is None:
            raise WorkerError("the worker has gone: ask again")
        name, folder = f"request-{request['request']}", self._child.folder
        try:
            unfinished = folder / f"{name}.unfinished"
            unfinished.write_text(json.dumps(request), encoding="utf-8")
            unfinished.replace(folder / f"{name}.json")
        except OSError as error:
            raise WorkerError(f"cannot hand the scan to the worker in {folder}: {error}") from error

    def _new_lines(self, output: IO[bytes]) -> list[str]:
        descriptor = output.fileno()
        while True:
            try:
                chunk = os.read(descriptor, 1 << 16)
            except OSError:  # nothing to read now (BlockingIOError; on Windows EPIPE) or nothing ever again
                break
            if not chunk:
                break
            self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        return [line.decode("utf-8", errors="replace").rstrip("\r") for line in lines]

    def _understand(self, line: str) -> Progress | Finished | Failed | None:
        text, marker, payload = line.partition(MARKER)
        if text.strip():
            self._log.append(text)
        if not marker or not payload:
            return None
        message = json.loads(payload)
        kind = message.pop("kind")
        if kind == "hello":
            self._worker_pid = message["pid"]
            return None
        if kind == "progress":
            return Progress(message["stage"], message["fraction"])
        self._busy = False
        if kind == "error":
            error_class = getattr(errors, message["type"], WorkerError)
            return Failed(error_class(message["message"]))
        try:
            masks = [None if saved is None else load_mask(saved) for saved in message.pop("masks", [])]
        except WorkerError as error:
            return Failed(error)
        return Finished(message, masks)

    def _bury(self, status: int) -> list[Failed]:
        was_busy, last_words = self._busy, "\n".join(self._log)
        cause = describe_exit(status, last_words)
        self._forget()
        if not was_busy:
            return []
        report = f" Its last words:\n{last_words}" if last_words else ""
        return [Failed(WorkerError(f"the worker process {cause} before it had an answer.{report}"))]

    def _forget(self) -> None:
        if self._hand_over is not None:
            self._hand_over.stop()
            self._hand_over = None
        if self._child is not None:
            self._child.output.close()
            # A killed process is reaped here so that it does not linger; it may need a moment to give its
            # memory back.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.process.wait(timeout=0.05)
            remove_folder(self._child.folder)
        self._child = self._worker_pid = None
        self._busy = False
