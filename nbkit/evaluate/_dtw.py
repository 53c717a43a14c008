"""The dynamic programme of time warping, compiled by numba at first use, which is why it stands apart."""

import numba
import numpy as np


@numba.njit(cache=True)
def shortest_path(cost):
    """cost [F, F'] -> pairs of indices [N, 2] of the cheapest path from the first corner to the last.

    Of ways that cost the same it takes the diagonal, then the step along the rows. Two rows of sums and a byte for each
    cell that says where it came from: less memory than all sums, and so faster.
    """
    rows, columns = cost.shape
    above = np.full(columns + 1, np.inf)
    here = np.empty(columns + 1)
    above[0] = 0.0
    came = np.empty((rows, columns), np.uint8)  # 0 diagonally, 1 from the row before, 2 from the column before
    for i in range(rows):
        here[0] = np.inf
        left = np.inf
        for j in range(columns):
            # what comes from the row above is known before; only the step from the left has to be waited for
            diagonal, up = above[j], above[j + 1]
            best = min(diagonal, up)
            came[i, j] = 2 if left < best else (0 if diagonal <= up else 1)
            left = cost[i, j] + min(best, left)
            here[j + 1] = left
        above, here = here, above
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
