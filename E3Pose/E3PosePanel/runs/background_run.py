"""Requests to the worker process, polled by a timer so that the window stays alive."""

import shutil

import qt
import slicer

from E3PoseLib.errors import E3PoseError, WorkerError
from E3PoseLib.running.worker import Failed, PoseWorker, Progress

POLL_INTERVAL_MS = 50


class BackgroundRun:
    """One request at a time; the worker and its model stay warm from one to the next.

    ``onProgress(stage, fraction)`` is called as the worker reports; ``onEnd()`` when a request is over, whichever
    way. What to do with the answer, or with the error instead, goes with each request.
    """

    def __init__(self, onProgress, onEnd):
        self._worker: PoseWorker | None = None
        self._onProgress = onProgress
        self._onEnd = onEnd
        self._onFinished = self._onFailed = None
        self._isWanted = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_INTERVAL_MS)
        self._timer.connect("timeout()", self._poll)

    @property
    def busy(self) -> bool:
        return self._worker is not None and self._worker.busy

    @property
    def workerPid(self) -> int | None:
        """The process that computes; None where there is none, or it has not said hello yet."""
        return self._worker.pid if self._worker is not None and self._worker.alive else None

    def estimate(self, scan, model: dict, options: dict, onFinished, onFailed, isWanted, series=None) -> None:
        """Estimate the pose in a `mrml.Scan`; ``onFinished(answer, mask)`` or ``onFailed(error)`` is called later.

        A ``series`` is a name and the scan's time in seconds, or None: the head is then followed from the scans of that
        series before, and the answer has ``marks``, see `TrackedFrame`.

        ``isWanted()`` is asked at each turn of the timer; an E3PoseError that it raises ends the run as its error.

        Raises:
            WorkerError: a request is under way, or the worker cannot be started.
        """
        self._startWorker()
        self._worker.estimate(scan, model, scan.file, scan.check_unchanged, series, **options)
        self._await(onFinished, onFailed, isWanted)

    def align(self, scans, model: dict, options: dict, onFinished, onFailed, isWanted) -> None:
        """Bring the stacks in several `mrml.Scan` together; ``onFinished(answer, *masks)`` is called later.

        The other arguments, and what is raised, are those of `estimate`.
        """
        self._startWorker()

        def checkUnchanged() -> None:
            for scan in scans:
                scan.check_unchanged()

        self._worker.align([(scan, scan.file) for scan in scans], model, checkUnchanged, **options)
        self._await(onFinished, onFailed, isWanted)

    def importWeights(self, model: dict, output: str, onFinished, onFailed) -> None:
        """Save weights as one model file; the callbacks are those of `estimate`.

        Raises:
            WorkerError: a request is under way, or the worker cannot be started.
        """
        self._startWorker()
        self._worker.import_weights(model, output)
        self._await(onFinished, onFailed, isWanted=lambda: None)

    def stop(self) -> None:
        """End the worker, and with it what it does: its memory is given back at once."""
        wasBusy = self.busy
        if self._worker is not None:
            self._worker.stop()
        self._endRequest()
        if wasBusy:
            self._onEnd()

    def _startWorker(self) -> None:
        if self._worker is not None:
            return
        python = shutil.which("PythonSlicer")
        if python is None:
            raise WorkerError("PythonSlicer, the interpreter beside Slicer, was not found: reinstall Slicer")
        # The environment of this process, not the one Slicer was started in: it holds Slicer's libraries.
        self._worker = PoseWorker(
            launch=lambda arguments: slicer.util.launchConsoleProcess(arguments, useStartupEnvironment=False),
            python=python,
        )

    def _await(self, onFinished, onFailed, isWanted) -> None:
        self._onFinished, self._onFailed, self._isWanted = onFinished, onFailed, isWanted
        self._timer.start()

    def _endRequest(self) -> None:
        """Ask no more, and let go of what the callbacks hold: the voxels of the scan are among it."""
        self._timer.stop()
        self._onFinished = self._onFailed = self._isWanted = None

    def _poll(self) -> None:
        scene = slicer.mrmlScene
        if scene.IsImporting() or scene.IsClosing() or scene.IsRestoring():
            return  # Slicer lives on while it loads a scene; the answer waits until the nodes are all there
        onFinished, onFailed = self._onFinished, self._onFailed
        try:
            self._isWanted()
        except E3PoseError as error:
            self.stop()
            onFailed(error)
            return
        for event in self._worker.poll():
            if isinstance(event, Progress):
                self._onProgress(event.stage, event.fraction)
                continue
            self._endRequest()
            self._onEnd()
            if isinstance(event, Failed):
                onFailed(event.error)
            else:
                onFinished(event.answer, *event.masks)
