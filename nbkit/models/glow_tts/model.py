"""Glow-TTS: a flow-based text-to-speech model that finds the alignment by itself.

Source: paper_notes/glow_tts.md
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbkit.kernels.mas import Alignment, maximum_path
from nbkit.models.glow_tts.config import GlowTTSConfig
from nbkit.models.glow_tts.decoder import FlowDecoder
from nbkit.models.glow_tts.encoder import TextEncoder, sequence_mask

LOG_2_PI = math.log(2 * math.pi)
LONGEST = math.log(500)  # frames that synthesis gives one token at length scale 1: 5.8 s of 256-sample frames


class GlowTTSOutput(NamedTuple):
    """What one pass over recordings gives. F is cut to a multiple of `squeeze`, frame_lengths likewise."""

    z: Tensor  # [B, C, F] latent of the recording
    z_mean: Tensor  # [B, C, F] prior of each frame, from the token that holds it
    z_log_sigma: Tensor  # [B, C, F]
    log_determinant: Tensor  # [B]
    mean: Tensor  # [B, C, T] prior of each token
    log_sigma: Tensor  # [B, C, T]
    durations: Tensor  # [B, T] int64, frames held by each token on the best path
    log_durations: Tensor  # [B, T] predicted natural log of frames
    token_lengths: Tensor  # [B]
    frame_lengths: Tensor  # [B]

    def negative_log_likelihood(self) -> Tensor:
        """Sum over all valid frames and bands, in nats. Source: paper_notes/glow_tts.md#likelihood"""
        mask = sequence_mask(self.frame_lengths, self.z.shape[2])
        scaled = (self.z - self.z_mean) * torch.exp(-self.z_log_sigma)
        elements = self.frame_lengths.sum() * self.z.shape[1]
        # z and the prior are 0 behind the end, so only the constant needs to know the number of elements.
        return (
            (self.z_log_sigma * mask + 0.5 * scaled**2).sum() - self.log_determinant.sum() + 0.5 * LOG_2_PI * elements
        )

    def duration_error(self) -> Tensor:
        """Sum over all tokens of the squared error of the log duration. Source: paper_notes/glow_tts.md#durations"""
        mask = sequence_mask(self.token_lengths, self.durations.shape[1]).squeeze(1)
        return (((self.log_durations - torch.log(1e-8 + self.durations.float())) * mask) ** 2).sum()


class Synthesis(NamedTuple):
    """Mel [B, C, F] natural log, its frame_lengths [B], and the durations [B, T] that were used, in frames."""

    mel: Tensor
    frame_lengths: Tensor
    durations: Tensor


