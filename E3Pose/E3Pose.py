"""The module E3Pose of 3D Slicer: how a fetus's head lies in an MR scan."""

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from E3PosePanel.estimating.direction_control import DirectionControl
from E3PosePanel.estimating.estimation import Estimation
from E3PosePanel.estimating.follow import Follow
from E3PosePanel.estimating.outputs import Outputs
from E3PosePanel.estimating.scan_input import ScanInput, scanToBeginWith
from E3PosePanel.estimating.series import SeriesEstimation
from E3PosePanel.first_steps import FirstSteps
from E3PosePanel.head.correction import Correction
from E3PosePanel.head.mask_controls import MaskControls
from E3PosePanel.head.overlays import Overlays
from E3PosePanel.head.pose_watch import PoseWatch
from E3PosePanel.head.views import Views
from E3PosePanel.logic import E3PoseLogic
from E3PosePanel.model_section import ModelSection
from E3PosePanel.parameters import E3PoseParameterNode
from E3PosePanel.prescription_section import PrescriptionSection
from E3PosePanel.result_section import ResultSection
from E3PosePanel.runs.background_run import BackgroundRun
from E3PosePanel.runs.reslicing_run import ReslicingRun
from E3PosePanel.sample_data import registerSampleData
from E3PosePanel.self_test import E3PoseTest  # noqa: F401 - where Slicer looks for it
from E3PosePanel.setup_section import SetupSection
from E3PosePanel.stacks.align_section import AlignSection
from E3PosePanel.stacks.comparison import registerLayouts
from E3PosePanel.status import Status
from E3PosePanel.wrapped_labels import WrappedLabels


