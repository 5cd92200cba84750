"""How bright each tissue is: random around echo-planar and T2-weighted likeness, in units of the brain's
signal.
"""

from dataclasses import dataclass, field

import numpy as np

from .brain import Tissue

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
_T2 = _EPI | {
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
_TEXTURE = dict.fromkeys((Tissue.MUSCLE, Tissue.SKULL_BASE, Tissue.AIRWAY, Tissue.TONGUE, Tissue.JAW), 0.4) | {
    Tissue.SCALP: 0.25,
    Tissue.SKULL: 0.3,
    Tissue.ORBIT: 0.3,
    Tissue.EXTRA_AXIAL_CSF: 0.15,
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
_T2_SURROUNDINGS = _SURROUNDINGS | {"fluid": (1.5, 2.6)}  # as bright as the fluid around the brain


@dataclass(frozen=True)
class Contrast:
    """tissue, texture: float32 indexed by `Tissue`; surroundings: signal of what lies around the head, by
    name.
    """

    kind: str
    tissue: np.ndarray
    texture: np.ndarray
    surroundings: dict[str, float] = field(default_factory=dict)


def draw_contrast(rng: np.random.Generator) -> Contrast:
    """Mostly EPI-like, some T2-like, a few with every tissue at random so that no contrast is learnt by
    heart.
    """
    kind = str(rng.choice(["epi", "t2", "random"], p=[0.75, 0.17, 0.08]))
    ranges = _T2 if kind == "t2" else _EPI
    tissue = np.zeros(max(Tissue) + 1, np.float32)
    texture = np.zeros(max(Tissue) + 1, np.float32)
    for name, (low, high) in ranges.items():
        tissue[name] = rng.uniform(low, high)
        texture[name] = _TEXTURE.get(name, 0.08) * rng.uniform(0.5, 1.5)
    spans = _T2_SURROUNDINGS if kind == "t2" else _SURROUNDINGS
    surroundings = {name: float(rng.uniform(*span)) for name, span in spans.items()}
    if kind == "random":
        tissue[1:] *= np.exp(rng.normal(0, 0.4, tissue.size - 1)).astype(np.float32)
        surroundings = {name: value * float(np.exp(rng.normal(0, 0.4))) for name, value in surroundings.items()}
    return Contrast(kind, tissue, texture, surroundings)
