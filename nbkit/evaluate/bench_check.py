"""Whether a fast way gives what its reference gives: fresh random inputs, outputs full of NaN, float64 beside."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nbkit.base import seeds


def check(
    way: Callable[..., Any],
    reference: Callable[..., Any],
    make: Callable[[np.random.Generator], tuple],
    *,
    outputs: Callable[..., tuple] | None = None,
    times: int = 3,
    seed: int = 0,
) -> float:
    """The greatest absolute difference between a way and its reference, over fresh random inputs.

    make       draws the inputs from a generator: a tuple of arrays or tensors
    reference  is given the same inputs, floats as float64
    outputs    makes what the way is to write into, given the inputs; passed behind them, full of NaN (or the lowest
               integer). Without it the way returns its outputs; what torch allocates is full of NaN too
    raises     ValueError for NaN that the reference does not have, other shapes, or an input that was written to
    """
    greatest = 0.0
    for n in range(times):
        inputs = make(seeds.generator(seed, "bench check", n))
        before = [np.array(_host(one)) for one in inputs]
        buffers = () if outputs is None else tuple(_poisoned(one) for one in outputs(*inputs))
        wanted = _several(reference(*map(_double, inputs)))
        with _poisoning():
            got = _several(way(*inputs, *buffers))
        for number, (one, kept) in enumerate(zip(inputs, before)):
            if not np.array_equal(_host(one), kept, equal_nan=kept.dtype.kind == "f"):
                raise ValueError(f"wanted inputs left as they were, input {number} was written to; work on a copy")
        greatest = max([greatest, *_differences(buffers or got, wanted)])
    return greatest


def _differences(got: tuple, wanted: tuple) -> Iterator[float]:
    if len(got) != len(wanted):
        raise ValueError(f"wanted {len(wanted)} outputs as of the reference, got {len(got)}; return the same ones")
    for number, (one, other) in enumerate(zip(got, wanted)):
        one, other = np.asarray(_host(one), np.float64), np.asarray(_host(other), np.float64)
        if one.shape != other.shape:
            raise ValueError(f"output {number}: wanted shape {other.shape} as of the reference, got {one.shape}")
        if bad := int((np.isnan(one) & ~np.isnan(other)).sum()):
            raise ValueError(
                f"output {number}: wanted every element written, {bad} of {one.size} are NaN, which the reference's "
                "are not; look for what is never written or read too early"
            )
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        with np.errstate(invalid="ignore"):
            yield float(np.where(same, 0, np.abs(one - other)).max(initial=0))


@contextlib.contextmanager
def _poisoning() -> Iterator[None]:
    """What torch allocates holds NaN, or the greatest integer, instead of what happened to lie there."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operations that cannot be deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _poisoned(array: Any) -> Any:
    kind = np.asarray(_host(array)).dtype
    array[...] = float("nan") if kind.kind == "f" else np.iinfo(kind).min if kind.kind in "iu" else True
    return array


def _double(array: Any) -> Any:
    if hasattr(array, "detach"):
        return array.detach().double() if array.is_floating_point() else array.detach().clone()
    array = np.array(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _host(array: Any) -> np.ndarray:
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() and array.itemsize < 4 else array).numpy()
    return np.asarray(array)


def _several(outputs: Any) -> tuple:
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)
