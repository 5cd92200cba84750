"""The verdict under the button: how far the pose can be trusted, in a colour that can be read on any background."""

import qt

from E3PoseLib import mrml
from E3PosePanel import result_text

LEVEL_HUES = {"high": 1 / 3, "moderate": 1 / 9, "low": 0.0}
"""Green, amber and red, as hues in [0, 1]."""

LEAST_CONTRAST = 4.5
"""Between text and background, by the Web Content Accessibility Guidelines 2, level AA."""


class Verdict(qt.QObject):
    """Shows the verdict and the first warning; where the style changes from light to dark, the colour follows."""

    def __init__(self, ui):
        qt.QObject.__init__(self)
        self._verdictLabel = ui.verdictLabel
        self._warningLabel = ui.firstWarningLabel
        self._level = None
        self._verdictLabel.installEventFilter(self)
        self.show(None)

    def show(self, result: dict | None, whyNone: str | None = None) -> None:
        """Show the verdict on an estimate's dictionary form, or none; or, in a sentence, why there is none."""
        isReviewed = result is not None and mrml.review_state(result) != mrml.ESTIMATED
        self._level = None
        if result and not isReviewed:
            self._level = "low" if mrml.marks_of(result) else result["confidence"]["level"]
        self._verdictLabel.text = result_text.verdict(result) if result else ""
        self._warningLabel.text = result_text.first_warning(result) if result else ""
        if whyNone and not result:
            self._level = "low"
            self._verdictLabel.text = whyNone
        for label in (self._verdictLabel, self._warningLabel):
            label.visible = bool(label.text)
        if self._level is None:
            self._verdictLabel.palette = qt.QPalette()  # what the style has for any text
        else:
            self._colour()

    def eventFilter(self, watched, event) -> bool:
        if event.type() == qt.QEvent.PaletteChange and self._level is not None:
            self._colour()
        return False

    def _colour(self) -> None:
        palette = qt.QPalette(self._verdictLabel.palette)
        colour = readableColour(LEVEL_HUES[self._level], palette.color(qt.QPalette.Window))
        if palette.color(qt.QPalette.WindowText) != colour:  # else this would be called again for its own change
            palette.setColor(qt.QPalette.WindowText, colour)
            self._verdictLabel.palette = palette


def readableColour(hue: float, background):
    """The colour of a hue in [0, 1] that is nearest to middle lightness and has `LEAST_CONTRAST` on a background."""
    isDark = luminance(background) < 0.18  # where black and white contrast alike
    for step in range(51):
        lightness = 0.5 + 0.01 * step if isDark else 0.5 - 0.01 * step
        colour = qt.QColor.fromHslF(hue, 0.9, lightness)
        if contrast(colour, background) >= LEAST_CONTRAST:
            break
    return colour


def contrast(first, second) -> float:
    """The contrast ratio of two colours, in [1, 21]."""
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour) -> float:
    """The relative luminance of a colour, in [0, 1]."""

    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(colour.redF()) + 0.7152 * linear(colour.greenF()) + 0.0722 * linear(colour.blueF())
