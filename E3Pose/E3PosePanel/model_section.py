"""The section Model: which model, adding one, and its card."""

import shutil
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from E3PoseLib.errors import E3PoseError, ModelError
from E3PoseLib.imaging.files import whole_file
from E3PoseLib.models.catalog import available_models, model_folders, read_header

OFFICIAL_NAME = "official"
"""Of a pair of weights in the official format, whose files are called after the networks, not after the model."""


class ModelSection:
    """Shows the named models; ``onChanged()`` is called when another one is selected, added, or begins to be imported.

    ``run`` is the `BackgroundRun` that reads official weights.
    """

    def __init__(self, ui, run, showMessage, onChanged):
        self._ui = ui
        self._run = run
        self._showMessage = showMessage
        self._onChanged = onChanged
        self._parameterNode = None
        ui.modelComboBox.connect("currentIndexChanged(int)", self.onModelSelected)
        ui.importWeightsButton.connect("clicked(bool)", self.onImportWeightsButton)
        ui.modelCardButton.connect("clicked(bool)", self.onModelCardButton)

    def setParameterNode(self, parameterNode) -> None:
        """Show the model that a parameter node names."""
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self.refresh()

    def refresh(self) -> None:
        """List the models there are and select the one named; where it is not among them, nothing stands in for it."""
        models = list(available_models())
        named = self._parameterNode.model
        comboBox = self._ui.modelComboBox
        wasBlocked = comboBox.blockSignals(True)
        comboBox.clear()
        for name in models:
            comboBox.addItem(name)
        comboBox.currentIndex = models.index(named) if named in models else -1
        comboBox.blockSignals(wasBlocked)
        self._ui.modelCardButton.enabled = named in models

    def arguments(self) -> dict:
        """The selected model as arguments of `load_model`.

        Raises
        ------
        ModelError
            If there is none, or the one named is not there.
        """
        name, models = self._parameterNode.model, available_models()
        if not models:
            raise ModelError(_("no model: add one with Import weights…"))
        if name not in models:
            raise ModelError(
                _("the model '{name}', which this scene names, is not there: import it, or select another one").format(
                    name=name
                )
            )
        return {"model": str(models[name])}

    def onModelSelected(self, index: int) -> None:
        if self._parameterNode is not None and index >= 0:
            self._parameterNode.model = self._ui.modelComboBox.currentText
            self._ui.modelCardButton.enabled = True
            self._onChanged()

    def onModelCardButton(self, checked=False) -> None:
        """Show what the model file says of itself."""
        try:
            header = read_header(self.arguments()["model"])
        except E3PoseError as error:
            self._showMessage(str(error))
            return
        slicer.util.infoDisplay(card(header), _("Model card"))

    def onImportWeightsButton(self, checked=False) -> None:
        """Ask for the files and add the model in them."""
        names = qt.QFileDialog.getOpenFileNames(
            slicer.util.mainWindow(),
            _("Import weights: one .safetensors, or the .ckpt and .pth together"),
            "",
            _("Model weights") + " (*.safetensors *.ckpt *.pth)",
        )
        if names:
            self.importFiles([Path(name) for name in names])

    def importFiles(self, files: list[Path]) -> None:
        """Add a model from one ``.safetensors`` file, or from a U-Net's ``.ckpt`` and an E(3)-CNN's ``.pth``."""
        bySuffix = {file.suffix.lower(): file for file in files}
        try:
            if list(bySuffix) == [".safetensors"] and len(files) == 1:
                self._copyModel(bySuffix[".safetensors"])
            elif sorted(bySuffix) == [".ckpt", ".pth"] and len(files) == 2:
                self._importPair(bySuffix[".ckpt"], bySuffix[".pth"])
            else:
                raise ModelError(_("select one .safetensors file, or one .ckpt and one .pth together"))
        except (E3PoseError, OSError) as error:
            self._showMessage(_("Not imported: {error}").format(error=error))

    def _copyModel(self, file: Path) -> None:
        read_header(file)
        target = freeModelFile(file.stem)
        with whole_file(target) as temporary:
            shutil.copyfile(file, temporary)
        self._added(target)

    def _importPair(self, unet: Path, e3cnn: Path) -> None:
        if self._run.busy:
            raise ModelError(_("wait until the estimation is done"))
        target = freeModelFile(OFFICIAL_NAME)
        self._showMessage(_("Importing…"))
        self._run.importWeights(
            {"unet": str(unet), "e3cnn": str(e3cnn)},
            str(target),
            onFinished=lambda answer: self._added(target),
            onFailed=lambda error: self._showMessage(_("Not imported: {error}").format(error=error)),
        )
        self._onChanged()

    def _added(self, file: Path) -> None:
        self._parameterNode.model = file.stem
        self.refresh()
        self._showMessage(_("The model '{name}' was added.").format(name=file.stem))
        self._onChanged()


def freeModelFile(stem: str) -> Path:
    """A file name among the user's own models that no model has yet."""
    folder = model_folders()[-1]
    folder.mkdir(parents=True, exist_ok=True)
    taken = available_models()
    names = [stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3))]
    return folder / f"{next(name for name in names if name not in taken)}.safetensors"


def card(header) -> str:
    """A model's header for reading."""
    rows = (
        (_("Model"), header.name),
        (_("What it is"), header.description),
        (_("Trained on"), header.training_data),
        (_("Licence"), header.licence),
        (_("Please cite"), header.citation),
    )
    return "\n\n".join(f"{title}:\n{text or _('not stated')}" for title, text in rows)
