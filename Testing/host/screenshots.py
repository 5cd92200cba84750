"""Draws the pictures of the README, the tutorial and the panel's first steps: the window, step by step.

    python Testing/host/screenshots.py [SCAN] --model NAME [-o FOLDER] [--steps FILE] [--stacks STACK...]

Without a scan, the synthetic one of the sample data is shown. Panel, run and views are real: what is drawn is what the
buttons do. ``window.png``, ``slices.png``, ``planes.png`` (in a dark style), ``upright.png`` and ``follow.png`` go to
the folder, the four steps in one picture to FILE. With stacks of one
fetus there is ``stacks.png`` alone: how they are aligned.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing"))

import host  # noqa: E402

WINDOW = (1280, 720)
PANEL_WIDTH = 460
FRAME = 4
"""Pixels between the parts of the window."""

DARK = {
    "Window": "#353535",
    "WindowText": "#f0f0f0",
    "Base": "#2a2a2a",
    "AlternateBase": "#353535",
    "Text": "#f0f0f0",
    "Button": "#454545",
    "ButtonText": "#f0f0f0",
    "Highlight": "#2a82da",
    "HighlightedText": "#ffffff",
}
"""A dark palette, much like that of Slicer's own dark style."""

COLOURS = 256
"""Of a picture that is kept: so it is a third as large, and hardly a difference is seen."""


class Window:
    """The module panel with the red, 3-D, green and yellow view beside it, as Slicer's conventional layout has them."""

    def __init__(self, app):
        from host.views import SliceView, ThreeDView

        self._app = app
        width = (WINDOW[0] - PANEL_WIDTH - 2 * FRAME) // 2
        height = (WINDOW[1] - FRAME) // 2
        self._slices = {name: SliceView(name, width, height) for name in ("Red", "Green", "Yellow")}
        self._three_d = ThreeDView(width, height)
        app.module_panel.resize(PANEL_WIDTH, WINDOW[1])

    def picture(self) -> np.ndarray:
        """What the window shows now, RGB [height, width, 3]."""
        for _ in range(10):
            self._app.processEvents()
        for view in (*self._slices.values(), self._three_d):
            view.picture()  # what is new comes into place with the second picture, letters in 3-D for one
        red, green, yellow = (view.picture() for view in self._slices.values())
        three_d = self._three_d.picture()
        picture = np.full((WINDOW[1], WINDOW[0], 3), 60, np.uint8)
        picture[:, :PANEL_WIDTH] = grabbed(self._app.module_panel)
        top, left = red.shape[0] + FRAME, PANEL_WIDTH + FRAME
        right = left + red.shape[1] + FRAME
        for part, y, x in ((red, 0, left), (three_d, 0, right), (green, top, left), (yellow, top, right)):
            picture[y : y + part.shape[0], x : x + part.shape[1]] = part
        return picture


def compared(app, columns: int) -> np.ndarray:
    """The module panel with the comparison of stacks beside it, as many columns of three views."""
    from host.views import SliceView

    width = (WINDOW[0] - PANEL_WIDTH) // columns - FRAME
    height = (WINDOW[1] - 2 * FRAME) // 3
    views = {
        (row, column): SliceView(f"E3PoseStack{column + 1}{plane}", width, height)
        for row, plane in enumerate(("Axial", "Sagittal", "Coronal"))
        for column in range(columns)
    }
    app.module_panel.resize(PANEL_WIDTH, WINDOW[1])
    for _ in range(10):
        app.processEvents()
    picture = np.full((WINDOW[1], WINDOW[0], 3), 60, np.uint8)
    picture[:, :PANEL_WIDTH] = grabbed(app.module_panel)
    for (row, column), view in views.items():
        view.picture()  # what is new comes into place with the second picture
        top, left = row * (height + FRAME), PANEL_WIDTH + FRAME + column * (width + FRAME)
        picture[top : top + height, left : left + width] = view.picture()
    return picture


def grabbed(widget) -> np.ndarray:
    """What a widget shows, RGB [height, width, 3]."""
    from PySide6 import QtGui

    image = widget.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def use_palette(app, colours: dict) -> None:
    """Change the style of the whole application while it runs."""
    from PySide6 import QtGui, QtWidgets

    palette = QtGui.QPalette()
    for role, colour in colours.items():
        palette.setColor(getattr(QtGui.QPalette.ColorRole, role), QtGui.QColor(colour))
    if colours:
        palette.setColor(
            QtGui.QPalette.ColorGroup.Disabled, QtGui.QPalette.ColorRole.ButtonText, QtGui.QColor("#808080")
        )
    QtWidgets.QApplication.setPalette(palette)


def save(picture: np.ndarray, path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(picture).quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} kB")


