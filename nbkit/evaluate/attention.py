"""The attention of a network in numbers: how it changed, how much crosses between two texts, how far heads look.

Weights are [L, H, T, T]: of each layer and head how much token t (the third axis) looks at each other (the last one),
rows that sum to 1. What one head does on one text, views.attention.measures says.

Source: paper_notes/bert.md#what-heads-do
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def divergence(weights: ArrayLike, other: ArrayLike) -> np.ndarray:
    """How far two networks look apart: the Jensen-Shannon divergence of their rows, a mean over the tokens. [L, H]

    In bits, 0 where both look alike to 1 where they look at nothing in common.
    """
    one, two = checked(weights), checked(other)
    if one.shape != two.shape:
        raise ValueError(
            f"wanted weights of one shape, got {one.shape} and {two.shape}; compare networks of one size on one text"
        )
    middle = (one + two) / 2
    found = (_relative(one, middle) + _relative(two, middle)) / 2
    return np.clip(found.sum(-1).mean(-1), 0.0, 1.0)


def crossing(weights: ArrayLike, types: ArrayLike, special: ArrayLike = ()) -> tuple[np.ndarray, np.ndarray]:
    """How much the first of two texts looks at the second, and the second at the first: [L, H] each.

    types    [T] 0 in the first text, 1 in the second
    special  places that belong to neither
    """
    weights, types = checked(weights), np.asarray(types)
    tokens = weights.shape[-1]
    if types.shape != (tokens,):
        raise ValueError(f"wanted a type for each of {tokens} tokens, got shape {types.shape}")
    inside = np.setdiff1d(np.arange(tokens), _places(special, tokens))
    first, second = inside[types[inside] == 0], inside[types[inside] == 1]
    if not first.size or not second.size:
        raise ValueError(f"wanted tokens of two texts, got {first.size} and {second.size}; give it a pair")
    there, back = (weights[:, :, one][..., two].sum(-1).mean(-1) for one, two in ((first, second), (second, first)))
    return there, back


def by_distance(weights: ArrayLike, reach: int) -> np.ndarray:
    """How much a head looks `reach` tokens back, ..., itself, ..., `reach` tokens on: [L, H, 2 reach + 1].

    Of each distance a mean over the tokens that have a token there; nan where no token has.
    """
    weights = checked(weights)
    if reach < 0:
        raise ValueError(f"wanted a reach of at least 0 tokens, got {reach}")
    found = np.full((*weights.shape[:2], 2 * reach + 1), np.nan)
    for place, distance in enumerate(range(-reach, reach + 1)):
        if abs(distance) < weights.shape[-1]:
            found[..., place] = weights.diagonal(distance, 2, 3).mean(-1)
    return found


def alike(tokens: int) -> np.ndarray:
    """The weights of a head that looks at all tokens alike, to compare with: [1, 1, T, T]."""
    return np.full((1, 1, tokens, tokens), 1 / tokens)


def checked(weights: ArrayLike) -> np.ndarray:
    """Weights as float64; ValueError where they are none."""
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 4 or weights.shape[2] != weights.shape[3] or not weights.size:
        raise ValueError(f"wanted weights [layers, heads, from, to] of one text, got shape {weights.shape}")
    sums = weights.sum(-1)
    if not np.isfinite(sums).all() or (weights < 0).any() or np.abs(sums - 1).max() > 0.01:
        raise ValueError("wanted shares that sum to 1 in each row, got others; take them after the softmax")
    return weights


def _relative(one: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The terms of the Kullback-Leibler divergence, in bits; nothing where the share is 0."""
    ratio = np.divide(one, middle, out=np.ones_like(one), where=one > 0)
    return one * np.log2(ratio)


def _places(found: ArrayLike, tokens: int) -> np.ndarray:
    places = np.asarray(found, int).reshape(-1)
    if places.size and (places.min() < 0 or places.max() >= tokens):
        raise ValueError(f"wanted places from 0 to {tokens - 1}, got {places.tolist()}")
    return places
