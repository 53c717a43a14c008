"""What a training step and a second of speech cost, and what each change to them bought.

    python -m nbkit.tasks.glow_tts_bench training      also with --bf16, and on a GPU with --device cuda
    python -m nbkit.tasks.glow_tts_bench speaking

The model has no switches: here each change is taken back by putting the plain way, that of the authors' code, in its
place. All rows are measured in turns, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nbkit.data import audio, manifest, speech, text
from nbkit.data.audio import MelSpec
from nbkit.data.batches import epoch_order
from nbkit.data.speech import Batch, FeatureArchive, TokenReader
from nbkit.evaluate import bench
from nbkit.kernels import dispatch
from nbkit.kernels.mas import Alignment, maximum_path
from nbkit.models import glow_tts
from nbkit.models.glow_tts import decoder, layers, model

Ways = dict[str, Callable[[], object]]
CLIPS, SECONDS = 256, 10


def main(words: list[str] | None = None) -> None:
    """Print one table and keep it."""
    parser = argparse.ArgumentParser(description="Measure a training step, or synthesis on one thread of the CPU.")
    parser.add_argument("what", choices=("training", "speaking"))
    parser.add_argument("--device", default="cpu", help="of training")
    parser.add_argument("--threads", type=int, default=2, help="of training on the CPU")
    parser.add_argument("--size", default="paper", choices=tuple(glow_tts.SIZES))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure; three turns at least")
    parser.add_argument("--bf16", action="store_true", help="two rows more, with autocast")
    given = parser.parse_args(words)
    if given.what == "speaking":
        given.device, given.threads, given.batch_size = "cpu", 1, 1
    torch.set_num_threads(given.threads)
    if given.what == "speaking":
        title, ways = f"{SECONDS} s of speech", speaking(given.size)
    else:
        title, ways = "training step", training(given.size, given.batch_size, given.bf16, given.device)
    rows = bench.rows(bench.compare(ways, device=given.device, seconds=given.seconds))
    print(bench.table(f"{title}, {given.device}, threads: {given.threads}", rows))
    about = {"size": given.size, "batch_size": given.batch_size, "threads": given.threads}
    print(bench.save(f"glow_tts_{given.what}", rows, device=given.device, **about, kernels=dict(dispatch.choices)))


def plain_convolution(self: layers.Convolution, input: Tensor) -> Tensor:
    """torch's conv1d, over [B, C, F]."""
    y = F.conv1d(input.transpose(1, 2), self.weight, self.bias, 1, self.padding, self.dilation)
    return y.transpose(1, 2)


def plain_dropout(self: layers.Dropout, input: Tensor) -> Tensor:
    return F.dropout(input, self.p, self.training)


def plain_block(self: decoder.FlowBlock, x: Tensor, mask: Any, speaker: Any) -> tuple[Tensor, Tensor]:
    """ActNorm and convolution one after the other, the convolution over groups of channels."""
    x, first = self.norm(x, mask)
    mixed = _mixed(self.mix.weight, x) * mask
    second = self.mix.log_determinant(x.shape[2]) * mask.sum((1, 2))
    x, third = self.coupling(mixed, mask, speaker)
    return x, first + second + third


def plain_inverse(self: decoder.FlowBlock, z: Tensor, mask: Any, speaker: Any) -> Tensor:
    x = _mixed(torch.linalg.inv(self.mix.weight), self.coupling.inverse(z, mask, speaker))
    return decoder.masked((x - self.norm.bias.view(-1)) * torch.exp(-self.norm.log_scale).view(-1), mask)


def _mixed(weight: Tensor, x: Tensor) -> Tensor:
    half = len(weight) // 2
    grouped = x.unflatten(2, (2, -1, half))
    with torch.autocast(x.device.type, enabled=False):
        return torch.einsum("aspq,bfpgq->bfags", weight.view(2, half, 2, half), grouped).flatten(2)


def plain_kept(self: layers.Keeping, compute: Callable[[], Any], *parameters: Tensor) -> Any:
    return compute()


