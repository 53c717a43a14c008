"""The dynamic programme of time warping, compiled by numba at first use, which is why it stands apart."""

import numba
import numpy as np


@numba.njit(cache=True)
def advance(cost, sums, came):
    """The next rows of the programme: a byte for each cell says where its cheapest way came from.

    cost  [R, F']      of these rows
    sums  [F' + 1]     of the row before, infinity in front; becomes those of the last row
    came  [R, F']      out: 0 diagonally, 1 from the row before, 2 from the column before

    Of ways that cost the same it takes the diagonal, then the step along the rows.
    """
    rows, columns = cost.shape
    here = np.empty(columns + 1)
    for i in range(rows):
        here[0] = np.inf
        left = np.inf
        for j in range(columns):
            # what comes from the row above is known before; only the step from the left has to be waited for
            diagonal, up = sums[j], sums[j + 1]
            best = min(diagonal, up)
            came[i, j] = 2 if left < best else (0 if diagonal <= up else 1)
            left = cost[i, j] + min(best, left)
            here[j + 1] = left
        sums[:] = here


@numba.njit(cache=True)
def path_back(came):
    """came [F, F'] -> pairs of indices [N, 2] from the first corner to the last."""
    rows, columns = came.shape
    path = np.empty((rows + columns, 2), np.int64)
    n, i, j = 0, rows - 1, columns - 1
    while True:
        path[n, 0], path[n, 1] = i, j
        n += 1
        if i == 0 and j == 0:
            break
        step = came[i, j]
        i -= step != 2
        j -= step != 1
    return path[:n][::-1].copy()
