"""What the notebook on flows needs: a flow of two numbers, which channels reach which, what a voice makes of a mel.

Source: paper_notes/glow_tts.md#decoder
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from nbkit.base import seeds
from nbkit.base.params import Params, param
from nbkit.data import audio, espeak
from nbkit.data.espeak_library import LANGUAGES
from nbkit.models.glow_tts import GlowTTSConfig, Voice
from nbkit.models.glow_tts.decoder import FlowBlock, FlowDecoder


@dataclass(frozen=True)
class GlowFlows(Params):
    """Parameters of 20_glow_flows."""

    source: str = param(
        "", "Name of a run, or path of a checkpoint or export. Empty takes the newest run.", identity=False
    )
    text: str = param("안녕하세요, 제주에 오신 것을 환영합니다.", "What is said, by eSpeak and by the voice.")
    recording: str = param("", "Path of a recording of this text. Empty: eSpeak says it.", identity=False)
    steps: int = param(300, "Steps that the flow of two numbers learns.", low=1)
    seed: int = param(0, "Decides the weights, the points and the noise.", low=0)

    PRESETS: ClassVar = {"smoke": {"text": "안녕하세요.", "steps": 150}}


def small_flow(channels: int, blocks: int, seed: int, split: int = 2, spread: float = 0.0) -> FlowDecoder:
    """The decoder of Glow-TTS over so few channels that they can be printed: one squeezed frame, kernels of 1.

    channels  after the squeeze, which joins two frames
    spread    of the last layer of each coupling, 0 as training starts: the identity
    """
    config = GlowTTSConfig(
        vocabulary=1,
        bands=channels // 2,
        squeeze=2,
        split=split,
        blocks=blocks,
        decoder_hidden=16,
        decoder_layers=2,
        decoder_kernel=1,
        decoder_dropout=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.key(seed, "small flow"))
        flow = FlowDecoder(config)
        for name, parameter in flow.named_parameters():
            if ".norm." in name or ".end." in name:
                torch.nn.init.normal_(parameter, 0, spread)
    return flow.eval()


def forward(flow: FlowDecoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers [N, C], each N one squeezed frame -> latent [N, C] and the sum of their log-determinants."""
    z, log_determinant = flow(*_as_frames(flow, x))
    return _as_numbers(flow, z), log_determinant[0]


def inverse(flow: FlowDecoder, z: Tensor) -> Tensor:
    """The numbers [N, C] of a latent [N, C]."""
    return _as_numbers(flow, flow.inverse(*_as_frames(flow, z)))


def by_part(flow: FlowDecoder, x: Tensor) -> list[tuple[str, list[float], float]]:
    """What each map of the chain makes of the numbers [C]: its name, the numbers behind it, its log-determinant."""
    names = {"norm": "ActNorm", "mix": "1x1 convolution", "coupling": "affine coupling"}
    x, mask = x[None, None], torch.ones(1, 1, 1)
    rows = []
    for block in flow.blocks:
        for part, called in names.items():
            more: tuple[Any, ...] = (None,) if part == "coupling" else ()
            x, log_determinant = getattr(block, part)(x, mask, *more)
            rows.append((called, x.flatten().tolist(), log_determinant.item()))
    return rows


def jacobian(flow: FlowDecoder, x: Tensor) -> Tensor:
    """How each latent number [C] changes with each number: [C, C] at x [C]."""
    return torch.func.jacrev(lambda one: forward(flow, one[None])[0][0])(x)


def crescent(count: int, seed: int) -> Tensor:
    """Points [count, 2] along a crescent, with mean 0 and variance 1 in each direction: no bell has this shape."""
    draw = seeds.generator(seed, "crescent")
    angle = np.sort(draw.uniform(0.1 * math.pi, 1.4 * math.pi, count))
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * (2 + 0.25 * draw.standard_normal((count, 1)))
    return torch.from_numpy((points - points.mean(0)) / points.std(0)).float()


def log_likelihood(flow: FlowDecoder | None, x: Tensor) -> Tensor:
    """Nats of the points [N, C] under a bell behind the flow, or under the bell alone: mean over N."""
    z, log_determinant = (x, x.new_zeros(())) if flow is None else forward(flow, x)
    return log_determinant / len(x) - 0.5 * (z**2 + math.log(2 * math.pi)).sum(1).mean()


