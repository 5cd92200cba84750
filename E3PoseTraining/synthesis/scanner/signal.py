"""What an echo-planar scanner adds to the signal, or loses of it."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .fields import receive_field


def corrupt(
    image: np.ndarray, spacing: np.ndarray, rng: np.random.Generator, moment: np.random.Generator | None = None
) -> np.ndarray:
    """Point spread, receive field, slice-wise signal loss, Nyquist ghost and Rician noise; [I, J, K] float32
    >= 0.

    What differs between the frames of a series, gains of slices and noise, is drawn from `moment` where it is given.
    """
    shape = image.shape
    moment = moment or rng
    for axis, blur in ((0, rng.uniform(0.25, 0.5)), (1, rng.uniform(0.3, 0.75))):
        image = gaussian_filter1d(image, blur, axis=axis, truncate=2.5)
    image = image * receive_field(shape, spacing, rng)
    gains = 1 + moment.normal(0, moment.choice([0.01, 0.03, 0.08]), shape[2])
    gains[::2] *= 1 + moment.normal(0, 0.03)
    if moment.random() < 0.25:  # a kick spoils whole slices
        start = moment.integers(0, shape[2])
        gains[start : start + moment.integers(1, 4)] *= moment.uniform(0.3, 0.8)
    image *= np.maximum(gains, 0.1).astype(np.float32)
    if rng.random() < 0.6:
        image += np.float32(rng.uniform(0.01, 0.07)) * np.roll(image, shape[1] // 2, axis=1)
    sigma = np.float32(rng.uniform(0.01, 0.05))
    floor = sigma * np.float32(rng.uniform(0.5, 3.5))
    noise = moment.standard_normal(shape, np.float32)
    noise *= sigma
    image += noise
    image *= image
    noise *= noise
    image += noise[::-1, ::-1, ::-1]  # the imaginary channel: drawing numbers twice would cost as much again
    image += floor * floor
    return np.sqrt(image, out=image)
