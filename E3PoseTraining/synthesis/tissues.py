"""What a head is made of."""

from enum import IntEnum


class Tissue(IntEnum):
    """Everything inside the head; 1 to 8 are numbered as in the label maps of Fidon et al. (2021)."""

    OUTSIDE = 0
    WHITE_MATTER = 1
    VENTRICLES = 2
    CEREBELLUM = 3
    EXTRA_AXIAL_CSF = 4
    CORTEX = 5
    DEEP_GREY_MATTER = 6
    BRAINSTEM = 7
    CORPUS_CALLOSUM = 8
    FALX = 9
    SKULL = 10
    SCALP = 11
    MUSCLE = 12
    SKULL_BASE = 13
    VITREOUS = 14
    LENS = 15
    ORBIT = 16
    TONGUE = 17
    AIRWAY = 18
    JAW = 19
    SPINAL_CANAL = 20
    SPINAL_CORD = 21
    SPINE = 22


BRAIN_TISSUES = range(Tissue.WHITE_MATTER, Tissue.FALX + 1)