def learn(flow: FlowDecoder, steps: int, seed: int, points: int = 400) -> FlowDecoder:
    """Make crescents likelier, another one in each step, from a start that fits their mean and variance."""
    flow.initialise(*_as_frames(flow, crescent(points, seed)))
    optimiser = torch.optim.Adam(flow.train().parameters(), lr=5e-3)
    for step in range(steps):
        optimiser.zero_grad()
        (-log_likelihood(flow, crescent(points, seeds.key(seed, "step", step)))).backward()
        optimiser.step()
    return flow.eval()


def _as_frames(flow: FlowDecoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """[N, C] as one mel [1, C / squeeze, squeeze N], and its mask."""
    frames = x.unflatten(1, (flow.squeeze, -1)).flatten(0, 1).T[None]
    return frames, frames.new_ones(1, 1, frames.shape[2])


def _as_numbers(flow: FlowDecoder, frames: Tensor) -> Tensor:
    return frames[0].T.unflatten(0, (-1, flow.squeeze)).flatten(1)


class Explained(NamedTuple):
    """A recording as a voice explains it."""

    log_mel: np.ndarray  # [C, F] natural log
    latent: np.ndarray  # [C, F]
    noise: np.ndarray  # [C, F] the latent without the mean and the spread of the token that holds the frame
    durations: np.ndarray  # [T] frames
    symbols: list[str]  # [T]
    log_determinant: float  # nats


def said(text: str, language: str, recording: str, rate: int) -> np.ndarray:
    """A recording of the text [S] at `rate` Hz: the file, or where there is none eSpeak's voice in that language."""
    if recording:
        return audio.load(recording, rate, resample=True)
    speech = espeak.speak(text, language if language in LANGUAGES else "ko")
    if speech.rate == rate:
        return speech.wave
    import librosa

    return librosa.resample(speech.wave, orig_sr=speech.rate, target_sr=rate)


@torch.inference_mode()
def explain(voice: Voice, wave: np.ndarray, text: str) -> Explained:
    """Find the path between a recording [S] and its text, and the noise that the recording would be drawn from."""
    log_mel = audio.log_mel(wave, voice.spec)
    encoded = voice.reader.read(text)
    tokens, mel = torch.from_numpy(encoded.ids)[None], torch.from_numpy(log_mel)[None]
    lengths = [torch.tensor([size]) for size in (tokens.shape[1], mel.shape[2])]
    out = voice.model(tokens, lengths[0], mel, lengths[1], torch.zeros(1, dtype=torch.int64))
    noise = (out.z - out.z_mean) * torch.exp(-out.z_log_sigma)
    mel, z, noise, durations = (one[0].numpy() for one in (mel[:, :, : out.z.shape[2]], out.z, noise, out.durations))
    return Explained(mel, z, noise, durations, encoded.symbols, out.log_determinant.item())


def spread(voice: Voice, text: str, temperatures: tuple[float, ...], draws: int) -> list[float]:
    """How far draws at each temperature differ: standard deviation of the log-mel over the draws, dB, mean over all."""
    found = []
    for temperature in temperatures:
        mels = [voice.synthesise(text, noise_scale=temperature, seed=seed).log_mel for seed in range(draws)]
        found.append(float(np.std(mels, axis=0).mean() * 20 / math.log(10)))
    return found


def reach(channels: int, blocks: int, seed: int, split: int = 4) -> dict[str, np.ndarray]:
    """How much each number moves each latent number, [C, C]: by two maps of a block alone, and by 1, 2, ... blocks."""
    x, mask = torch.linspace(-1, 1, channels), torch.ones(1, 1, 1)
    chains = [small_flow(channels, count, seed, split, spread=0.3) for count in range(1, blocks + 1)]
    block = cast(FlowBlock, chains[0].blocks[0])
    alone = {
        "convolution": lambda one: block.mix(one[None, None], mask)[0].flatten(),
        "coupling": lambda one: block.coupling(one[None, None], mask, None)[0].flatten(),
    }
    found = {title: torch.func.jacrev(part)(x) for title, part in alone.items()}
    found |= {f"{i} block{'s'[: i > 1]}": jacobian(chain, x) for i, chain in enumerate(chains, 1)}
    return {title: size.detach().abs().numpy() for title, size in found.items()}
