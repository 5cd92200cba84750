"""What is usual in the sequences of fetal imaging, in units of the brain's signal.

Those of echo-planar scouts were measured where a tissue is large enough to be measured; the others are wide guesses
around what published scans show.
"""

from ..tissues import Tissue
from .contrast import MotherLook, Sequence

# Ranges measured on clinical EPI scouts where the tissue is large enough to be measured, else wide guesses.
_EPI = {
    Tissue.WHITE_MATTER: (0.95, 1.1),
    Tissue.VENTRICLES: (0.5, 1.4),
    Tissue.CEREBELLUM: (0.8, 1.15),
    Tissue.EXTRA_AXIAL_CSF: (0.45, 1.5),
    Tissue.CORTEX: (0.6, 1.0),
    Tissue.DEEP_GREY_MATTER: (0.68, 1.05),
    Tissue.BRAINSTEM: (0.8, 1.15),
    Tissue.CORPUS_CALLOSUM: (0.4, 1.05),
    Tissue.FALX: (0.15, 0.8),
    Tissue.SKULL: (0.02, 0.16),
    Tissue.SCALP: (0.12, 0.5),
    Tissue.MUSCLE: (0.18, 0.48),
    Tissue.SKULL_BASE: (0.1, 0.4),
    Tissue.VITREOUS: (0.85, 1.65),
    Tissue.LENS: (0.3, 0.9),
    Tissue.ORBIT: (0.1, 0.4),
    Tissue.TONGUE: (0.25, 0.65),
    Tissue.AIRWAY: (0.1, 0.9),
    Tissue.JAW: (0.08, 0.4),
    Tissue.SPINAL_CANAL: (0.4, 1.3),
    Tissue.SPINAL_CORD: (0.4, 1.0),
    Tissue.SPINE: (0.15, 0.5),
}
_SCOUT_T2 = _EPI | {
    Tissue.WHITE_MATTER: (1.05, 1.3),
    Tissue.VENTRICLES: (1.6, 2.4),
    Tissue.EXTRA_AXIAL_CSF: (1.5, 2.4),
    Tissue.CORTEX: (0.6, 0.85),
    Tissue.DEEP_GREY_MATTER: (0.65, 0.9),
    Tissue.BRAINSTEM: (0.6, 0.9),
    Tissue.CEREBELLUM: (0.6, 0.95),
    Tissue.SCALP: (0.5, 1.1),
    Tissue.ORBIT: (0.5, 1.0),
    Tissue.SPINAL_CANAL: (1.5, 2.4),
}
_SURROUNDINGS = {
    "fluid": (0.9, 2.1),
    "placenta": (0.25, 1.1),
    "wall": (0.15, 0.6),
    "maternal": (0.07, 0.28),
    "fetal_muscle": (0.2, 0.5),
    "fetal_skin": (0.3, 0.7),
    "bone": (0.08, 0.3),
    "lung": (0.4, 1.2),
    "liver": (0.15, 0.5),
    "cord": (0.15, 0.9),
}

EPI = Sequence("epi", _EPI, _SURROUNDINGS)
"""An echo-planar scout."""

SCOUT_T2 = Sequence("t2", _SCOUT_T2, _SURROUNDINGS | {"fluid": (1.5, 2.6)})
"""A scout in which fluid is brightest."""

_HASTE = _EPI | {
    Tissue.WHITE_MATTER: (0.95, 1.3),
    Tissue.VENTRICLES: (1.5, 2.4),
    Tissue.CEREBELLUM: (0.55, 0.95),
    Tissue.EXTRA_AXIAL_CSF: (1.4, 2.4),
    Tissue.CORTEX: (0.5, 0.98),
    Tissue.DEEP_GREY_MATTER: (0.6, 1.05),
    Tissue.BRAINSTEM: (0.6, 1.0),
    Tissue.CORPUS_CALLOSUM: (0.5, 1.0),
    Tissue.FALX: (0.3, 1.8),
    Tissue.SKULL: (0.05, 0.3),
    Tissue.SCALP: (0.45, 1.3),
    Tissue.MUSCLE: (0.3, 0.7),
    Tissue.SKULL_BASE: (0.2, 0.6),
    Tissue.VITREOUS: (1.5, 2.5),
    Tissue.LENS: (0.15, 0.6),
    Tissue.ORBIT: (0.4, 1.1),
    Tissue.TONGUE: (0.3, 0.7),
    Tissue.AIRWAY: (0.2, 2.0),
    Tissue.JAW: (0.15, 0.6),
    Tissue.SPINAL_CANAL: (1.3, 2.4),
    Tissue.SPINAL_CORD: (0.6, 1.1),
    Tissue.SPINE: (0.2, 0.7),
}
_HASTE_SURROUNDINGS = {
    "fluid": (1.4, 2.6),
    "placenta": (0.55, 1.3),
    "wall": (0.25, 0.9),
    "maternal": (0.2, 0.75),
    "fetal_muscle": (0.3, 0.7),
    "fetal_skin": (0.4, 1.3),
    "bone": (0.15, 0.5),
    "lung": (0.7, 1.7),
    "liver": (0.2, 0.6),
    "cord": (0.1, 0.9),
}
HASTE = Sequence(
    "haste",
    _HASTE,
    _HASTE_SURROUNDINGS,
    MotherLook((1.0, 3.4), 0.5, (0.02, 0.08), 3.5, (10, 55), (0.0, 0.06)),
    vessels=(0.0, 0.6),
    layers=(0.0, 0.3),
)
"""Single-shot fast spin echo (HASTE, SSFSE) and other T2-weighted spin echoes."""

