"""A whole fetus: head, body, and how it lies in its mother."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .body import Body, draw_body
from .brain import Brain
from .head import Head, build_head


@dataclass(frozen=True)
class Fetus:
    """A fetus in its mother.

    Parameters
    ----------
    age_weeks : float
    head : Head
    body : Body
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``: the head's pose.
    lie : str
        "cephalic", "breech" or "transverse".
    """

    age_weeks: float
    head: Head
    body: Body
    canonical_to_ras: np.ndarray
    lie: str


def draw_fetus(
    age_weeks: float, brain: Brain, head_spacing: float, rng: np.random.Generator, atrium_mm: float | None = None
) -> Fetus:
    """Draw one fetus around a brain.

    Parameters
    ----------
    age_weeks : float
    brain : Brain
    head_spacing : float
        Voxel size of the head's label grid, mm.
    rng : numpy.random.Generator
    atrium_mm : float, optional
        See `Brain.evaluate`.
    """
    head = build_head(age_weeks, brain, head_spacing, rng, atrium_mm)
    body = draw_body(head, age_weeks, rng, growth=_draw_growth(rng))
    canonical_to_ras, lie = _draw_pose(body, rng)
    return Fetus(age_weeks, head, body, canonical_to_ras, lie)


def _draw_growth(rng: np.random.Generator) -> float:
    """Now and then growth has spared the head and left the body small."""
    return rng.uniform(0.75, 1) if rng.random() < 0.2 else 1.0


def _draw_pose(body: Body, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """canonical_to_ras of a fetus that lies head down, head up or across, turned anyhow about itself."""
    lie = str(rng.choice(["cephalic", "breech", "transverse"], p=[0.6, 0.3, 0.1]))
    if lie == "transverse":
        angle = rng.uniform(0, 2 * np.pi)
        trunk = np.array([np.cos(angle), 0.4 * np.sin(angle), 0.0])
    else:
        trunk = np.array([0, 0, 1.0 if lie == "cephalic" else -1.0])
    trunk = trunk + rng.normal(0, 0.35, 3)
    trunk /= np.linalg.norm(trunk)
    down = -body.body_to_canonical[:3, 2]
    turn, _ = Rotation.align_vectors(trunk[None], down[None])
    spin = Rotation.from_rotvec(trunk * rng.uniform(0, 2 * np.pi))
    canonical_to_ras = np.eye(4)
    canonical_to_ras[:3, :3] = (spin * turn).as_matrix()
    canonical_to_ras[:3, 3] = rng.normal(0, 40, 3)
    return canonical_to_ras, lie