class E3Pose(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("E3-Pose")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["E3Pose contributors"]
        self.parent.helpText = _(
            "Finds how a fetus's head lies in an MR scan: its centre and its right, anterior and superior axes, "
            "with the brain mask. Select the scan, press <b>Estimate Pose</b>, then show the standard planes or "
            "reslice the scan along them. Not for clinical use."
        )
        self.parent.acknowledgementText = _(
            "The method is E(3)-Pose: Muthukrishnan R, Gagoski B, Lee S, Grant PE, Adalsteinsson E, Golland P, "
            "Billot B. Equivariant Symmetry-Aware Head Pose Estimation for Fetal MRI. arXiv, 2025. Please cite it."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", registerLayouts)


class E3PoseWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: widgets in, library calls out."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._shown = ()

    def setup(self) -> None:
        """Build the panel from its ``.ui`` file."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/E3Pose.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = E3PoseLogic()
        self.status = Status(self.ui)
        say, fail = self.status.say, self.status.sayFailed
        self._run = BackgroundRun(self._onProgress, self._onBusy)
        self.modelSection = ModelSection(self.ui, self._run, say, self._checkCanEstimate)
        self.setupSection = SetupSection(self.ui, say, self._checkCanEstimate)
        self._reslicingRun = ReslicingRun(lambda done: self.status.showProgress(_("Reslicing"), done), self._onBusy)
        self.firstSteps = FirstSteps(self.ui, self.resourcePath("FirstSteps/FirstSteps.html"), say, self._selectScan)
        self.scanInput = ScanInput(self.ui.timePointLabel, self._onVolumeChanged)
        self.outputs = Outputs()
        self.estimation = Estimation(self, self._run, say, self._onWritten, fail)
        self.views = Views(self.ui, self._onShown, fail)
        self.maskControls = MaskControls(self.views)
        self.directionControl = DirectionControl(say)
        self.overlays = Overlays(self.views)
        shown = (self.views, self.overlays.axes, say, self._refreshResult, fail)
        self.correction = Correction(self.ui, self.logic, *shown, lambda: self.isBusy)
        shown = (self.outputs, self._reslicingRun, self.views, self.maskControls, lambda: self.follow.active)
        self.resultSection = ResultSection(self.ui, self.logic, *shown, say, fail)
        self.prescriptionSection = PrescriptionSection(self.ui, self.views, say)
        self.series = SeriesEstimation(self, self._run, self._onBusy, self._refreshResult)
        self.follow = Follow(self, self._run, self._onBusy)
        self.alignSection = AlignSection(self, self._run, self._onBusy)
        # In the order in which they tell, and show, what the parameters and their nodes are now.
        shown = (self.directionControl, self.resultSection, self.views, self.maskControls, self.overlays)
        shown = (*shown, self.correction, self.prescriptionSection, self.series, self.follow, self.alignSection)
        self._shown = (*shown, PoseWatch(self._refreshResult))
        scene = slicer.mrmlScene
        for event, receiver in (
            (scene.StartCloseEvent, self.onSceneStartClose),
            (scene.EndCloseEvent, self.onSceneEndClose),
            (scene.StartImportEvent, self.onSceneStartImport),
            (scene.EndImportEvent, self.onSceneEndImport),
            (scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved),
            (scene.EndUndoEvent, self.onSceneEndUndo),
            (scene.EndRedoEvent, self.onSceneEndUndo),
        ):
            self.addObserver(scene, event, receiver)
        self.ui.estimateButton.connect("clicked(bool)", self.onEstimateButton)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self._wrappedLabels = WrappedLabels(uiWidget)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called before the module is unloaded or reloaded, and when Slicer closes."""
        if self._shown:  # else setup() failed, and there is nothing to undo
            self._leave()
            self.alignSection.stop()
            self.setParameterNode(None)
            self.views.stop()
            self.overlays.remove()
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the panel is opened."""
        self.initializeParameterNode()
        self.modelSection.refresh()
        self.setupSection.refresh()
        self.views.enter()
        self._refreshResult()  # other modules may have changed pose and mask
        self._checkCanEstimate()

    def exit(self) -> None:
        """Called each time another module is opened; a run goes on."""
        self.correction.stop()  # or its handles would be in the way there
        self.views.leave()

    def onReload(self) -> None:
        """Reload the library and the panel's parts with the module file."""
        import sys

        self.cleanup()  # by the modules that are here; those that come instead are others
        for name in [name for name in sys.modules if name.partition(".")[0] in ("E3PoseLib", "E3PosePanel")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        """A closing scene takes the scan away: end the run and give the worker's memory back."""
        wasBusy = self.isBusy
        self._leave()
        self.resultSection.clear()
        self.status.say(_("Stopped: the scene was closed.") if wasBusy else "")
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller, event) -> None:
        """Let go of the parameters: selectors that fill anew select nothing for a moment, and would write it there."""
        self.setParameterNode(None)

    def onSceneEndImport(self, caller, event) -> None:
        # A scene that has a result shows it, also before the panel is opened again.
        if self.parent.isEntered or self._sceneParameters() is not None:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        """Deselect a node before it goes, or its selector would jump to another one."""
        self.outputs.letGoOf(node)

    def onSceneEndUndo(self, caller, event) -> None:
        """What was undone, or done again, may be the result that is shown."""
        if self._parameterNode is not None:
            self.outputs.selectThoseOf(self._parameterNode.inputVolume)
            self.alignSection.onUndone()
            self._refreshResult()

    def _sceneParameters(self):
        """The scene's node with the panel's parameters; None where the panel was not opened in this scene."""
        return slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")

    def initializeParameterNode(self) -> None:
        """Bind the panel to the scene's parameter node; where no scan is selected, select the one in the views."""
        # A wrapper is kept by its own observers for good; so not another one of the same node at each visit.
        if self._parameterNode is None or self._parameterNode.parameterNode != self._sceneParameters():
            self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            self._parameterNode.inputVolume = scanToBeginWith()
        self.status.sayUnreadable(self.logic.takeUnreadable())

    def setParameterNode(self, parameterNode: E3PoseParameterNode | None) -> None:
        """Show and observe another parameter node, or none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged)
        self._parameterNode = parameterNode
        self.scanInput.follow(parameterNode.inputVolume if parameterNode else None)
        for part in (self.estimation, self.outputs, self.modelSection, *self._shown):
            part.setParameterNode(parameterNode)
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged)
            self._onParametersChanged()
        else:
            self._checkCanEstimate()

    def _selectScan(self, volume) -> None:
        """Select a scan that was just loaded."""
        self._parameterNode.inputVolume = volume
        self.status.say(_("Press Estimate Pose."))

    def onEstimateButton(self, checked=False) -> None:
        """Start the estimation; the result comes by `_onWritten`."""
        if self.estimation.start():
            self.status.say("")
            self.status.showProgress(_("Starting"), 0.0)
        self.correction.refresh()
        self._checkCanEstimate()

    def onCancelButton(self, checked=False) -> None:
        """End the worker, or a reslicing, at once; the scene stays as it was, but for time points that are done."""
        self.status.say(_("Cancelled."))
        self._stop()

    def _stop(self) -> None:
        """End all that is under way."""
        self.follow.stop()
        self.series.stop()
        self._run.stop()
        self._reslicingRun.stop()

    def _leave(self) -> None:
        """End all that is under way, and all that the views show."""
        self._stop()
        self.correction.stop()
        self.alignSection.endComparison()
        self.views.turnBack()

    def _onWritten(self, volume, words: str) -> None:
        """A result has been written; of the selected scan it is shown."""
        self.showWritten(volume)
        self.status.say(words)
        if self._parameterNode.inputVolume == volume and self._parameterNode.reslicedVolume:
            self.resultSection.reslice(volume, words)

    def showWritten(self, volume, isFirst: bool = True) -> None:
        """Tell of a result that was written; of the selected scan the views jump to the head if it is the first."""
        self._onParametersChanged()  # the nodes may be the ones before, and the parameters unchanged
        if self._parameterNode.inputVolume != volume:
            self.views.showMasks()
        elif isFirst:
            self.views.showResult()
            self.maskControls.show()

    @property
    def isBusy(self) -> bool:
        return self._run.busy or self._reslicingRun.busy or self.series.busy or self.follow.active

    def _onProgress(self, stage: str, fraction: float) -> None:
        self.status.showProgress(*self.series.progress(stage, fraction))

    def _onBusy(self) -> None:
        """A reslicing has begun, or a run of either kind is over."""
        self.status.showBusy(self.isBusy)
        self._checkCanEstimate()
        self._refreshResult()
        self.follow.goOnLater()

    def _onParametersChanged(self, caller=None, event=None) -> None:
        if (parameters := self._parameterNode) is None:
            return
        self.outputs.noteChoices()
        for spinBox in (self.ui.backgroundThresholdSpinBox, self.ui.brainThresholdSpinBox):
            spinBox.enabled = not parameters.useModelThresholds
        isOther, volume = parameters.inputVolume != self.scanInput.volume, parameters.inputVolume
        self.scanInput.follow(volume)
        if isOther:
            self.outputs.selectThoseOf(volume)
            self.views.select(volume)
            self.status.say(_("The estimation of the other scan goes on.") if self._run.busy else "")
        self._refreshResult()
        self._checkCanEstimate()

    def _onVolumeChanged(self) -> None:
        self._refreshResult()
        self._checkCanEstimate()

    def _onShown(self) -> None:
        """The views show another volume."""
        for part in (self.maskControls, self.overlays, self.correction, self.prescriptionSection):
            part.refresh()

    def _refreshResult(self) -> None:
        for part in self._shown if self._parameterNode is not None else ():
            part.refresh()

    def _checkCanEstimate(self) -> None:
        self.estimation.refresh(self.isBusy)
        for part in (self.series, self.follow, self.alignSection):
            part.refresh()
