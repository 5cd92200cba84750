"""A phantom of a fetal head: smooth bodies of the intensities that an EPI scan shows, its own mirror image, in a known
pose.
"""

import functools

import numpy as np

SHAPE = (96, 96, 64)
SPACING_MM = 3.0
NOISE = 12.0
SEED = 13

HEAD_ANGLES_DEGREES = (35.0, -20.0, 50.0)
HEAD_CENTRE_RAS = (12.0, -18.0, 9.0)

# In the head's frame (right, anterior, superior; mm): centre, half axes, intensity. Later bodies cover earlier ones.
BODIES = (
    ((0, -10, -15), (120, 110, 85), 160),  # the mother's tissue around
    ((0, -5, -25), (85, 80, 75), 620),  # amniotic fluid
    ((0, -25, -85), (38, 32, 55), 260),  # trunk
    ((0, -2, -3), (46, 58, 48), 300),  # scalp and face
    ((0, 0, 2), (43, 54, 44), 90),  # skull
    ((0, 0, 3), (40, 51, 41), 640),  # cerebrospinal fluid
    ((-17, 0, 4), (17, 45, 33), 400),  # hemispheres
    ((17, 0, 4), (17, 45, 33), 400),
    ((0, -24, -20), (22, 14, 11), 380),  # cerebellum
    ((0, -8, -22), (8, 8, 16), 360),  # brainstem
    ((-9, -4, 8), (4, 18, 6), 620),  # lateral ventricles
    ((9, -4, 8), (4, 18, 6), 620),
    ((-18, 46, -22), (8, 8, 8), 700),  # eyes
    ((18, 46, -22), (8, 8, 8), 700),
)


def head_pose() -> np.ndarray:
    """The phantom's true pose, canonical_to_ras [4, 4]."""
    x, y, z = np.radians(HEAD_ANGLES_DEGREES)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = about_x @ about_y @ about_z
    pose[:3, 3] = HEAD_CENTRE_RAS
    return pose


def head_phantom() -> tuple[np.ndarray, np.ndarray]:
    """The phantom's voxels [I, J, K], int16, and its voxel_to_ras [4, 4]."""
    array, voxel_to_ras = _drawn()
    return array.copy(), voxel_to_ras.copy()


@functools.cache
def _drawn() -> tuple[np.ndarray, np.ndarray]:
    voxel_to_ras = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    voxel_to_ras[:3, 3] = -SPACING_MM * (np.array(SHAPE) - 1) / 2
    indices = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    pose = head_pose()
    ras = indices * SPACING_MM + voxel_to_ras[:3, 3]
    head = (ras - pose[:3, 3]) @ pose[:3, :3]
    image = np.zeros(SHAPE)
    for centre, half_axes, intensity in BODIES:
        radius = np.linalg.norm((head - centre) / half_axes, axis=-1)
        # The rim is one voxel wide, as a voxel holds part of the body.
        inside = np.clip(0.5 + (1 - radius) * np.mean(half_axes) / SPACING_MM, 0, 1)
        image += inside * (intensity - image)
    image += np.random.default_rng(SEED).normal(0, NOISE, SHAPE)
    return np.clip(image, 0, None).astype(np.int16), voxel_to_ras
