"""A graph in layers, as places to draw: boxes of one size, and arrows with names that go from layer to layer.

Nodes lie as deep as the longest way to them. An arrow that passes layers gets a place of its own in each of them, so
that it runs beside the boxes; the order within a layer is that of the neighbours' middles, which makes few crossings.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

SWEEPS = 8  # over all layers; a graph of a few dozen nodes settles before
LANE = 18.0  # pixels that an arrow takes where it passes a layer


class Arrow(NamedTuple):
    """One arrow: the path for SVG, its name, and where that is written, its end and how it is set."""

    path: str
    name: str
    x: float
    y: float
    anchor: str  # start | end


class Drawing(NamedTuple):
    """A graph in pixels: the upper left corner of each node's box, the arrows, and the size of the whole."""

    boxes: list[tuple[float, float]]
    arrows: list[Arrow]
    width: float
    height: float
    box: tuple[float, float]


Edge = tuple[int, int, str]
Point = tuple[float, float]


def draw(
    count: int, edges: Sequence[Edge], *, box: tuple[float, float], gap: float, step: float, down: bool
) -> Drawing:
    """Place the nodes 0 to count - 1 and the edges (from, to, name) between them.

    box   width and height of a node's box;  gap   between boxes of a layer;  step   between layers, all in pixels
    down  layers below each other; else from left to right
    raises ValueError for an edge that names no node, and for a circle
    """
    depths = _depths(count, edges)
    chains, layers = _chains(depths, edges)
    breadth, thickness = box if down else box[::-1]
    sizes = [breadth if node < count else LANE for node in range(sum(map(len, layers)))]
    _order(layers, chains)
    middles = _middles(layers, chains, sizes, gap)
    level = {node: depth * (thickness + step) for depth, layer in enumerate(layers) for node in layer}
    whole = max((middles[n] + sizes[n] / 2 for n in range(len(sizes))), default=0.0)
    deep = len(layers) * (thickness + step) - step if layers else 0.0
    turn = (lambda a, d: (a, d)) if down else (lambda a, d: (d, a))
    boxes = [turn(middles[node] - breadth / 2, level[node]) for node in range(count)]
    ports = _ports(chains, middles, breadth)
    arrows = []
    for number, (chain, (_, _, name)) in enumerate(zip(chains, edges, strict=True)):
        places = _way(chain, middles, level, thickness, ports[number])
        arrows.append(_arrow([turn(*place) for place in places], name, ports[number][2], down))
    return Drawing(boxes, arrows, *turn(whole, deep), box)


def _depths(count: int, edges: Sequence[Edge]) -> list[int]:
    """How deep each node lies: the length of the longest way to it."""
    for edge in edges:
        if not all(0 <= end < count for end in edge[:2]):
            raise ValueError(f"an edge wants two of the nodes 0 to {count - 1}, got {edge}; name nodes that are there")
    depths = [0] * count
    for _ in range(count + 1):
        deeper = [(to, depths[start] + 1) for start, to, _ in edges if depths[to] <= depths[start]]
        if not deeper:
            return depths
        for to, depth in deeper:
            depths[to] = max(depths[to], depth)
    raise ValueError("wanted a graph without a circle, got edges that lead back to where they start; take one out")


def _chains(depths: list[int], edges: Sequence[Edge]) -> tuple[list[list[int]], list[list[int]]]:
    """The nodes that each edge passes, with new ones for the layers between, and the nodes of each layer."""
    layers: list[list[int]] = [[] for _ in range(max(depths, default=-1) + 1)]
    for node, depth in enumerate(depths):
        layers[depth].append(node)
    free, chains = len(depths), []
    for start, to, _ in edges:
        between = range(depths[start] + 1, depths[to])
        passed = list(range(free, free + len(between)))
        for node, depth in zip(passed, between):
            layers[depth].append(node)
        free += len(passed)
        chains.append([start, *passed, to])
    return chains, layers