BSSFP = Sequence(
    "bssfp",
    _HASTE
    | {
        Tissue.WHITE_MATTER: (0.9, 1.15),
        Tissue.CORTEX: (0.7, 1.0),
        Tissue.FALX: (0.5, 1.9),
        Tissue.SCALP: (0.7, 1.6),
        Tissue.MUSCLE: (0.35, 0.8),
    },
    _HASTE_SURROUNDINGS | {"cord": (0.5, 1.9), "placenta": (0.6, 1.5), "liver": (0.3, 0.9), "maternal": (0.25, 0.85)},
    MotherLook((1.2, 3.4), 0.5, (0.02, 0.1), 3.5, (10, 55), (0.0, 0.06)),
    vessels=(0.0, 0.6),
    layers=(0.0, 0.15),
)
"""Balanced steady state (bSSFP, TrueFISP, FIESTA), of localisers mostly: blood and fat are bright too."""

BOLD = Sequence(
    "bold",
    _EPI
    | {
        Tissue.VENTRICLES: (0.9, 1.9),
        Tissue.EXTRA_AXIAL_CSF: (0.8, 1.8),
        Tissue.FALX: (0.1, 0.7),
        Tissue.VITREOUS: (1.0, 2.0),
        Tissue.SPINAL_CANAL: (0.8, 1.8),
    },
    _SURROUNDINGS | {"fluid": (1.0, 2.3), "placenta": (0.4, 1.4), "maternal": (0.07, 0.4), "liver": (0.08, 0.5)},
    MotherLook((0.04, 0.6), 0.6, (0.05, 0.2), 5.0),
)
"""Gradient-echo EPI with a long echo time: fluid is bright, what holds blood without oxygen dark."""

B0 = Sequence(
    "b0",
    _HASTE
    | {
        Tissue.SKULL: (0.02, 0.2),
        Tissue.SCALP: (0.1, 0.5),
        Tissue.ORBIT: (0.1, 0.5),
        Tissue.MUSCLE: (0.15, 0.5),
        Tissue.SKULL_BASE: (0.05, 0.4),
    },
    _HASTE_SURROUNDINGS | {"fetal_skin": (0.2, 0.6), "fetal_muscle": (0.15, 0.5), "maternal": (0.08, 0.4)},
    MotherLook((0.03, 0.35), 0.6, (0.05, 0.2), 4.5),
    layers=(0.0, 0.25),
)
"""Diffusion EPI without diffusion weighting: a T2-weighted scan without fat."""

DWI = Sequence(
    "dwi",
    _EPI
    | {
        Tissue.WHITE_MATTER: (0.8, 1.1),
        Tissue.VENTRICLES: (0.1, 0.6),
        Tissue.EXTRA_AXIAL_CSF: (0.12, 0.65),
        Tissue.CORTEX: (0.8, 1.3),
        Tissue.DEEP_GREY_MATTER: (0.85, 1.3),
        Tissue.BRAINSTEM: (0.85, 1.3),
        Tissue.CEREBELLUM: (0.85, 1.3),
        Tissue.CORPUS_CALLOSUM: (0.6, 1.2),
        Tissue.FALX: (0.1, 0.5),
        Tissue.SCALP: (0.05, 0.3),
        Tissue.MUSCLE: (0.1, 0.4),
        Tissue.VITREOUS: (0.08, 0.5),
        Tissue.LENS: (0.3, 0.9),
        Tissue.ORBIT: (0.05, 0.3),
        Tissue.SPINAL_CANAL: (0.1, 0.6),
        Tissue.SPINAL_CORD: (0.6, 1.2),
    },
    {
        "fluid": (0.03, 0.4),
        "placenta": (0.3, 1.5),
        "wall": (0.1, 0.7),
        "maternal": (0.05, 0.35),
        "fetal_muscle": (0.1, 0.45),
        "fetal_skin": (0.05, 0.4),
        "bone": (0.03, 0.25),
        "lung": (0.1, 0.7),
        "liver": (0.1, 0.7),
        "cord": (0.1, 0.7),
    },
    MotherLook((0.02, 0.3), 0.7, (0.05, 0.2), 5.0),
    layers=(-0.2, 0.2),
)
"""Diffusion-weighted EPI: fluid is dark, brain, placenta and cellular organs bright."""
