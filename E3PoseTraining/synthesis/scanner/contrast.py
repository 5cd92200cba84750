"""How bright each tissue is: a draw from what is usual in a sequence, in units of the brain's signal."""

from dataclasses import dataclass, field, replace

import numpy as np

from ..tissues import Tissue

Range = tuple[float, float]


@dataclass(frozen=True)
class MotherLook:
    """What the mother looks like beside the signal of her muscles and organs, by ranges to draw from.

    Parameters
    ----------
    fat : tuple of float
        Signal of the fat under her skin.
    fat_mm : tuple of float
        Its thickness.
    spread : float
        Standard deviation of the logarithm of her organs' signals.
    speckle : tuple of float
        Relative standard deviation from voxel to voxel.
    fat_speckle : tuple of float
        Standard deviation of the logarithm of the fat's signal over some voxels.
    edge_mm : float
        Over which her organs pass into each other.
    """

    fat: Range = (0.04, 0.45)
    spread: float = 0.6
    speckle: Range = (0.05, 0.25)
    edge_mm: float = 6.0
    fat_mm: Range = (6.0, 25.0)
    fat_speckle: Range = (0.1, 0.5)


@dataclass(frozen=True)
class Sequence:
    """Ranges of signal of a sequence.

    Parameters
    ----------
    name : str
    tissue : dict of Tissue to tuple of float
    surroundings : dict of str to tuple of float
        Of what lies around the head.
    mother : MotherLook
    vessels : tuple of float
        How much of the signal is lost in the brain's veins.
    layers : tuple of float, optional
        Relative contrast between the layers of the brain's wall before they have matured; None: none are seen.
    """

    name: str
    tissue: dict[Tissue, Range]
    surroundings: dict[str, Range]
    mother: MotherLook = MotherLook()
    vessels: Range = (0.4, 1.0)
    layers: Range | None = None


@dataclass(frozen=True)
class Contrast:
    """The signals of one scan.

    Parameters
    ----------
    kind : str
        Name of the sequence, or "random".
    tissue, texture : np.ndarray
        float32, indexed by `Tissue`: signal, and its relative standard deviation.
    surroundings : dict of str to float
        Signal of what lies around the head, by name.
    mother : MotherLook
    vessels, layers : tuple of float
        See `Sequence`.
    """

    kind: str
    tissue: np.ndarray
    texture: np.ndarray
    surroundings: dict[str, float] = field(default_factory=dict)
    mother: MotherLook = MotherLook()
    vessels: Range = (0.4, 1.0)
    layers: Range | None = None


_TEXTURE = dict.fromkeys((Tissue.MUSCLE, Tissue.SKULL_BASE, Tissue.AIRWAY, Tissue.TONGUE, Tissue.JAW), 0.4) | {
    Tissue.SCALP: 0.25,
    Tissue.SKULL: 0.3,
    Tissue.ORBIT: 0.3,
    Tissue.EXTRA_AXIAL_CSF: 0.15,
}


def draw_contrast(sequence: Sequence, rng: np.random.Generator) -> Contrast:
    """Every signal from its range."""
    tissue = np.zeros(max(Tissue) + 1, np.float32)
    texture = np.zeros(max(Tissue) + 1, np.float32)
    for name, (low, high) in sequence.tissue.items():
        tissue[name] = rng.uniform(low, high)
        texture[name] = _TEXTURE.get(name, 0.08) * rng.uniform(0.5, 1.5)
    surroundings = {name: float(rng.uniform(*span)) for name, span in sequence.surroundings.items()}
    return Contrast(sequence.name, tissue, texture, surroundings, sequence.mother, sequence.vessels, sequence.layers)


def at_random(contrast: Contrast, rng: np.random.Generator) -> Contrast:
    """Every signal further changed by some half, so that no contrast is learnt by heart."""
    tissue = contrast.tissue.copy()
    tissue[1:] *= np.exp(rng.normal(0, 0.4, tissue.size - 1)).astype(np.float32)
    around = {name: value * float(np.exp(rng.normal(0, 0.4))) for name, value in contrast.surroundings.items()}
    return replace(contrast, kind="random", tissue=tissue, surroundings=around)


def draw_one_of(sequences: tuple[tuple[Sequence, float], ...], rng: np.random.Generator) -> Contrast:
    """A contrast of one of several sequences, each with its share; one in sixteen has every tissue at random."""
    shares = [share for _, share in sequences]
    contrast = draw_contrast(sequences[rng.choice(len(shares), p=shares)][0], rng)
    return at_random(contrast, rng) if rng.random() < 1 / 16 else contrast