class GlowTTS(nn.Module):
    """Text encoder and flow decoder, joined by a monotonic path that is searched anew in each step."""

    def __init__(self, config: GlowTTSConfig):
        super().__init__()
        self.config = config
        self.encoder = TextEncoder(config)
        self.decoder = FlowDecoder(config)
        self.speaker = None
        if config.speakers > 1:
            self.speaker = nn.Embedding(config.speakers, config.speaker_channels)
            nn.init.uniform_(self.speaker.weight, -0.1, 0.1)

    def _speaker(self, speakers: Tensor | None) -> Tensor | None:
        if self.speaker is None:
            return None
        if speakers is None:
            raise ValueError(f"this model has {self.config.speakers} speakers: say which, as an int64 tensor [B]")
        return F.normalize(self.speaker(speakers)).unsqueeze(-1)

    def _cut(self, mel: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cut to a multiple of `squeeze`: mel, lengths and the mask [B, 1, F]."""
        n = self.config.squeeze
        frame_lengths = frame_lengths // n * n
        mel = mel[:, :, : mel.shape[2] // n * n]
        return mel, frame_lengths, sequence_mask(frame_lengths, mel.shape[2])

    def forward(
        self, tokens: Tensor, token_lengths: Tensor, mel: Tensor, frame_lengths: Tensor, speakers: Tensor | None = None
    ) -> GlowTTSOutput:
        """tokens [B, T] int64, token_lengths [B], mel [B, C, F] natural log, frame_lengths [B], speakers [B] int64"""
        if {len(token_lengths), len(mel), len(frame_lengths)} != {len(tokens)} or mel.shape[1] != self.config.bands:
            got = [list(one.shape) for one in (tokens, mel, token_lengths, frame_lengths)]
            raise ValueError(
                f"wanted tokens [B, T], mel [B, {self.config.bands}, F] and the lengths [B] of both, got {got}; "
                "take them from one batch"
            )
        speaker = self._speaker(speakers)
        token_mask = sequence_mask(token_lengths, tokens.shape[1])
        mel, frame_lengths, frame_mask = self._cut(mel, frame_lengths)
        mean, log_sigma, log_durations = self.encoder(tokens, token_mask, speaker)
        z, log_determinant = self.decoder(mel, frame_mask, speaker)
        lengths = (token_lengths, frame_lengths)
        path, z_mean, z_log_sigma = align(z, mean, log_sigma, *lengths, unit=self.config.mean_only)
        # Without a best path there is no likelihood: the step is skipped and counted like any other that diverged.
        log_determinant = log_determinant * torch.where(path.valid, 1.0, torch.nan)
        return GlowTTSOutput(
            z,
            z_mean,
            z_log_sigma,
            log_determinant,
            mean,
            log_sigma,
            path.durations,
            log_durations,
            token_lengths,
            frame_lengths,
        )

    @torch.no_grad()
    def initialise(self, mel: Tensor, frame_lengths: Tensor, speakers: Tensor | None = None) -> None:
        """Data-dependent initialisation of the flow; without it training is noise. ValueError for a mel with NaN."""
        mel, _, mask = self._cut(mel, frame_lengths)
        self.decoder.initialise(mel, mask, self._speaker(speakers))
        if not all(parameter.isfinite().all() for parameter in self.decoder.parameters()):
            raise ValueError("wanted finite mels to start from, got NaN or infinite ones; look at what made the batch")

    @torch.no_grad()
    def synthesise(
        self,
        tokens: Tensor,
        token_lengths: Tensor,
        speakers: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        noise_scale: float = 0.667,
        length_scale: float = 1.0,
    ) -> Synthesis:
        """Speak: tokens [B, T] int64, token_lengths [B] -> Synthesis.

        generator     of the CPU, draws the noise; frame j gets the same however long the speech is. None is torch's own
        noise_scale   temperature: 0 gives the mean, 1 the whole spread of the training speech
        length_scale  factor on each duration, > 1 is slower
        raises        ValueError for no tokens, scales out of range, and a model that predicts NaN
        """
        if not tokens.shape[1] or not 0 <= noise_scale < math.inf or not 0 < length_scale < math.inf:
            raise ValueError(
                f"wanted a token or more, noise_scale from 0 and length_scale above 0, got {tokens.shape[1]} tokens, "
                f"{noise_scale} and {length_scale}; 0.667 and 1 are usual"
            )
        speaker = self._speaker(speakers)
        token_mask = sequence_mask(token_lengths, tokens.shape[1])
        mean, log_sigma, log_durations = self.encoder(tokens, token_mask, speaker)
        if not log_durations.isfinite().all():
            raise ValueError(
                "wanted finite durations, the model predicts NaN or infinite ones: it has diverged; train anew"
            )
        held = log_durations.clamp(max=LONGEST).exp()  # an untrained model asks for hours
        durations = torch.ceil(held * token_mask.squeeze(1) * length_scale).long()
        n = self.config.squeeze
        frame_lengths = (durations.sum(1) // n).clamp_min(1) * n
        ends = durations.cumsum(1).minimum(frame_lengths[:, None])  # an odd frame at the end is cut
        durations = torch.diff(ends, dim=1, prepend=torch.zeros_like(ends[:, :1]))
        holder, frame_mask = self._hold(durations, token_lengths, frame_lengths)
        holder = holder[:, None, :].expand(-1, mean.shape[1], -1)
        z_mean, z_sigma = mean.gather(2, holder), log_sigma.gather(2, holder).exp()
        noise = torch.randn(z_mean.shape[2], z_mean.shape[1], generator=generator).T.to(z_mean.device)
        z = (z_mean + z_sigma * noise * noise_scale) * frame_mask
        mel = self.decoder.inverse(z, None if len(z) == 1 else frame_mask, speaker)  # alone, every frame counts
        return Synthesis(mel, frame_lengths, durations)

    def _hold(self, durations: Tensor, token_lengths: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The token of each frame [B, F], the last token behind its end, and the mask [B, 1, F]."""
        frames = torch.arange(int(frame_lengths.max()), device=durations.device)
        ends = durations.cumsum(1)
        holder = torch.searchsorted(ends, frames.expand(len(ends), -1).contiguous(), right=True)
        return holder.minimum(token_lengths[:, None] - 1), sequence_mask(frame_lengths, len(frames))


def align(
    z: Tensor, mean: Tensor, log_sigma: Tensor, token_lengths: Tensor, frame_lengths: Tensor, *, unit: bool = False
) -> tuple[Alignment, Tensor, Tensor]:
    """The best path, and the prior of each frame from the token that holds it; no gradient passes the search.

    z [B, C, F], mean and log_sigma [B, C, T], unit as in frame_scores -> Alignment, z_mean and z_log_sigma [B, C, F]
    """
    with torch.no_grad():
        scores = frame_scores(z, mean, log_sigma, unit=unit)
        path = maximum_path(scores, token_lengths, frame_lengths, layout="bft")
        behind = sequence_mask(frame_lengths, z.shape[2]).squeeze(1) == 0
        holder = path.frame_to_token.masked_fill(behind, mean.shape[2])[:, None].expand(-1, mean.shape[1], -1)

    def spread(values: Tensor) -> Tensor:
        return F.pad(values, (0, 1)).gather(2, holder)  # behind the end a frame is held by a token of zeros

    return path, spread(mean), log_sigma[:, :, :1].expand_as(z) if unit else spread(log_sigma)


def frame_scores(z: Tensor, mean: Tensor, log_sigma: Tensor, *, unit: bool = False) -> Tensor:
    """Log-likelihood of each frame under the prior of each token, by matrix products.

    Source: paper_notes/glow_tts.md#search
    unit  log_sigma is 0 everywhere; then what all tokens of a frame share, -0.5 (log(2 pi) + z^2), is left out, which
          halves the work and changes no path
    z [B, C, F], mean and log_sigma [B, C, T] -> [B, F, T] float32
    """
    with torch.autocast(z.device.type, enabled=False):  # a search on bf16 scores would be another search
        z, mean, log_sigma = z.float(), mean.float(), log_sigma.float()
        if unit:
            return torch.baddbmm(-0.5 * (mean**2).sum(1, keepdim=True), z.transpose(1, 2), mean)
        precision = torch.exp(-2 * log_sigma)
        constant = (-0.5 * LOG_2_PI - log_sigma - 0.5 * mean**2 * precision).sum(1, keepdim=True)  # [B, 1, T]
        scores = torch.baddbmm(constant, z.transpose(1, 2), mean * precision)
        return scores.baddbmm_((z**2).transpose(1, 2), precision, alpha=-0.5)
