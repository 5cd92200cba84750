"""The module E3Pose of 3D Slicer: how a fetus's head lies in an MR scan."""

import logging

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from E3PoseLib import mrml
from E3PoseLib.errors import DependencyError, E3PoseError
from E3PosePanel.direction_control import DirectionControl
from E3PosePanel.first_steps import FirstSteps
from E3PosePanel.head.correction import Correction
from E3PosePanel.head.mask_controls import MaskControls
from E3PosePanel.head.overlays import Overlays
from E3PosePanel.head.views import Views
from E3PosePanel.logic import SEGMENTATION, TRANSFORM, E3PoseLogic
from E3PosePanel.model_section import ModelSection
from E3PosePanel.outputs import Outputs
from E3PosePanel.parameters import E3PoseParameterNode
from E3PosePanel.result_section import ResultSection
from E3PosePanel.runs.background_run import BackgroundRun
from E3PosePanel.runs.reslicing_run import ReslicingRun
from E3PosePanel.sample_data import registerSampleData
from E3PosePanel.setup_section import SetupSection
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


class E3PoseWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: widgets in, library calls out."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._run = None
        self._observedVolume = None
        self._volumeTags = []

    def setup(self) -> None:
        """Build the panel from its ``.ui`` file."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/E3Pose.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = E3PoseLogic()
        self._run = BackgroundRun(self._showProgress, self._onBusy)
        self.modelSection = ModelSection(self.ui, self._run, self._showMessage, self._onModelChanged)
        self.setupSection = SetupSection(self.ui, self._showMessage, self._checkCanEstimate)
        self._reslicingRun = ReslicingRun(lambda fraction: self._showProgress(_("Reslicing"), fraction), self._onBusy)
        page = self.resourcePath("FirstSteps/FirstSteps.html")
        self.firstSteps = FirstSteps(self.ui, page, self._showMessage, self._selectScan)
        self.outputs = Outputs()
        self.views = Views(self.ui, self._onShown, self._onFailed)
        self.maskControls = MaskControls(self.views)
        self.directionControl = DirectionControl(self._showMessage)
        self.overlays = Overlays(self.views)
        self.correction = Correction(
            self.ui,
            self.logic,
            self.views,
            self.overlays.axes,
            self._showMessage,
            self._refreshResult,
            self._onFailed,
        )
        self.resultSection = ResultSection(
            self.ui,
            self.logic,
            self.outputs,
            self._reslicingRun,
            self.views,
            self.maskControls,
            self._showMessage,
            self._onFailed,
        )

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndUndoEvent, self.onSceneEndUndo)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndRedoEvent, self.onSceneEndUndo)

        self.ui.estimateButton.connect("clicked(bool)", self.onEstimateButton)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self._wrappedLabels = WrappedLabels(uiWidget)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called before the module is unloaded or reloaded, and when Slicer closes."""
        if self._run is not None:  # else setup() failed, and there is nothing to undo
            self._run.stop()
            self._reslicingRun.stop()
            self.correction.stop()
            self.views.turnBack()
            self.setParameterNode(None)
            self.views.stop()
            self.overlays.remove()
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the panel is opened."""
        self.initializeParameterNode()
        self.modelSection.refresh()
        self.setupSection.refresh()
        self.views.refresh()
        self._checkCanEstimate()

    def exit(self) -> None:
        """Called each time another module is opened; a run goes on."""

    def onReload(self) -> None:
        """Reload the library and the panel's parts with the module file."""
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] in ("E3PoseLib", "E3PosePanel")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        """A closing scene takes the scan away: end the run and give the worker's memory back."""
        wasBusy = self._isBusy
        self._run.stop()
        self._reslicingRun.stop()
        self.correction.stop()
        self.views.turnBack()
        self.resultSection.clear()
        self._showMessage(_("Stopped: the scene was closed.") if wasBusy else "")
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
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            volumes = [node for node in volumes if node.GetClassName() == "vtkMRMLScalarVolumeNode"]  # no label maps
            scans = [node for node in volumes if not node.GetHideFromEditors()]
            shown = mrml.volume_in_views(slicer.mrmlScene)
            self._parameterNode.inputVolume = shown if shown in scans else next(iter(scans), None)

    def setParameterNode(self, parameterNode: E3PoseParameterNode | None) -> None:
        """Show and observe another parameter node, or none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged)
        self._parameterNode = parameterNode
        self._observeVolume(parameterNode.inputVolume if parameterNode else None)
        self.outputs.setParameterNode(parameterNode)
        self.modelSection.setParameterNode(parameterNode)
        self.views.setParameterNode(parameterNode)
        self.maskControls.setParameterNode(parameterNode)
        self.directionControl.setParameterNode(parameterNode)
        self.overlays.setParameterNode(parameterNode)
        self.correction.setParameterNode(parameterNode)
        self.resultSection.setParameterNode(parameterNode)
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged)
            self._onParametersChanged()
        else:
            self._checkCanEstimate()

    def _selectScan(self, volume) -> None:
        """Select a scan that was just loaded."""
        self._parameterNode.inputVolume = volume
        self._showMessage(_("Press Estimate Pose."))

    def onEstimateButton(self, checked=False) -> None:
        """Start the estimation; the result comes by `_onEstimated`."""
        parameters = self._parameterNode
        try:
            self._check()  # again: the nodes may have changed since the button was enabled
            self.outputs.ask()
            scan = self.logic.readScan(parameters.inputVolume)
            self._run.estimate(
                scan,
                self.modelSection.arguments(),
                self.logic.estimatorOptions(parameters),
                onFinished=lambda answer, mask: self._onEstimated(scan, answer, mask),
                onFailed=self._onFailed,
                isWanted=lambda: self.logic.checkStillThere(scan),
            )
            self._showMessage("")
            self._showProgress(_("Starting"), 0.0)
        except (E3PoseError, MemoryError) as error:
            self._onFailed(error)
        self._checkCanEstimate()

    def onCancelButton(self, checked=False) -> None:
        """End the worker, or a reslicing, at once; the scene stays as it was."""
        self._run.stop()
        self._reslicingRun.stop()
        self._showMessage(_("Cancelled."))

    def _onEstimated(self, scan, answer: dict, mask) -> None:
        if self._parameterNode is None:
            self.initializeParameterNode()
        parameters, volume = self._parameterNode, slicer.mrmlScene.GetNodeByID(scan.volume_id)
        # Where the person has selected another scan in the meantime, what is selected for that one is left alone.
        isSelected = parameters.inputVolume == volume
        notes = [] if isSelected else [_("The result is of '{name}'.").format(name=scan.name)]
        # Nodes that may not or cannot take the result give way to new ones.
        transform, reason = self.outputs.place("outputTransform", volume)
        if reason:
            notes.append(_("The pose is in a new transform: {reason}.").format(reason=reason))
        segmentation, reason = self.outputs.place("outputSegmentation", volume, scan.parent_id)
        if reason:
            notes.append(_("The mask is in a new segmentation: {reason}.").format(reason=reason))
        notWritten = _("The pose was found, but could not be written to the scene.")
        self._showMessage(notWritten)
        with slicer.util.tryWithErrorDisplay(notWritten):
            transform, segmentation = self._writeResult(scan, answer, mask, transform, segmentation)
            if isSelected:
                self.outputs.select("outputTransform", transform)
                self.outputs.select("outputSegmentation", segmentation)
                self._onParametersChanged()  # the nodes may be the ones before, and the parameters unchanged
                self.views.showResult()
                self.maskControls.show()
            else:
                self.views.showMasks()
            said = " ".join([_("Done."), *notes])
            self._showMessage(said)
            if isSelected and parameters.reslicedVolume:
                self.resultSection.reslice(volume, said)

    def _writeResult(self, scan, answer: dict, mask, transform, segmentation) -> tuple:
        """Fill both nodes and return them; those made for it, where one is None, go again where that fails."""
        volume = slicer.mrmlScene.GetNodeByID(scan.volume_id)
        with mrml.one_step(slicer.mrmlScene, [node for node in (transform, segmentation) if node]) as made:
            try:
                if transform is None:
                    made.append(transform := self.logic.addOutput(TRANSFORM, volume))
                if segmentation is None:
                    made.append(segmentation := self.logic.addOutput(SEGMENTATION, volume))
                direction = self._parameterNode.direction.value
                self.logic.writeEstimate(scan, answer, mask, direction, transform, segmentation)
            except Exception:
                for node in made:
                    slicer.mrmlScene.RemoveNode(node)
                raise
        return transform, segmentation

    @property
    def _isBusy(self) -> bool:
        return self._run.busy or self._reslicingRun.busy

    def _onFailed(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        logging.error(f"E3Pose: {reason}")
        self._showMessage(_("Not done: {reason}.").format(reason=reason.rstrip(".")))

    def _onBusy(self) -> None:
        """A reslicing has begun, or a run of either kind is over."""
        self.ui.progressBar.visible = self.ui.cancelButton.visible = self._isBusy
        self._checkCanEstimate()
        self._refreshResult()

    def _showProgress(self, stage: str, fraction: float) -> None:
        self.ui.progressBar.visible = True
        self.ui.cancelButton.visible = True
        self.ui.progressBar.value = round(100 * fraction)
        self.ui.progressBar.format = f"{stage}… %p%"

    def _showMessage(self, text: str) -> None:
        self.ui.statusLabel.text = text

    def _onModelChanged(self) -> None:
        self._checkCanEstimate()

    def _onParametersChanged(self, caller=None, event=None) -> None:
        parameters = self._parameterNode
        if parameters is None:
            return
        self.outputs.noteChoices()
        for spinBox in (self.ui.backgroundThresholdSpinBox, self.ui.brainThresholdSpinBox):
            spinBox.enabled = not parameters.useModelThresholds
        if parameters.inputVolume != self._observedVolume:
            self._observeVolume(parameters.inputVolume)
            self.outputs.selectThoseOf(parameters.inputVolume)
            self.views.select(parameters.inputVolume)
            self._showMessage(_("The estimation of the other scan goes on.") if self._run.busy else "")
        self._showTimePoint(parameters.inputVolume)
        self._refreshResult()
        self._checkCanEstimate()

    def _observeVolume(self, volume) -> None:
        """Keep up with the scan: its voxels may come after its node, a sequence plays, a transform is applied."""
        if volume == self._observedVolume:
            return
        # Not by the mixin, which would keep each node, and so its voxels, for as long as the panel lives.
        for tag in self._volumeTags:
            self._observedVolume.RemoveObserver(tag)
        self._volumeTags = []
        if volume is not None:
            self._volumeTags = [volume.AddObserver(event, self._onVolumeChanged) for event in mrml.SCAN_EVENTS]
        self._observedVolume = volume

    def _onVolumeChanged(self, caller=None, event=None) -> None:
        self._showTimePoint(caller)
        self._refreshResult()
        self._checkCanEstimate()

    def _onShown(self) -> None:
        """The views show another volume."""
        self.maskControls.refresh()
        self.overlays.refresh()

    def _refreshResult(self) -> None:
        if self._parameterNode is not None:
            self.directionControl.refresh()
            self.resultSection.refresh()
            self.views.refresh()
            self.maskControls.refresh()
            self.overlays.refresh()
            self.correction.refresh()

    def _showTimePoint(self, volume) -> None:
        found = mrml.time_point(volume) if mrml.is_set(volume) else None
        self.ui.timePointLabel.visible = found is not None
        if found is not None:
            self.ui.timePointLabel.text = _("Time point {index} of {count}").format(index=found[0], count=found[1])

    def _checkCanEstimate(self) -> None:
        """Enable the button, or say in its tool tip why not."""
        try:
            self._check()
        except E3PoseError as error:
            reason = str(error)
        else:
            reason = _("An estimation or a reslicing is under way.") if self._isBusy else None
        self.ui.estimateButton.enabled = reason is None
        self.ui.estimateButton.toolTip = reason or _("Find how the fetal head lies in the scan.")

    def _check(self) -> None:
        """Raise an E3PoseError where what is selected cannot be estimated, or nothing can."""
        if self.setupSection.missing:
            names = ", ".join(package.name for package in self.setupSection.missing)
            raise DependencyError(_("Not installed: {names}. Install them in the section Setup.").format(names=names))
        parameters = self._parameterNode
        mrml.check_volume_node(parameters.inputVolume if parameters else None)
        if parameters.outputTransform:
            mrml.check_transform_node(parameters.outputTransform, parameters.inputVolume)
        if parameters.outputSegmentation:
            mrml.check_mask_node(parameters.outputSegmentation, mrml.parent_id(parameters.inputVolume))
        self.modelSection.arguments()


class E3PoseTest(ScriptedLoadableModuleTest):
    """The self-test: what the module does in a scene, on the synthetic scan, whose pose is known; needs no PyTorch."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_poseInScene()

    def test_poseInScene(self):
        """The true pose turns views and volume upright."""
        import numpy as np

        from E3PosePanel.sample_data import SYNTHETIC_FILE, syntheticPose

        self.delayDisplay("Reslicing the synthetic scan by its true pose")
        volume = slicer.util.loadVolume(str(SYNTHETIC_FILE), {})
        pose = syntheticPose()
        logic = E3PoseLogic()
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        scan = logic.readScan(volume, transform)
        mrml.write_pose(transform, {"canonical_to_ras": pose.tolist()}, mrml.ALIGN_VOLUME, scan)
        self.assertTrue(np.allclose(mrml.head_pose(transform), pose))

        upright = logic.resliceVolume(volume, transform, spacing=3.0)
        voxels = mrml.voxels(upright).astype(float)
        likeness = [np.corrcoef(voxels.ravel(), np.flip(voxels, axis).ravel())[0, 1] for axis in range(3)]
        # Right and left of a head are much alike, front and back less, top and bottom hardly.
        self.assertGreater(likeness[0], 0.6)
        self.assertLess(likeness[1], 0.5)
        self.assertLess(likeness[2], 0.2)

        before = logic.showStandardPlanes(transform)
        volume.SetAndObserveTransformNodeID(transform.GetID())
        self.assertTrue(np.allclose(mrml.head_pose(transform), np.eye(4), atol=1e-6))
        mrml.restore_planes(slicer.mrmlScene, before)
        self.delayDisplay("Test passed")