def _always_masked(inverse: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def masked(self: decoder.FlowDecoder, z: Tensor, mask: Any, speaker: Any = None) -> Tensor:
        return inverse(self, z, z.new_ones(len(z), 1, z.shape[2]) if mask is None else mask, speaker)

    return masked


def plain_align(
    z: Tensor, mean: Tensor, log_sigma: Tensor, token_lengths: Tensor, frame_lengths: Tensor, *, unit: bool = False
) -> tuple[Alignment, Tensor, Tensor]:
    """Scores [B, T, F] of four terms, searched on the host, and the path as a matrix. The search is the quick one."""
    with torch.no_grad():
        precision = torch.exp(-2 * log_sigma)
        scores = (-0.5 * math.log(2 * math.pi) - log_sigma).sum(1)[:, :, None]
        scores = scores + precision.transpose(1, 2) @ (-0.5 * z**2)
        scores = scores + (mean * precision).transpose(1, 2) @ z
        scores = scores + (-0.5 * mean**2 * precision).sum(1)[:, :, None]
        found = maximum_path(scores.cpu(), token_lengths.cpu(), frame_lengths.cpu(), impl="cpu")
        found = Alignment(*(one.to(z.device) for one in found))
        counts = torch.arange(z.shape[2], device=z.device) < frame_lengths[:, None]
        tokens = torch.arange(mean.shape[2], device=z.device)
        path = ((found.frame_to_token[:, None] == tokens[:, None]) & counts[:, None]).to(z)
    return found, mean @ path, log_sigma @ path


Changes = dict[str, list[tuple[Any, str, Any]]]  # what is patched: a class or module, a name in it, the plain way
PLAIN: Changes = {
    "channels side by side": [(layers.Convolution, "forward", plain_convolution)],
    "dropout from bits": [(layers.Dropout, "forward", plain_dropout)],
    "ActNorm, convolution, mask at once": [(decoder.FlowBlock, "forward", plain_block)],
    "search and gather, no path matrix": [(model, "align", plain_align)],
}
PLAIN_SPEECH: Changes = {
    "channels side by side": [(layers.Convolution, "forward", plain_convolution)],
    "kept weights, maps joined, no mask": [
        (layers.Keeping, "kept", plain_kept),
        (decoder.FlowBlock, "inverse", plain_inverse),
        (decoder.FlowDecoder, "_is_quick", lambda self, x, mask: False),
        (decoder.FlowDecoder, "inverse", _always_masked(decoder.FlowDecoder.inverse)),
    ],
}


@contextlib.contextmanager
def taken_back(changes: Changes, but: tuple[str, ...] = ()) -> Iterator[None]:
    """With the plain way in the place of each change but those named."""
    patches = [patch for name, some in changes.items() if name not in but for patch in some]
    ours = [(owner, name, owner.__dict__[name]) for owner, name, _ in patches]
    try:
        for owner, name, plain in patches:
            setattr(owner, name, plain)
        yield
    finally:
        for owner, name, way in ours:
            setattr(owner, name, way)


def training(size: str, batch_size: int, bf16: bool, device: str = "cpu") -> Ways:
    """One step on a batch of middling length, drawn at random and from buckets."""
    rows, features, reader = clips()
    lengths = np.array([row.frames for row in rows])
    orders = {
        "random": np.random.default_rng(1).permutation(len(rows)).reshape(-1, batch_size),
        "bucketed": epoch_order(lengths, batch_size, seed=0, epoch=0),
    }
    batches = {name: _middling(order, lengths, rows, features, name) for name, order in orders.items()}
    batches = {name: Batch(*(array.to(device) for array in batch)) for name, batch in batches.items()}
    torch.manual_seed(0)
    network = glow_tts.GlowTTS(glow_tts.sized(size, vocabulary=len(reader.symbols))).to(device)
    network.initialise(batches["random"].mel, batches["random"].frame_lengths)
    adams = {
        fused: torch.optim.Adam(network.parameters(), 1e-5, (0.9, 0.98), 1e-9, fused=fused) for fused in (False, True)
    }

    def way(order: str = "random", changes: tuple[str, ...] = (), fused: bool = False, half: bool = False):
        with taken_back(PLAIN, changes):
            step(network.train(), adams[fused], batches[order], half)

    every = tuple(PLAIN)
    ways: Ways = {"plain, random batches": way, "bucketed batches": functools.partial(way, "bucketed")}
    ways |= {name: functools.partial(way, changes=(name,)) for name in every}
    ways["fused Adam"] = functools.partial(way, fused=True)
    ways["all, random batches"] = functools.partial(way, "random", every, True)
    ways["all"] = functools.partial(way, "bucketed", every, True)
    if bf16:
        ways["plain, random batches, bf16"] = functools.partial(way, half=True)
        ways["all, bf16"] = functools.partial(way, "bucketed", every, True, True)
    return ways


def clips() -> tuple[list[speech.Example], FeatureArchive, TokenReader]:
    """256 clips drawn with replacement from the 24 of ljspeech_sample."""
    dataset = manifest.open_dataset("ljspeech_sample", 0)
    features = FeatureArchive(dataset.name, MelSpec())
    features.extract([row.audio for row in dataset.rows])
    reader = TokenReader(text.front_end("letters", dataset.language))
    found = [e for split in ("train", "validation") for e in speech.examples(dataset, split, reader, features)]
    return [found[i] for i in np.random.default_rng(0).integers(0, len(found), CLIPS)], features, reader


def _middling(order: np.ndarray, lengths: np.ndarray, rows: list, features: FeatureArchive, name: str) -> Batch:
    """The batch whose padded length is nearest to the mean of the epoch, since the time of a step grows with it."""
    padded = lengths[order].max(1)
    chosen = order[np.argmin(np.abs(padded - padded.mean()))]
    began = time.perf_counter()
    batch = speech.collate(chosen, rows, features)
    cached = time.perf_counter() - began
    began = time.perf_counter()
    for i in chosen:
        audio.log_mel(audio.load(rows[i].row.audio, features.spec.rate, resample=True), features.spec)
    fresh = time.perf_counter() - began
    padding = 1 - lengths[order].sum() / (padded * order.shape[1]).sum()
    print(
        f"{name:9} batches: {padding:.0%} of an epoch's frames are padding; measured on {len(chosen)} x "
        f"{padded.mean():.0f} frames; features from the archive {1000 * cached:.0f} ms, anew {1000 * fresh:.0f} ms"
    )
    return Batch(*(torch.as_tensor(array) for array in batch))


def step(network: glow_tts.GlowTTS, adam: torch.optim.Optimizer, batch: Batch, half: bool) -> float:
    """What the loop does in a step."""
    with torch.autocast(batch.mel.device.type, torch.bfloat16, enabled=half):
        out = network(batch.tokens, batch.token_lengths, batch.mel, batch.frame_lengths)
    elements = int(out.frame_lengths.sum()) * network.config.bands
    loss = out.negative_log_likelihood() / elements + out.duration_error() / out.token_lengths.sum()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), float("inf"))
    torch.nn.utils.clip_grad_value_(network.parameters(), 5.0)
    adam.step()
    adam.zero_grad(set_to_none=True)
    return loss.item()


