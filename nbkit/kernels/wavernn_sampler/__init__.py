"""The loop that WaveRNN speaks by: each sample is drawn from what the samples before it make likely."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nbkit.kernels import dispatch

OUTPUTS = ("mixture", "classes")


class Weights(NamedTuple):
    """What one step multiplies by, float32 arrays of numpy or torch. H hidden, L width of the layers, O outputs.

    A conditioning vector [K] holds `bands` channels and then len(grus) + 2 parts of A channels each: the first goes
    into the input layer beside the sample and the bands, one into each further GRU, one into each of the two layers.
    """

    output: str  # "mixture" of logistics (O a multiple of 3) or "classes"
    bands: int
    entry: tuple[Any, Any]  # weight [H, 1 + bands + A], bias [H]
    grus: tuple[tuple[Any, Any, Any, Any], ...]  # W_ih [3H, H (+ A but for the first)], W_hh [3H, H], b_ih, b_hh [3H]
    layers: tuple[tuple[Any, Any], ...]  # [L, H + A], [L, L + A], [O, L], each with its bias
    half: bool = False  # see in_half

    @property
    def aux(self) -> int:
        """A, the channels of one part."""
        return self.entry[0].shape[1] - 1 - self.bands

    @property
    def channels(self) -> int:
        """K, the channels of a conditioning vector."""
        return self.bands + (len(self.grus) + 2) * self.aux

    @property
    def hidden(self) -> int:
        return self.entry[0].shape[0]

    def in_half(self) -> Weights:
        """The same weights, of which "cupy" and "emulated" keep 16 bits in the loop; others take no notice."""
        return self._replace(half=True)

    def numpy(self) -> Weights:
        """The same weights as contiguous arrays of numpy, on the CPU."""

        def convert(group):
            return tuple(convert(one) if isinstance(one, tuple) else _numpy(one) for one in group)

        return self._replace(entry=convert(self.entry), grus=convert(self.grus), layers=convert(self.layers))


class State(NamedTuple):
    """Where a loop stands, so that it can go on: the last sample of each row and the state of each GRU."""

    x: Any  # [B]
    hidden: Any  # [G, B, H]


class Sampled(NamedTuple):
    """What a loop drew. Samples are as the network sees them, in [-1, 1]: see models.wavernn.distribution.to_wave."""

    x: Any  # [B, S]
    state: State
    logits: Any = None  # [B, S, O] where they were asked for


def sample(weights, conditioning, uniforms, *, state=None, given=None, logits=False, impl: str = "auto") -> Sampled:
    """Draw S samples in each of B rows, one after the other.

    weights        Weights of a network
    conditioning   [B, S, K] float32, numpy or torch
    uniforms       [B, S, 2] in [0, 1): the random numbers of each draw. Classes use the first of the two only.
    state          where an earlier call ended (Sampled.state); None begins with silence
    given          [B, S]: what each step is to take for its draw, whatever it drew, so that two implementations can be
                   compared step by step. The samples that come back are still those drawn.
    logits         give back the logits of each step, too
    impl           "reference" (a loop of PyTorch), "cpu" (numba, one fused loop), "torch" (PyTorch in buffers),
                   "cuda_graph" (the same, replayed), "cupy" (one kernel for all samples), "emulated" (that kernel on a
                   CPU) or "auto"
    returns        Sampled, of the kind and on the device of the conditioning. Inputs are not written to.
    raises         ValueError for shapes that do not fit together
    """
    _check(weights, conditioning, uniforms, state, given)
    draw = dispatch.choose("wavernn_sampler", impl, _IMPLEMENTATIONS, *_preferred(weights, conditioning))
    found = draw(weights, conditioning, uniforms, state, given, logits)
    x, hidden, told = (_like(one, conditioning) for one in (found[0], found[1], found[2]))
    taken: Any = x if given is None else _like(given, conditioning)
    return Sampled(x, State(taken[:, -1], hidden), told)


def fitting(weights: Weights, device) -> Weights:
    """The weights, in 16 bits where a GPU holds them in no other way, so that the persistent kernel runs there too."""
    if device.type != "cuda":
        return weights
    from nbkit.kernels.wavernn_sampler import cuda

    half = weights.in_half()
    return half if cuda.lacking(weights, device) and cuda.lacking(half, device) is None else weights


def _check(weights, conditioning, uniforms, state, given) -> None:
    shape = tuple(conditioning.shape)
    if weights.output not in OUTPUTS:
        raise ValueError(f"wavernn_sampler wants an output of {' or '.join(OUTPUTS)}, got {weights.output!r}")
    if len(shape) != 3 or not shape[0] or not shape[1] or shape[2] != weights.channels:
        raise ValueError(
            f"wavernn_sampler wants conditioning [B, S, {weights.channels}] with a row and a sample or more, got "
            f"{list(shape)}; make it with WaveRNN.condition of the same model"
        )
    B, S = shape[:2]
    wanted = {"uniforms": (uniforms, (B, S, 2)), "given": (given, (B, S))}
    if state is not None:
        wanted |= {"state.x": (state.x, (B,)), "state.hidden": (state.hidden, (len(weights.grus), B, weights.hidden))}
    for name, (array, size) in wanted.items():
        if array is not None and tuple(array.shape) != size:
            raise ValueError(f"wavernn_sampler wants {name} {list(size)}, got {list(array.shape)}; cut or make it anew")


def _preferred(weights, conditioning) -> tuple[str, str]:
    """What "auto" takes, and why."""
    if not hasattr(conditioning, "detach") or conditioning.device.type == "cpu":
        return "cpu", "the fastest on a processor"
    if conditioning.device.type != "cuda":
        return "torch", f"the conditioning is on {conditioning.device.type}"
    from nbkit.kernels.wavernn_sampler import cuda, torch

    lacks = cuda.lacking(weights, conditioning.device)
    if lacks is None:
        return "cupy", "one kernel for all samples, with the weights on the chip"
    lacks_graph = torch.lacking(conditioning.device)
    if lacks_graph is None:
        return "cuda_graph", f"{lacks}; a graph starts the operations of many samples at once"
    return "torch", f"{lacks}; {lacks_graph}"


def _numpy(array) -> np.ndarray:
    if hasattr(array, "detach"):
        array = array.float().numpy(force=True)
    return np.ascontiguousarray(array, np.float32)


def _like(array, example):
    if array is None or hasattr(array, "detach") == hasattr(example, "detach"):
        return array if array is None or not hasattr(array, "detach") else array.to(example.device)
    if hasattr(array, "detach"):
        return array.numpy(force=True)
    import torch

    return torch.from_numpy(np.array(array)).to(example.device)


def _reference(*arguments):
    from nbkit.kernels.wavernn_sampler import reference

    return reference.sample(*arguments)


def _cpu(*arguments):
    from nbkit.kernels.wavernn_sampler import cpu

    return cpu.sample(*arguments)


def _torch(*arguments):
    from nbkit.kernels.wavernn_sampler import torch

    return torch.sample(*arguments)


def _cuda_graph(*arguments):
    from nbkit.kernels.wavernn_sampler import torch

    return torch.replay(*arguments)


def _cupy(weights, conditioning, *others):
    from nbkit.kernels.wavernn_sampler import cuda

    return cuda.sample(weights, _tensor(conditioning).cuda(), *others)


def _emulated(weights, conditioning, *others):
    from nbkit.kernels.wavernn_sampler import cuda

    return cuda.sample(weights, _tensor(conditioning).cpu(), *others)


def _tensor(array):
    import torch

    return torch.as_tensor(array)


_IMPLEMENTATIONS = {
    "reference": _reference,
    "cpu": _cpu,
    "torch": _torch,
    "cuda_graph": _cuda_graph,
    "cupy": _cupy,
    "emulated": _emulated,
}
