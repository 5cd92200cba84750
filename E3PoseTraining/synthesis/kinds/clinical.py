"""The kinds of stacks, volumes and reconstructions that fetal MR groups have, by numbers."""

from ..scanner.artifacts import Artifacts
from ..scanner.sequences import B0, BOLD, BSSFP, DWI, HASTE
from .reconstruction import Reconstruction
from .stack import CUT_CLOSE, SLAB, WHOLE, Stack
from .volume import Volume

T2_STACK = Stack(
    name="t2-stack",
    sequences=((HASTE, 0.75), (BSSFP, 0.25)),
    in_plane=(0.4, 1.8),
    thickness=(2.0, 7.0),
    fields={CUT_CLOSE: 0.35, SLAB: 0.45, WHOLE: 0.2},
    artifacts=Artifacts(dark_planes=0.7, margins=0.3),
)
T2_VOLUME = Volume(
    name="t2-volume",
    sequences=((HASTE, 0.85), (BSSFP, 0.15)),
    in_plane=(0.9, 2.7),
    thickness=(0.9, 2.7),
    fields={CUT_CLOSE: 0.15, WHOLE: 0.85},
    artifacts=Artifacts(
        blur=(0.4, 1.0),
        darkest=(0.1, 0.8),
        noise=(0.005, 0.03),
        slice_gain=(0.0, 0.01),
        lost=0.0,
        dark_planes=0.1,
        margins=0.6,
        clipped=0.6,
    ),
)
BOLD_STACK = Stack(
    name="bold",
    sequences=((BOLD, 1.0),),
    in_plane=(1.8, 3.5),
    thickness=(2.0, 5.0),
    fields={CUT_CLOSE: 0.2, SLAB: 0.35, WHOLE: 0.45},
    at_once=(1, 1, 2, 3),
    displacement=(0.0, 2.5),
    artifacts=Artifacts(darkest=(0.1, 0.8), noise=(0.01, 0.06), dark_planes=0.3, ghost=0.5, margins=0.15, clipped=0.25),
)
DWI_STACK = Stack(
    name="dwi",
    sequences=((DWI, 0.65), (B0, 0.35)),
    in_plane=(1.4, 3.0),
    thickness=(2.0, 6.0),
    fields={CUT_CLOSE: 0.3, SLAB: 0.45, WHOLE: 0.25},
    at_once=(1, 1, 2, 3),
    displacement=(0.0, 2.5),
    artifacts=Artifacts(
        darkest=(0.1, 0.8),
        noise=(0.02, 0.12),
        slice_gain=(0.01, 0.12),
        lost=0.06,
        dark_planes=0.3,
        ghost=0.5,
        margins=0.15,
        clipped=0.25,
    ),
)
BRAIN_ONLY = Reconstruction(name="brain-only", sequences=((HASTE, 0.85), (BSSFP, 0.05), (BOLD, 0.05), (B0, 0.05)))