def speaking(size: str) -> Ways:
    """Ten seconds of speech by an untrained model, whose rhythm is stretched to that length."""
    torch.manual_seed(0)
    network = glow_tts.GlowTTS(glow_tts.sized(size, vocabulary=148)).eval()
    tokens, spec = torch.randint(1, 148, (1, 150)), MelSpec()
    wanted = SECONDS * spec.rate / spec.hop
    generator = torch.Generator()

    @torch.inference_mode()
    def way(changes: tuple[str, ...] = (), scale: float = 1.0) -> int:
        with taken_back(PLAIN_SPEECH, changes):
            how: dict[str, Any] = dict(generator=generator.manual_seed(0), length_scale=scale)
            return int(network.synthesise(tokens, torch.tensor([150]), **how).frame_lengths)

    scales = np.linspace(1, 10, 50)
    scale = float(scales[np.argmin([abs(way(tuple(PLAIN_SPEECH), s) - wanted) for s in scales])])
    print(f"{way((), scale) * spec.hop / spec.rate:.2f} s of speech")
    every = tuple(PLAIN_SPEECH)
    ways: Ways = {"plain": functools.partial(way, (), scale)}
    ways |= {name: functools.partial(way, (name,), scale) for name in every}
    ways["all"] = functools.partial(way, every, scale)
    return ways


if __name__ == "__main__":
    main()
