"""What can be asked of a stack of slices: a plane of the head, and its size."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import PrescriptionError

PLANES = {
    "axial": ((-1, 0, 0), (0, -1, 0)),
    "coronal": ((-1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, -1, 0), (0, 0, -1)),
}
"""Along a row (from left to right on the screen) and along a column (downwards) of an image of each plane, in the
head's frame: +x the fetus's right, +y anterior, +z superior. So images stand as radiologists look at them. The normals
are superior, posterior and right."""


@dataclass(frozen=True)
class StackSettings:
    """What is asked of a stack of slices.

    Parameters
    ----------
    field_of_view : tuple of float
        Along a row and along a column, mm.
    matrix : tuple of int
        Columns (pixels of a row) and rows of an image.
    thickness : float
        Of a slice, mm.
    gap : float
        Between neighbouring slices, mm; negative where they overlap.
    margin : float
        Around the brain on each side, mm.
    max_slices : int
        The stack may not have more.

    Raises
    ------
    PrescriptionError
        If one of them is out of range.
    """

    field_of_view: tuple[float, float] = (256.0, 256.0)
    matrix: tuple[int, int] = (256, 256)
    thickness: float = 3.0
    gap: float = 0.0
    margin: float = 10.0
    max_slices: int = 64

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("field of view along a row", self.field_of_view[0], 10, 1000),
            ("field of view along a column", self.field_of_view[1], 10, 1000),
            ("slice thickness", self.thickness, 0.1, 50),
            ("margin", self.margin, 0, 200),
        ):
            if not low <= value <= high:  # NaN is within nothing
                raise PrescriptionError(f"a {name} of {value:g} mm: {low:g} to {high:g} mm are possible")
        if not -self.thickness < self.gap <= 100:
            raise PrescriptionError(
                f"a gap of {self.gap:g} mm between slices of {self.thickness:g} mm: it is at most 100 mm, and if "
                "slices overlap it is negative, by less than their thickness"
            )
        if min(self.matrix) < 1 or max(self.matrix) > 4096:
            raise PrescriptionError(f"a matrix of {self.matrix[0]} × {self.matrix[1]}: 1 to 4096 pixels are possible")
        if self.max_slices < 1:
            raise PrescriptionError(f"at most {self.max_slices} slices: one is the least")
