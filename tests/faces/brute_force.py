"""A rasteriser in plain NumPy: every point of the picture against one triangle after the other."""

import numpy as np

from facebias.faces.arrays import Float32, Float64, Int32


def rasterise_slowly(
    points: Float32, triangles: Int32, size: int
) -> tuple[Int32, Float64, Float64, Float64]:
    """Return the triangle, the weights of its corners, the depth and how far inside it all is.

    Args:
        points: (N, 3), x to the right and y down, and depth.
        triangles: (T, 3).
        size: S.

    Returns:
        (S, S), -1 for none; (S, S, 3); (S, S), infinite for none; (S, S), the smallest distance
        of any triangle's weight or of the two nearest depths from the edge of a decision.
    """
    row, column = np.mgrid[:size, :size] + 0.5
    shown = np.full((size, size), -1, np.int32)
    weights, depth = np.zeros((size, size, 3)), np.full((size, size), np.inf)
    doubt = np.full((size, size), np.inf)
    for t, corners in enumerate(points[triangles].astype(np.float64)):
        x, y, z = corners.T
        turned = np.stack([np.roll(x, -2) - np.roll(x, -1), np.roll(y, -2) - np.roll(y, -1)])
        area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
        if area >= 0:
            continue
        away_x, away_y = column[..., None] - np.roll(x, -1), row[..., None] - np.roll(y, -1)
        shares = (turned[0] * away_y - turned[1] * away_x) / area
        at = shares @ z
        inside = (shares >= 0).all(-1)
        near = (shares > -1e-3).all(-1)
        doubt[near] = np.minimum(doubt, np.abs(shares).min(-1))[near]
        both = inside & np.isfinite(depth)
        doubt[both] = np.minimum(doubt, np.abs(at - np.where(both, depth, 0)))[both]
        won = inside & (at < depth)
        shown[won], depth[won], weights[won] = t, at[won], shares[won]
    return shown, weights, depth, doubt
