"""All time points of a scan that a sequence browser drives, one after the other, and the plot of the motion."""

import collections
import time

import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError, NoHeadFoundError, VolumeError
from E3PosePanel.logic import SEGMENTATION, TRANSFORM
from E3PosePanel.observed import Observed


class SeriesEstimation:
    """Estimates the time points of the selected scan in the worker, which stays warm, and shows what plays.

    ``panel`` gives the parts that it works with, ``run`` is the `BackgroundRun`. ``onBusy()`` is called when it has
    begun and when it is over, ``onPlayed()`` when another time point is shown.
    """

    def __init__(self, panel, run, onBusy, onPlayed):
        self._panel = panel
        self._run = run
        self._onBusy = onBusy
        self._onPlayed = onPlayed
        self._parameterNode = None
        # After Slicer itself, which turns the nodes that the browser drives.
        self._observed = Observed(self._onBrowser, "ModifiedEvent", priority=-1.0)
        self._results = None
        self._waiting: collections.deque = collections.deque()
        self._asked: tuple = ()
        self._count = self._begin = self._nBegun = 0
        self._name = ""
        panel.ui.estimateAllButton.connect("clicked(bool)", self.onEstimateAllButton)
        panel.ui.motionPlotButton.connect("clicked(bool)", self.onMotionPlotButton)

    @property
    def busy(self) -> bool:
        return self._results is not None

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self.refresh()

    def refresh(self) -> None:
        """Follow the browser of the selected scan, and say what can be done."""
        ui, volume = self._panel.ui, self._parameterNode.inputVolume if self._parameterNode else None
        points = mrml.find_time_points(volume) if volume else None
        self._observed.take(points.browser if points else None)
        ui.motionPlotButton.enabled = volume is not None and mrml.motion_chart_of(volume) is not None
        reason = ui.estimateButton.toolTip if not ui.estimateButton.enabled else ""
        if points is None:
            reason = _("The scan is no time point of a sequence.")
        ui.estimateAllButton.enabled = not reason
        ui.estimateAllButton.toolTip = reason or _(
            "Estimate the pose at each of the {count} time points; masks and poses then play with the scan."
        ).format(count=len(points))

    def onMotionPlotButton(self, checked=False) -> None:
        """Show the chart of the motion in the layout's plot view, in one that has such a view."""
        slicer.modules.plots.logic().ShowChartInLayout(mrml.motion_chart_of(self._parameterNode.inputVolume))

    def onEstimateAllButton(self, checked=False) -> None:
        """Estimate all time points; where that was cancelled before, those that are missing."""
        panel, parameters = self._panel, self._parameterNode
        volume = parameters.inputVolume
        try:
            mrml.check_volume_node(volume)
            points = mrml.find_time_points(volume)
            points.read(0 if points.shown is None else points.shown)
            model, options = panel.modelSection.arguments(), panel.logic.estimatorOptions(parameters)
        except E3PoseError as error:
            panel.status.sayFailed(error)
            return
        settings = mrml.settings_text(model=model, options=options, direction=parameters.direction.value)
        results = mrml.series_results_of(volume, points) or self._make(points, settings)
        missing = results.missing()
        if results.settings != settings or not missing:
            if not self._mayReplace(results):
                return
            results.start_anew(settings)
            missing = range(len(points))
        self._results, self._asked = results, (model, options, parameters.direction.value)
        # By their values: a person may take items out of the sequence meanwhile.
        self._waiting = collections.deque(points.value(index) for index in missing)
        self._count, self._begin = len(self._waiting), time.monotonic()
        self._nBegun += 1
        self._name = f"series {self._nBegun}"
        panel.outputs.select("outputTransform", results.transform_node)
        panel.outputs.select("outputSegmentation", results.segmentation_node)
        panel.status.say("")
        self._next()
        self._onBusy()

    def progress(self, stage: str, fraction: float) -> tuple[str, float]:
        """What there is to say of all time points, where one of them is at a stage."""
        if not self.busy or not self._waiting:
            return stage, fraction
        done = self._count - len(self._waiting)
        points = self._results.points
        index = points.index_of(self._waiting[0])
        if index is None:
            return stage, fraction
        words = _("Time point {index} of {count}").format(index=index + 1, count=len(points))
        if done:
            left = (time.monotonic() - self._begin) / done * len(self._waiting)
            words += _(", {time} left").format(time=f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s")
        return words, (done + fraction) / max(self._count, 1)

    def stop(self) -> None:
        """Go on with no other time point; what was computed stays."""
        if self.busy:
            self._finish(_("Cancelled"))

    def _mayReplace(self, results) -> bool:
        """Ask before the poses and masks that there are give way to new ones, which come one by one."""
        count = sum(one is not None for one in results.results())
        if not count:
            return True
        question = _(
            "{count} time points of '{scan}' have a pose. Estimate all of them anew?\n\n"
            "Their poses, and masks as they are now, are lost at once."
        ).format(count=count, scan=results.points.volume_node.GetName())
        return slicer.util.confirmOkCancelDisplay(question)

    def _make(self, points, settings: str):
        """New sequences, shown by nodes of the scan's own."""
        logic, outputs, volume = self._panel.logic, self._panel.outputs, points.volume_node
        transform, _reason = outputs.place("outputTransform", volume)
        segmentation, _reason = outputs.place("outputSegmentation", volume, volume.GetTransformNodeID())
        if segmentation is not None and mrml.holds_other_segments(segmentation):
            segmentation = None  # what a browser writes there would replace them
        transform = transform or logic.addOutput(TRANSFORM, volume)
        segmentation = segmentation or logic.addOutput(SEGMENTATION, volume)
        return mrml.make_series_results(points, transform, segmentation, settings)

    def _next(self) -> None:
        """Ask for the next time point that can be read; finish where there is none."""
        model, options, _direction = self._asked
        while self.busy and self._waiting:
            value = self._waiting[0]
            try:
                self._checkStillThere()
                index = self._results.points.index_of(value)
                if index is None:  # taken out of the sequence
                    self._waiting.popleft()
                    continue
                scan = self._results.points.read(index)
            except VolumeError as error:
                self._onFailed(error, goOn=False)
                continue
            try:
                self._run.estimate(
                    scan,
                    model,
                    options,
                    onFinished=lambda answer, mask, scan=scan: self._onFinished(scan, answer, mask),
                    onFailed=self._onFailed,
                    isWanted=self._checkStillThere,
                    series=(self._name, self._results.points.seconds(index)),
                )
            except (E3PoseError, MemoryError) as error:
                self._finish(_("Stopped: {reason}").format(reason=str(error).rstrip(".")))
            return
        if self.busy:
            self._finish(_("Done"))

    def _onFinished(self, scan, answer: dict, mask) -> None:
        if not self.busy:
            return
        index = self._results.points.index_of(self._waiting.popleft())
        if index is not None:
            try:
                self._results.write(index, scan, answer, mask, self._asked[2])
                self._tell()
            except Exception as error:
                self._finish(_("Stopped: {reason}").format(reason=str(error).rstrip(".")))
                raise
        self._next()

    def _onFailed(self, error: Exception, goOn: bool = True) -> None:
        """Note a time point that shows no head, or is no scan; any other error is one of all time points."""
        if not self.busy:
            return
        if isinstance(error, VolumeError | NoHeadFoundError) and self._isThere():
            index = self._results.points.index_of(self._waiting.popleft())
            if index is not None:
                self._results.write_failure(index, str(error).rstrip("."))
                self._tell()
            if goOn:
                self._next()
        else:
            self._finish(_("Stopped: {reason}").format(reason=str(error).rstrip(".")))

    def _tell(self) -> None:
        """Table and plot as far as they are known."""
        mrml.write_motion(self._results)
        self._onPlayed()

    def _finish(self, word: str) -> None:
        results, self._results = self._results, None
        self._waiting.clear()
        if mrml.is_set(results.poses) and mrml.is_set(results.transform_node):
            missing = set(results.missing())
            found = [one for index, one in enumerate(results.results()) if index not in missing]
            without = sum(one is None for one in found)
            doubtful = sum(one is not None and bool(mrml.marks_of(one)) for one in found)
            words = [_("{word}: {count} time points").format(word=word.rstrip("."), count=len(found))]
            words += [_("{count} without a pose").format(count=without)] if without else []
            words += [_("{count} doubtful").format(count=doubtful)] if doubtful else []
            words += [_("{count} left: press again to go on").format(count=len(missing))] if missing else []
            self._panel.status.say(", ".join(words) + ".")
            if self._parameterNode and self._parameterNode.inputVolume == results.points.volume_node:
                self._panel.views.showResult()
                self._panel.maskControls.show()
        else:
            self._panel.status.say(f"{word}.")
        self._onBusy()

    def _isThere(self) -> bool:
        results = self._results
        nodes = (results.points.volume_node, results.points.browser, results.points.sequence)
        return all(mrml.is_set(node) for node in (*nodes, results.poses, results.masks))

    def _checkStillThere(self) -> None:
        if self.busy and not self._isThere():
            raise VolumeError(_("the sequence was deleted during the estimation"))

    def _onBrowser(self, caller, event) -> None:
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        results = mrml.series_results_of(volume, mrml.find_time_points(volume)) if volume else None
        if results is not None:
            mrml.mark_time_point(results)
            self._onPlayed()
