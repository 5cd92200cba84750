"""A prescription as a document of plain numbers, and as a text to type from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..imaging.geometry import LPS_TO_RAS
from .dicom import dicom_numbers
from .philips import PhilipsNumbers, least_turned, philips_numbers
from .siemens import siemens_numbers
from .stack import SlicePlane, Stack, head_planes

DECIMALS = 6
"""Of millimetres, degrees and direction cosines in documents."""

NOT_CLINICAL = "Research software, not for clinical use."


def planes_in_numbers(
    canonical_to_ras: np.ndarray, mask: np.ndarray, voxel_to_ras: np.ndarray, is_cut: bool = False
) -> dict[str, Any] | None:
    """The three planes of the head through the middle of the brain's box, by their names, in the main `plane_numbers`.

    Parameters as of `plan_stack`. None where the mask is empty.

    Raises
    ------
    TransformError
        If the pose is not rigid.
    """
    if not np.any(mask):
        return None
    planes = head_planes(canonical_to_ras, mask, voxel_to_ras, is_cut)
    numbers = {name: plane_numbers(plane) for name, plane in planes.items()}
    return {name: {part: one[part] for part in ("ras", "siemens", "philips")} for name, one in numbers.items()}


def plane_numbers(plane: SlicePlane) -> dict[str, Any]:
    """Where slices lie, as lists and numbers for a JSON document.

    ``ras`` and ``lps`` hold centre (mm), normal, row and column; ``siemens`` is a `SiemensNumbers`, ``philips`` a
    `PhilipsNumbers`, and ``philips_least_turned`` the same slices counted so that the angles are as small as can be.
    """
    vectors = {name: getattr(plane, name) for name in ("centre", "normal", "row", "column")}
    return {
        "ras": {name: _listed(vector) for name, vector in vectors.items()},
        "lps": {name: _listed(LPS_TO_RAS[:3, :3] @ vector) for name, vector in vectors.items()},
        "siemens": asdict(siemens_numbers(plane)),
        "philips": _philips_dictionary(philips_numbers(plane)),
        "philips_least_turned": _philips_dictionary(philips_numbers(least_turned(plane))),
    }


def stack_numbers(stack: Stack) -> dict[str, Any]:
    """`plane_numbers` of a stack, its size, and its attributes in DICOM."""
    dicom = {
        key: _listed(value) if isinstance(value, np.ndarray | list) else value
        for key, value in dicom_numbers(stack).items()
    }
    return {
        **plane_numbers(stack),
        "field_of_view_mm": list(stack.field_of_view),
        "matrix": list(stack.matrix),
        "thickness_mm": stack.thickness,
        "gap_mm": stack.gap,
        "n_slices": stack.n_slices,
        "dicom": dicom,
    }


def prescription_text(
    name: str, stacks: Sequence[Stack], level: str, warnings: Iterable[str], of_file: Iterable[str] = ()
) -> str:
    """A prescription to type from; what is doubtful about the scan's file and the pose comes first.

    Parameters
    ----------
    name : str
        Of the scan.
    stacks : sequence of Stack
    level : str
        Of the pose's confidence: high, moderate, low.
    warnings : iterable of str
        Of the pose.
    of_file : iterable of str
        Why its coordinates may not be the scanner's.
    """
    lines = [*file_lines(of_file), *doubt_lines(level, warnings)]
    lines += [f"Slices along the planes of the head in {name}. {NOT_CLINICAL}", ""]
    for stack in stacks:
        lines += [*_stack_lines(stack), ""]
    lines += [
        "All numbers are in the patient's coordinates of the scan. They hold for the same table position, as long as",
        "neither mother nor fetus has moved since.",
        "GE: no reliable description of what its console takes was found; use the DICOM vectors.",
    ]
    return "\n".join(lines) + "\n"


def file_lines(doubts: Iterable[str]) -> list[str]:
    """What to know of a scan's file before any number of a prescription is used, however sure the pose is.

    >>> file_lines([])
    []
    """
    lines = [f"  - {sentence}" for sentence in doubts]
    head = "WARNING: the file leaves open whether its coordinates are the scanner's, which no picture of it shows."
    return [head, *lines, ""] if lines else []


def doubt_lines(level: str, warnings: Iterable[str]) -> list[str]:
    """What to know before any number of a prescription is used; nothing for a pose of high confidence.

    >>> doubt_lines("high", [])
    []
    """
    warnings = list(warnings)
    heads = {
        "low": [
            "WARNING: THE POSE IS DOUBTFUL (confidence low). Do not use these numbers unless the picture shows that",
            "the slices lie as they should.",
        ],
        "moderate": [
            "WARNING: the confidence of the pose is moderate. Look at the picture before using these numbers."
        ],
    }
    head = heads.get(level, ["Note on the pose:"] if warnings else [])
    return [*head, *(f"  - {sentence}" for sentence in warnings), ""] if head else []


def _stack_lines(stack: Stack) -> list[str]:
    siemens, philips, turned = siemens_numbers(stack), philips_numbers(stack), philips_numbers(least_turned(stack))
    lps = LPS_TO_RAS[:3, :3]
    dicom = dicom_numbers(stack)
    positions = dicom["ImagePositionPatient"]
    lines = [
        f"{stack.plane.upper()} of the head: {stack.n_slices} slices of {stack.thickness:g} mm, gap {stack.gap:g} mm, "
        f"{stack.length:g} mm in all",
        f"  field of view {stack.field_of_view[0]:g} × {stack.field_of_view[1]:g} mm (along rows × along columns), "
        f"matrix {stack.matrix[0]} × {stack.matrix[1]}",
        "  Siemens",
        f"    orientation         {siemens.orientation}",
        f"    position            {siemens.position}",
        f"    in-plane rotation   {siemens.phase_along_column:.1f}° with phase encoding along the columns, "
        f"{siemens.phase_along_row:.1f}° along the rows (sign not verified on a scanner)",
        "  Philips",
        *_philips_lines(philips),
    ]
    if turned != philips:
        lines += ["    the same slices by the smallest angles, images turned:", *_philips_lines(turned)]
    return [
        *lines,
        "  DICOM (LPS)",
        f"    ImageOrientationPatient          {_backslashed(dicom['ImageOrientationPatient'], 6)}",
        f"    ImagePositionPatient, slice 1    {_backslashed(positions[0], 3)}",
        f"    ImagePositionPatient, slice {stack.n_slices:<4} {_backslashed(positions[-1], 3)}",
        "  Centre and directions",
        f"    centre   LPS {_spaced(lps @ stack.centre, 1)} mm   RAS {_spaced(stack.centre, 1)} mm",
        *(
            f"    {name:<8} LPS {_spaced(lps @ vector, 5)}   RAS {_spaced(vector, 5)}"
            for name, vector in (("normal", stack.normal), ("row", stack.row), ("column", stack.column))
        ),
    ]


def _philips_lines(numbers: PhilipsNumbers) -> list[str]:
    def each(values: tuple[float, float, float]) -> str:
        return "  ".join(
            f"{name} {round(value, 1) + 0.0:.1f}" for name, value in zip(("AP", "FH", "RL"), values, strict=True)
        )

    return [
        f"    slice orientation   {numbers.orientation}",
        f"    angulation          {each(numbers.angulation)} degrees",
        f"    off-centre          {each(numbers.off_centre)} mm",
    ]


def _philips_dictionary(numbers: PhilipsNumbers) -> dict[str, Any]:
    return {
        "orientation": numbers.orientation,
        "angulation": dict(zip(("ap", "fh", "rl"), _listed(numbers.angulation), strict=True)),
        "off_centre": dict(zip(("ap", "fh", "rl"), _listed(numbers.off_centre), strict=True)),
    }


def _listed(values: Any) -> list:
    """Numbers as (nested) lists, rounded, without negative zeros."""
    return (np.round(np.asarray(values, dtype=np.float64), DECIMALS) + 0.0).tolist()


def _spaced(values: np.ndarray, decimals: int) -> str:
    return " ".join(f"{round(value, decimals) + 0.0:.{decimals}f}" for value in values.tolist())


def _backslashed(values: np.ndarray, decimals: int) -> str:
    return _spaced(values, decimals).replace(" ", "\\")
