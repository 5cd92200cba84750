"""Registration by SimpleITK, as `e3pose align` does it: correlation, gradient descent from coarse to fine."""

from __future__ import annotations

import numpy as np

from E3PoseLib.alignment.registration import can_register, registered
from E3PoseLib.alignment.stack import PosedStack
from E3PoseLib.errors import DependencyError

from ..method import Means
from .templates import Template
from .to_template import ToTemplate


class BySimpleITK(ToTemplate):
    """The moving image is the scan, the fixed one the template."""

    def __init__(self, means: Means) -> None:
        if not can_register():
            raise DependencyError("the method sitk needs SimpleITK; install it: pip install 'e3pose[formats]'")
        super().__init__(means)

    def register(self, scan: PosedStack, template: Template, compared: np.ndarray, start: np.ndarray) -> np.ndarray:
        return registered(scan, template.sample, compared, start)
