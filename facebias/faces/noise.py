"""Value noise in three dimensions: texture that is a function of the place alone."""

import numpy as np

from facebias.faces.arrays import Float32, compiled


@compiled
def _corner(x: int, y: int, z: int, seed: int) -> float:
    """Return a value in 0..1 that is fixed for a corner of the lattice and a seed."""
    h = np.uint32(x) * np.uint32(73856093)
    h ^= np.uint32(y) * np.uint32(19349663)
    h ^= np.uint32(z) * np.uint32(83492791)
    h ^= np.uint32(seed) * np.uint32(2654435761)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    return float((h ^ (h >> np.uint32(16))) & np.uint32(0xFFFF)) / 65535.0


@compiled
def value_noise(x: float, y: float, z: float, seed: int) -> float:
    """Return smooth noise, 0..1, that varies over distances of about 1.

    Args:
        x: place.
        y: place.
        z: place.
        seed: another seed, another texture.
    """
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    ix, iy, iz = int(fx), int(fy), int(fz)
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    near = (1 - v) * (
        (1 - u) * _corner(ix, iy, iz, seed) + u * _corner(ix + 1, iy, iz, seed)
    ) + v * ((1 - u) * _corner(ix, iy + 1, iz, seed) + u * _corner(ix + 1, iy + 1, iz, seed))
    far = (1 - v) * (
        (1 - u) * _corner(ix, iy, iz + 1, seed) + u * _corner(ix + 1, iy, iz + 1, seed)
    ) + v * (
        (1 - u) * _corner(ix, iy + 1, iz + 1, seed) + u * _corner(ix + 1, iy + 1, iz + 1, seed)
    )
    return float((1 - w) * near + w * far)


@compiled
def noise_at(places: Float32, frequency: float, seed: int) -> Float32:
    """Return the noise (N,) at places (N, 3), that varies over distances of 1 / frequency."""
    found = np.empty(len(places), np.float32)
    for i in range(len(places)):
        x, y, z = places[i, 0] * frequency, places[i, 1] * frequency, places[i, 2] * frequency
        found[i] = value_noise(x, y, z, seed)
    return found
