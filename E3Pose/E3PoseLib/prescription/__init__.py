"""Slices along the head's planes, and the numbers that a scanner's console takes for them.

May import `imaging` only, and of that nothing that needs PyTorch: geometry with numpy. Start with `stack.py` (a planned
stack of slices); `siemens.py`, `philips.py` and `dicom.py` say the same in each one's own words, and `report.py` puts
all of it into a document and a text. docs/prescription.md is for those who type it in.

The names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CUT_BRAIN": "stack",
    "PLANES": "settings",
    "PhilipsNumbers": "philips",
    "SiemensNumbers": "siemens",
    "SlicePlane": "stack",
    "Stack": "stack",
    "StackSettings": "settings",
    "brain_box": "stack",
    "dicom_numbers": "dicom",
    "directions_from_angulation": "philips",
    "head_planes": "stack",
    "image_orientation": "dicom",
    "image_positions": "dicom",
    "in_plane_rotation": "siemens",
    "least_turned": "philips",
    "normal_from_text": "siemens",
    "orientation_text": "siemens",
    "phase_direction": "siemens",
    "philips_numbers": "philips",
    "plan_stack": "stack",
    "plane_numbers": "report",
    "planes_in_numbers": "report",
    "point_from_off_centre": "philips",
    "point_from_text": "siemens",
    "position_text": "siemens",
    "prescription_text": "report",
    "siemens_numbers": "siemens",
    "stack_numbers": "report",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
