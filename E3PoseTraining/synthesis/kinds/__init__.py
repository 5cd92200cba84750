"""Kinds of scans that fetal MR groups have, each with its contrasts, fields of view, motion and artifacts.

May import `anatomy` and `scanner`. Start with `kind.py` (what a kind decides), then `clinical.py` (numbers).
"""

from .clinical import BOLD_STACK, BRAIN_ONLY, DWI_STACK, T2_STACK, T2_VOLUME
from .epi_scout import EpiScout
from .kind import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (EpiScout(), T2_STACK, T2_VOLUME, BOLD_STACK, DWI_STACK, BRAIN_ONLY)
}
"""By the name that the command line and the tables know."""