def _neighbours(chains: list[list[int]]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """What lies before and after each node."""
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for chain in chains:
        for one, other in itertools.pairwise(chain):
            after.setdefault(one, []).append(other)
            before.setdefault(other, []).append(one)
    return before, after


def _order(layers: list[list[int]], chains: list[list[int]]) -> None:
    """Sort each layer by the middle of its neighbours in the layer before, then after, and so on; keeps the best."""
    sides = _neighbours(chains)
    best, least = [list(layer) for layer in layers], _crossings(layers, sides[1])
    for sweep in range(SWEEPS):
        backwards = sweep % 2
        for layer in reversed(layers) if backwards else layers:
            place = {node: number for one in layers for number, node in enumerate(one)}
            near = sides[backwards]
            layer.sort(key=lambda n: _mean([place[o] for o in near.get(n, [])], place[n]))
        if (crossings := _crossings(layers, sides[1])) < least:
            best, least = [list(layer) for layer in layers], crossings
    layers[:] = best


def _crossings(layers: list[list[int]], after: dict[int, list[int]]) -> int:
    place = {node: number for layer in layers for number, node in enumerate(layer)}
    found = 0
    for layer in layers:
        lines = [(place[node], place[other]) for node in layer for other in after.get(node, [])]
        found += sum((a - c) * (b - d) < 0 for n, (a, b) in enumerate(lines) for c, d in lines[:n])
    return found


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _middles(layers: list[list[int]], chains: list[list[int]], sizes: list[float], gap: float) -> list[float]:
    """Where each node's middle lies across the layers: near its neighbours, in order, and apart."""
    before, after = _neighbours(chains)
    middles = [0.0] * len(sizes)
    for _ in range(2 * SWEEPS):
        for layer in layers:
            wanted = [_mean([middles[o] for o in (*before.get(n, ()), *after.get(n, ()))], middles[n]) for n in layer]
            apart = [(sizes[a] + sizes[b]) / 2 + gap for a, b in itertools.pairwise(layer)]
            forwards, backwards = list(wanted), list(wanted)
            for i, least in enumerate(apart):
                forwards[i + 1] = max(wanted[i + 1], forwards[i] + least)
            for i, least in reversed([*enumerate(apart)]):
                backwards[i] = min(wanted[i], backwards[i + 1] - least)
            for node, a, b in zip(layer, forwards, backwards, strict=True):
                middles[node] = (a + b) / 2
    first = min((middles[n] - sizes[n] / 2 for n in range(len(sizes))), default=0.0)
    return [middle - first for middle in middles]


def _ports(chains: list[list[int]], middles: list[float], breadth: float) -> list[tuple[float, float, int]]:
    """Where each edge leaves and enters its boxes, side by side in the order of their other ends; and which it is."""
    ports = [(0.0, 0.0, 0)] * len(chains)
    for end in (0, -1):
        for node in {chain[end] for chain in chains}:
            own = [number for number, chain in enumerate(chains) if chain[end] == node]
            own.sort(key=lambda number: middles[chains[number][1 if end == 0 else -2]])
            for place, number in enumerate(own):
                across = middles[node] + breadth * ((place + 1) / (len(own) + 1) - 0.5)
                leaves, enters, _ = ports[number]
                ports[number] = (across, enters, 0) if end == 0 else (leaves, across, place)
    return ports


def _way(
    chain: list[int], middles: list[float], level: dict[int, float], thickness: float, port: tuple[float, float, int]
) -> list[Point]:
    """The points that an edge goes through, as (across, deep): straight within layers, a curve between two."""
    places = [(port[0], level[chain[0]] + thickness)]
    for node in chain[1:-1]:
        places += [(middles[node], level[node]), (middles[node], level[node] + thickness)]
    return [*places, (port[1], level[chain[-1]])]


def _arrow(places: list[Point], name: str, number: int, down: bool) -> Arrow:
    words = [f"M{places[0][0]:.1f} {places[0][1]:.1f}"]
    for i, ((x, y), (to_x, to_y)) in enumerate(itertools.pairwise(places)):
        if i % 2:  # within a layer
            words.append(f"L{to_x:.1f} {to_y:.1f}")
        elif down:
            words.append(f"C{x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {to_y:.1f}")
        else:
            words.append(f"C{(x + to_x) / 2:.1f} {y:.1f} {(x + to_x) / 2:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    x, y = places[-1]
    # neighbours that come in from above are written at different heights, or their names would run into each other
    place = (x + 5, y - 12 - 13 * (number % 2), "start") if down else (x - 12, y - 4, "end")
    return Arrow(" ".join(words), name, *place)