def draw_steps(pictures: list[np.ndarray], path: Path) -> None:
    """Four pictures of the window in one, two by two, each with its number."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = WINDOW[0] * 3 // 5, WINDOW[1] * 3 // 5
    sheet = Image.new("RGB", (2 * width + 12, 2 * height + 12), "white")
    font = ImageFont.load_default(26)
    for index, picture in enumerate(pictures):
        corner = ((index % 2) * (width + 12), (index // 2) * (height + 12))
        sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), corner)
        pen = ImageDraw.Draw(sheet)
        middle = (corner[0] + width - 26, corner[1] + 26)
        pen.ellipse([middle[0] - 20, middle[1] - 20, middle[0] + 20, middle[1] + 20], fill="#1f6feb", outline="white")
        pen.text(middle, str(index + 1), fill="white", font=font, anchor="mm")
    save(np.asarray(sheet), path)


def brighten(scan) -> None:
    """A window for the head: by itself the whole of a scan is shown, in which the mother's fat is brightest."""
    from E3PoseLib import mrml

    voxels = mrml.voxels(scan)
    brightest = float(np.percentile(voxels[voxels > voxels.mean()], 99))
    scan.GetDisplayNode().SetAutoWindowLevel(False)
    scan.GetDisplayNode().SetWindowLevel(brightest, brightest / 2)


def turn_over(sections) -> None:
    """Open the sections of the panel that are folded away, and fold the open ones."""
    for section in sections:
        section.collapsed = not section.collapsed


def draw_stacks(app, panel, files: list[Path], path: Path) -> None:
    """Have stacks of one fetus aligned, and draw them side by side."""
    import qt
    import slicer

    from E3PoseLib import mrml

    for file in files:
        brighten(slicer.util.loadVolume(str(file), {}))
    ui = panel.ui
    turn_over((ui.inputsCollapsibleButton, ui.viewCollapsibleButton, ui.checkCollapsibleButton))
    turn_over((ui.alignCollapsibleButton,))
    offered = panel.ui.stacksListWidget
    for row in range(offered.count):
        offered.item(row).setCheckState(qt.Qt.Checked)
    panel.ui.alignButton.click()
    app.wait_until(lambda: not panel.isBusy, timeout=900)
    found = mrml.alignments(slicer.mrmlScene)
    if not found:
        sys.exit(panel.ui.statusLabel.text)
    save(compared(app, len(mrml.compared_stacks(found[-1]))), path)


def draw_follow(app, panel, window: Window, path: Path) -> None:
    """Follow the scan through a few images, and draw the panel with the last pose."""
    import slicer

    scan = panel.ui.inputVolumeSelector.currentNode()
    ui = panel.ui
    turn_over((ui.viewCollapsibleButton, ui.checkCollapsibleButton, ui.seriesCollapsibleButton))
    ui.followButton.checked = True
    for _ in range(3):
        before = ui.followLabel.text
        app.wait_until(lambda before=before: ui.followLabel.text != before and not panel._run.busy, timeout=60)
        slicer.util.arrayFromVolumeModified(scan)
    ui.standardPlanesButton.click()
    save(window.picture(), path)
    ui.followButton.checked = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="?")
    parser.add_argument("--model", default="default")
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "Resources" / "Screenshots")
    parser.add_argument("--steps", type=Path)
    parser.add_argument("--stacks", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()

    app = host.start()
    panel = app.open_module(REPOSITORY / "E3Pose" / "E3Pose.py")
    window = Window(app)
    import slicer

    panel.ui.modelComboBox.currentText = arguments.model
    if arguments.stacks:
        draw_stacks(app, panel, arguments.stacks, arguments.output / "stacks.png")
        panel.cleanup()
        return
    if arguments.scan is None:
        panel.ui.sampleScanButton.click()
    else:
        panel.ui.inputVolumeSelector.setCurrentNode(slicer.util.loadVolume(str(arguments.scan), {}))
    brighten(panel.ui.inputVolumeSelector.currentNode())
    slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCameraNode").SetPosition(300, 400, 150)
    steps = [window.picture()]

    panel.ui.estimateButton.click()
    app.wait_until(lambda: not panel._run.busy, timeout=600)
    if panel.ui.outputTransformSelector.currentNode() is None:
        sys.exit(panel.ui.statusLabel.text)
    steps.append(window.picture())
    save(steps[-1], arguments.output / "window.png")

    sections = (panel.ui.viewCollapsibleButton, panel.ui.checkCollapsibleButton, panel.ui.prescriptionCollapsibleButton)
    turn_over(sections)
    panel.ui.showStackCheckBox.checked = True
    save(window.picture(), arguments.output / "slices.png")
    panel.ui.showStackCheckBox.checked = False
    turn_over(sections)

    panel.ui.standardPlanesButton.click()
    panel.ui.showAxesCheckBox.checked = True
    steps.append(window.picture())
    use_palette(app, DARK)
    save(window.picture(), arguments.output / "planes.png")
    use_palette(app, {})

    panel.ui.showAxesCheckBox.checked = False
    panel.ui.reslicedSpacingSliderWidget.value = 1.0
    panel.ui.resliceButton.click()
    app.wait_until(lambda: not panel._reslicingRun.busy)
    steps.append(window.picture())
    save(steps[-1], arguments.output / "upright.png")
    if arguments.steps is not None:
        draw_steps(steps, arguments.steps)
    draw_follow(app, panel, window, arguments.output / "follow.png")
    panel.cleanup()


if __name__ == "__main__":
    main()
