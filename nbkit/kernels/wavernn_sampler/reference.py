"""The loop of WaveRNN in plain PyTorch: about twenty operations a sample, each started on its own. Obviously right."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nbkit.kernels.wavernn_sampler import State, Weights

LOWEST_LOG_SCALE = -9.0  # of a logistic: e^-9 is four steps of 16 bits
EDGE = 1e-5  # a uniform number is kept so far away from 0 and 1, where a logistic has no bound


def step(weights: Weights, x: Tensor, conditioning: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the network.

    Source: paper_notes/wavernn.md#community-model
    x              [B] the sample before
    conditioning   [B, K]
    hidden         [G, B, H]
    returns        logits [B, O], hidden [G, B, H]
    """
    mel, parts = conditioning[:, : weights.bands], conditioning[:, weights.bands :].split(weights.aux, 1)
    y = F.linear(torch.cat([x[:, None], mel, parts[0]], 1), *weights.entry)
    states = []
    for g, gru in enumerate(weights.grus):
        states.append(torch.gru_cell(y if g == 0 else torch.cat([y, parts[g]], 1), hidden[g], *gru))
        y = y + states[-1]
    for layer, part in zip(weights.layers[:-1], parts[-2:]):
        y = F.relu(F.linear(torch.cat([y, part], 1), *layer))
    return F.linear(y, *weights.layers[-1]), torch.stack(states)


def draw(logits: Tensor, uniforms: Tensor, output: str) -> Tensor:
    """Samples by inverting the distribution function: nothing but a function of its arguments.

    Source: paper_notes/wavernn.md#sample
    logits     [..., O]   "mixture": O/3 logits of weights, O/3 means, O/3 log scales; "classes": one logit a class
    uniforms   [..., 2]   in [0, 1): the first chooses the component or the class, the second draws from the component
    returns    [...]      in [-1, 1]
    """
    if output == "classes":
        return 2 * _choose(logits, uniforms[..., 0]).float() / (logits.shape[-1] - 1) - 1
    weights, means, log_scales = logits.chunk(3, -1)
    chosen = _choose(weights, uniforms[..., 0])[..., None]
    mean, log_scale = means.gather(-1, chosen)[..., 0], log_scales.gather(-1, chosen)[..., 0]
    u = uniforms[..., 1].clamp(EDGE, 1 - EDGE)
    return (mean + log_scale.clamp(min=LOWEST_LOG_SCALE).exp() * (u.log() - (-u).log1p())).clamp(-1, 1)


def _choose(logits: Tensor, uniforms: Tensor) -> Tensor:
    """The first class up to which the probabilities add up to more than the uniform number."""
    shares = (logits - logits.amax(-1, keepdim=True)).exp().cumsum(-1)
    below = (shares <= uniforms[..., None] * shares[..., -1:]).sum(-1)
    return below.clamp(max=logits.shape[-1] - 1)


@torch.no_grad()
def sample(weights: Weights, conditioning, uniforms, state: State | None, given, logits: bool):
    """x [B, S], hidden [G, B, H], and logits [B, S, O] or None: see wavernn_sampler.sample."""
    conditioning = torch.as_tensor(conditioning)
    device, (B, S, _) = conditioning.device, conditioning.shape

    def here(array):
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    def all_here(group):
        return tuple(all_here(one) if isinstance(one, tuple) else here(one) for one in group)

    weights = weights._replace(
        entry=all_here(weights.entry), grus=all_here(weights.grus), layers=all_here(weights.layers)
    )
    uniforms, given = here(uniforms), None if given is None else here(given)
    if state is None:
        x, hidden = torch.zeros(B, device=device), torch.zeros(len(weights.grus), B, weights.hidden, device=device)
    else:
        x, hidden = here(state.x), here(state.hidden)
    drawn, told = [], []
    for t in range(S):
        now, hidden = step(weights, x, conditioning[:, t], hidden)
        x = draw(now, uniforms[:, t], weights.output)
        drawn.append(x)
        if logits:
            told.append(now)
        if given is not None:
            x = given[:, t]
    return torch.stack(drawn, 1), hidden, torch.stack(told, 1) if logits else None
