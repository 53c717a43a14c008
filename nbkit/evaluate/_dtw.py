"""The dynamic programme of time warping, compiled by numba at first use, which is why it stands apart."""

import numba
import numpy as np


@numba.njit(cache=True)
def shortest_path(cost):
    """cost [F, F'] -> pairs of indices [N, 2] of the cheapest path from the first corner to the last."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(rows):
        for j in range(columns):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    path = np.empty((rows + columns, 2), np.int64)
    n, i, j = 0, rows, columns
    while i > 0 and j > 0:
        path[n, 0], path[n, 1] = i - 1, j - 1
        n += 1
        diagonal, up, left = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if diagonal <= up and diagonal <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
    return path[:n][::-1].copy()
