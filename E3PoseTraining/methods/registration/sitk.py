"""Registration by SimpleITK, as `e3pose align` does it: correlation, gradient descent from coarse to fine."""

from __future__ import annotations

import numpy as np
import SimpleITK  # noqa: F401 - where it is missing, `find_method` says so

from E3PoseLib.alignment.registration import registered
from E3PoseLib.alignment.stack import PosedStack

from .templates import Template
from .to_template import ToTemplate


class BySimpleITK(ToTemplate):
    """The moving image is the scan, the fixed one the template."""

    def register(
        self, scan: PosedStack, template: Template, compared: np.ndarray, start: np.ndarray, *, roughly: bool = False
    ) -> np.ndarray:
        return registered(scan, template.sample, compared, start, roughly=roughly)
