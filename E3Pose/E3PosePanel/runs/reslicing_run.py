"""A reslicing between the window's events, so that it stays alive however many voxels there are."""

import qt

STEP_SECONDS = 0.03


class ReslicingRun:
    """One reslicing at a time.

    ``onProgress(fraction)`` is called after each step, ``onBusy()`` when one has begun, and when it is over.
    """

    def __init__(self, onProgress, onBusy):
        self._onProgress = onProgress
        self._onBusy = onBusy
        self._reslicing = self._onFinished = None
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._goOn)

    @property
    def busy(self) -> bool:
        return self._reslicing is not None

    def start(self, reslicing, onFinished) -> None:
        """Compute a `mrml.UprightReslicing` bit by bit; ``onFinished(reslicing)`` is called later."""
        self._reslicing, self._onFinished = reslicing, onFinished
        self._timer.start()
        self._onProgress(0.0)
        self._onBusy()

    def stop(self) -> None:
        """End it, and give its memory back."""
        self._timer.stop()
        if self.busy:
            self._reslicing = self._onFinished = None
            self._onBusy()

    def _goOn(self) -> None:
        self._reslicing.go_on(STEP_SECONDS)
        if self._reslicing.fraction < 1:
            self._onProgress(self._reslicing.fraction)
            return
        reslicing, onFinished = self._reslicing, self._onFinished
        self.stop()
        onFinished(reslicing)
