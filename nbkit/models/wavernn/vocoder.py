"""A trained WaveRNN that can be opened alone and turns mels to sound: network and feature parameters in one file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nbkit.base import seeds
from nbkit.data.audio import MelSpec
from nbkit.kernels import wavernn_sampler
from nbkit.models import exports
from nbkit.models.wavernn import distribution, folding
from nbkit.models.wavernn.config import WaveRNNConfig
from nbkit.models.wavernn.model import WaveRNN

FORMAT = "nbkit.wavernn.1"
CHUNK = 0.25  # seconds of each row that are drawn in one call; between calls a notebook can be interrupted
FOLD, OVERLAP = 0.5, 0.05  # seconds; of the overlap, half is for finding in and half for the fade


class Vocoder:
    """A model with everything that it needs to make sound of a mel."""

    def __init__(self, model: WaveRNN, spec: MelSpec):
        if (spec.bands, spec.hop) != (model.config.bands, model.config.hop):
            raise ValueError(
                f"the WaveRNN wants {model.config.bands} bands and hop {model.config.hop}, the mel has {spec.bands} "
                f"and {spec.hop}; give both the same MelSpec"
            )
        self.model, self.spec = model.eval(), spec

    @torch.inference_mode()
    def vocode(
        self,
        log_mel: np.ndarray,
        *,
        seed: int = 0,
        fold: float = FOLD,
        overlap: float = OVERLAP,
        impl: str = "auto",
        progress: Callable[[float], None] = lambda share: None,
    ) -> np.ndarray:
        """A wave, float32 [(F - 1) hop] in [-1, 1], of a mel [C, F]. The same arguments give the same samples.

        fold      seconds that one row of the batch makes; 0 draws everything in one row, one sample after the other
        overlap   seconds that folds have in common
        impl      of kernels.wavernn_sampler
        progress  called with the share of the samples that are drawn
        raises    ValueError for a mel of another shape, or one that is not finite
        """
        log_mel = np.asarray(log_mel, np.float32)
        if log_mel.ndim != 2 or not np.isfinite(log_mel).all():
            raise ValueError(f"vocode wants a finite mel [{self.spec.bands}, F], got {list(log_mel.shape)}; look at it")
        device = next(self.model.parameters()).device
        conditioning = self.model.condition(torch.as_tensor(log_mel, device=device)[None])[0].float()
        S, rate = len(conditioning), self.spec.rate
        target = min(S, max(1, round(fold * rate))) if fold else S
        shared = 0 if target == S else min(2 * round(overlap * rate / 2), target // 2 * 2)
        rows = folding.fold(conditioning, target, shared)
        uniforms = seeds.generator(seed, "vocode").random((*rows.shape[:2], 2), dtype=np.float32)
        x = self._sample(rows, uniforms, device, impl, progress)
        wave = folding.unfold(distribution.to_wave(x, self.model.config).cpu().numpy(), S, shared)
        return distribution.without_emphasis(wave, self.model.config)

    def _sample(self, rows: Tensor, uniforms: np.ndarray, device, impl: str, progress) -> Tensor:
        weights = wavernn_sampler.fitting(self.model.weights(), device)
        state, found = None, []
        step = max(1, round(CHUNK * self.spec.rate))
        for first in range(0, rows.shape[1], step):
            part = [torch.as_tensor(array[:, first : first + step], device=device) for array in (rows, uniforms)]
            drawn = wavernn_sampler.sample(weights, *part, state=state, impl=impl)
            state = drawn.state
            found.append(drawn.x)
            progress(min(1.0, (first + step) / rows.shape[1]))
        return torch.cat(found, 1)

    def match(self, spec: MelSpec) -> None:
        """Nothing, where mels of `spec` are what this vocoder learnt; raises ValueError that names what differs."""
        if wrong := self.differences(spec):
            raise ValueError(
                f"the vocoder expects {'; '.join(wrong)} (its features are {self.spec.fingerprint}, those of the mel "
                f"{spec.fingerprint}); train either with the MelSpec of the other"
            )

    def differences(self, spec: MelSpec) -> list[str]:
        """What makes mels of `spec` others than those that this vocoder learnt, each "hop 256, the mel has 300"."""
        own, other = self.spec.as_dict(), spec.as_dict()
        return [f"{name} {own[name]:g}, the mel has {other[name]:g}" for name in own if own[name] != other[name]]

    def about(self) -> dict[str, Any]:
        """What an export says of itself."""
        return describe(self.model.config, self.spec)

    def save(self, path: str | os.PathLike) -> Path:
        """Write one .safetensors file that `load` opens alone."""
        return exports.write(path, self.model.state_dict(), self.about())


def describe(config: WaveRNNConfig, spec: MelSpec) -> dict[str, Any]:
    """Everything but the weights that from_parts needs, as JSON; exports and checkpoints keep it."""
    return {"format": FORMAT, "model": config.as_dict(), "mel": spec.as_dict()}


def from_parts(weights: dict[str, Tensor], about: dict[str, Any]) -> Vocoder:
    """A Vocoder from a state dict and what describe() said when it was kept. ValueError where they do not fit."""
    if about.get("format") != FORMAT:
        raise ValueError(f"wanted a WaveRNN in format {FORMAT}, got {about.get('format')!r}")
    with exports.fitting("WaveRNN"):
        model = WaveRNN(WaveRNNConfig.from_dict(about["model"]))
        model.load_state_dict(weights)
        return Vocoder(model, MelSpec.from_dict(about["mel"]))


def load(path: str | os.PathLike) -> Vocoder:
    """Open an export. raises ValueError for a file that is none."""
    return from_parts(*exports.read(exports.file(path, "a WaveRNN export"), "WaveRNN", "Vocoder.save"))
