"""The loop of WaveRNN in plain PyTorch, on any device, with nothing allocated in a step: views of buffers throughout.

`sample` starts each operation on its own, about thirty a sample; `replay` captures the same steps as a CUDA graph once
and starts them together. Both fold the input layer away, see folded.py.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from nbkit.kernels.wavernn_sampler import State, Weights
from nbkit.kernels.wavernn_sampler.folded import Folded, begin, by_time
from nbkit.kernels.wavernn_sampler.reference import EDGE, LOWEST_LOG_SCALE

CAPTURED = 16  # samples of one graph
AT_ONCE = 8192  # rows of conditioning whose products are kept at a time


class Loop:
    """Buffers and views for steps of B rows."""

    def __init__(self, folded: Folded, x: Tensor, hidden: Tensor):
        B, H, outputs = len(x), folded.hidden, len(folded.bias_out)
        self.folded, self.x, self.hidden, self.mixture = folded, x, hidden, folded.weights.output == "mixture"
        self.row, self.sum = x.new_empty(B, len(folded.bias)), x.new_empty(B, H)
        self.gates, self.products = self.row[:, : folded.rows].split(3 * H, 1), x.new_empty(B, 3 * H)
        self.wide = self.row[:, folded.rows :].chunk(2, 1)
        self.inputs = [weight.T for weight in folded.inputs]
        self.recurrent = [(weight.T, bias) for weight, bias in folded.recurrent]
        self.layers = [weight.T for weight in folded.layers]
        self.logits = x.new_empty(B, outputs)
        choices = outputs // 3 if self.mixture else outputs
        self.shares, self.bound = x.new_empty(B, choices), x.new_empty(B, 1)
        self.passed = torch.empty(B, choices, dtype=torch.bool, device=x.device)
        self.chosen = torch.empty(B, 1, dtype=torch.int64, device=x.device)
        self.places = torch.empty(B, 2, dtype=torch.int64, device=x.device)
        self.offsets, self.picked = torch.tensor([choices, 2 * choices], device=x.device), x.new_empty(B, 2)

    def run(self, before: Tensor, uniforms: Tensor, given: Tensor | None, drawn: Tensor, told: Tensor | None) -> None:
        """Steps [S, B, ...]: `drawn` and `told` are written to, and the state."""
        for t in range(len(before)):
            self.network(before[t])
            self.draw(uniforms[t, :, :1], uniforms[t, :, 1], drawn[t])
            self.x.copy_(drawn[t] if given is None else given[t])
            if told is not None:
                told[t].copy_(self.logits)

    def network(self, before: Tensor) -> None:
        """The logits after the sample x, and the next state."""
        H, products = self.folded.hidden, self.products
        torch.addcmul(before, self.x[:, None], self.folded.through, out=self.row)
        v = self.hidden[0]
        for g, (gates, (recurrent, bias)) in enumerate(zip(self.gates, self.recurrent)):
            h = self.hidden[g]
            if g:
                gates.addmm_(v, self.inputs[g - 1])
            torch.addmm(bias, h, recurrent, out=products)
            both = gates[:, : 2 * H].add_(products[:, : 2 * H]).sigmoid_()
            new = gates[:, 2 * H :].addcmul_(both[:, :H], products[:, 2 * H :]).tanh_()
            torch.lerp(new, h, both[:, H:], out=h)
            if g:
                v = torch.add(v, h, out=self.sum)
        for wide, layer in zip(self.wide, self.layers):
            v = wide.addmm_(v, layer).relu_()
        torch.addmm(self.folded.bias_out, v, self.layers[-1], out=self.logits)

    def draw(self, first: Tensor, noise: Tensor, drawn: Tensor) -> None:
        """reference.draw into drawn [B]; `noise` is what `prepared` made of the second uniform number."""
        choices = self.shares.shape[1]
        torch.softmax(self.logits[:, :choices], 1, out=self.shares)
        torch.cumsum(self.shares, 1, out=self.shares)
        torch.mul(first, self.shares[:, -1:], out=self.bound)
        torch.le(self.shares, self.bound, out=self.passed)
        torch.sum(self.passed, 1, keepdim=True, out=self.chosen)
        self.chosen.clamp_(max=choices - 1)
        if not self.mixture:
            drawn.copy_(self.chosen[:, 0]).mul_(2).div_(choices - 1).sub_(1)
            return
        torch.add(self.chosen, self.offsets, out=self.places)
        torch.gather(self.logits, 1, self.places, out=self.picked)
        scale = self.picked[:, 1].clamp_(min=LOWEST_LOG_SCALE).exp_()
        torch.addcmul(self.picked[:, 0], scale, noise, out=drawn).clamp_(-1, 1)


def prepared(uniforms: Tensor, mixture: bool) -> Tensor:
    """[..., 2] with the second number as a draw from the standard logistic, for a mixture."""
    if not mixture:
        return uniforms
    u = uniforms[..., 1].clamp(EDGE, 1 - EDGE)
    return torch.stack([uniforms[..., 0], u.log() - (-u).log1p()], -1)


@torch.no_grad()
def sample(weights: Weights, conditioning, uniforms, state: State | None, given, logits: bool, graph: bool = False):
    """As reference.sample, on the device of the conditioning."""
    device = torch.as_tensor(conditioning).device
    conditioning = by_time(conditioning, device)
    S, B, _ = conditioning.shape
    folded = Folded(weights, device)
    mixture = weights.output == "mixture"
    uniforms = prepared(by_time(uniforms, device), mixture)
    given = None if given is None else by_time(given, device)
    loop = Loop(folded, *begin(folded, state, B, device))
    drawn = conditioning.new_empty(S, B)
    told = conditioning.new_empty(S, B, len(folded.bias_out)) if logits else None
    run = _captured(loop) if graph and S >= CAPTURED else loop.run
    length = max(1, AT_ONCE // B // CAPTURED) * CAPTURED
    for first in range(0, S, length):
        place = slice(first, first + length)
        run(folded.before(conditioning[place]), uniforms[place], *_cut(place, given, drawn, told))
    return drawn.T.contiguous(), loop.hidden, None if told is None else told.transpose(0, 1).contiguous()


def replay(weights: Weights, conditioning, uniforms, state: State | None, given, logits: bool):
    """As sample, by a CUDA graph. raises ValueError where there is no GPU."""
    conditioning = torch.as_tensor(conditioning)
    if conditioning.device.type != "cuda":
        if not torch.cuda.is_available():
            raise ValueError("cuda_graph wants a GPU of NVIDIA, got none; use impl='torch' or 'cpu'")
        conditioning = conditioning.cuda()
    with torch.cuda.device(conditioning.device):
        return sample(weights, conditioning, uniforms, state, given, logits, graph=True)


def _captured(loop: Loop):
    """loop.run, where it can by replaying a graph of CAPTURED steps on buffers of its own."""
    state = loop.x.clone(), loop.hidden.clone()
    B, row = loop.row.shape
    before, uniforms = loop.row.new_zeros(CAPTURED, B, row), loop.row.new_zeros(CAPTURED, B, 2)
    drawn, told = loop.row.new_empty(CAPTURED, B), loop.row.new_empty(CAPTURED, *loop.logits.shape)
    taken = torch.zeros_like(drawn)
    graphs = {}

    def graph(forced: bool) -> torch.cuda.CUDAGraph:
        made = torch.cuda.CUDAGraph()
        with torch.cuda.graph(made):  # nothing runs yet
            loop.run(before, uniforms, taken if forced else None, drawn, told)
        return made

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # libraries take their workspace before a capture
        loop.run(before[:2], uniforms[:2], None, drawn[:2], None)
    torch.cuda.current_stream().wait_stream(aside)
    loop.x.copy_(state[0])
    loop.hidden.copy_(state[1])

    def run(all_before, all_uniforms, given, all_drawn, all_told) -> None:
        forced = given is not None
        if forced not in graphs:
            graphs[forced] = graph(forced)
        whole = len(all_before) // CAPTURED * CAPTURED
        for first in range(0, whole, CAPTURED):
            place = slice(first, first + CAPTURED)
            before.copy_(all_before[place])
            uniforms.copy_(all_uniforms[place])
            if forced:
                taken.copy_(given[place])
            graphs[forced].replay()
            all_drawn[place] = drawn
            if all_told is not None:
                all_told[place] = told
        loop.run(*_cut(slice(whole, None), all_before, all_uniforms, given, all_drawn, all_told))

    return run


def _cut(place: slice, *arrays) -> list[Any]:
    return [None if one is None else one[place] for one in arrays]


@functools.cache
def lacking(device: torch.device) -> str | None:
    """What is missing to replay graphs there, or None."""
    try:
        with torch.cuda.device(device):
            graph, one = torch.cuda.CUDAGraph(), torch.zeros(1, device=device)
            with torch.cuda.graph(graph):
                one.add_(1)
            graph.replay()
            return None if one.item() == 1 else "a graph did not run"
    except Exception as error:  # whatever a driver says
        return f"no graphs ({type(error).__name__}: {error})"
