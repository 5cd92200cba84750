"""Figures on disk."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from E3PoseLib.imaging.files import whole_file


def save_figure(figure: Figure, picture: Path) -> None:
    """Writes a PNG whole or not at all."""
    with whole_file(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
