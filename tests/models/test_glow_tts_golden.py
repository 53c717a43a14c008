"""Equal to the authors' implementation, on every golden/glow_tts_*.npz in the folder named by NBKIT_GOLDEN."""

import json

import numpy as np
import pytest
import torch

from nbkit.models.glow_tts import GlowTTS, reference


def close(ours, theirs, name, relative=1e-5):
    ours, theirs = ours.detach().numpy().reshape(theirs.shape), np.asarray(theirs)
    scale = np.abs(theirs).max()
    limit = relative * scale if scale else 1e-6
    worst = np.abs(ours - theirs).max()
    assert worst <= limit, f"{name}: {worst:.3g} from the reference, at most {limit:.3g}"


def cases(golden):
    files = sorted(golden.glob("glow_tts_*.npz"))
    assert files, f"no glow_tts_*.npz in {golden}"
    for path in files:
        data = np.load(path)
        arguments = json.loads(bytes(data["config"]).decode())
        model = GlowTTS(reference.config(arguments)).eval()
        state = {k.removeprefix("state/"): torch.from_numpy(data[k]) for k in data.files if k.startswith("state/")}
        model.load_state_dict(reference.convert(state, model.config), strict=True)
        text = [torch.from_numpy(data[k]) for k in ("tokens", "token_lengths")]
        sound = [torch.from_numpy(data[k]) for k in ("mel", "frame_lengths")]
        speakers = torch.from_numpy(data["speaker"]) if "speaker" in data.files else None
        yield path.stem, data, model, text, sound, speakers


def test_golden_forward(golden):
    for name, data, model, text, sound, speakers in cases(golden):
        out = model(*text, *sound, speakers)
        pairs = dict(z=out.z, z_mean=out.z_mean, z_logs=out.z_log_sigma, logdet=out.log_determinant, x_mean=out.mean)
        pairs |= dict(x_logs=out.log_sigma, log_duration=out.log_durations)
        for key, ours in pairs.items():
            close(ours, data[key], f"{name} {key}")
        np.testing.assert_array_equal(out.durations.numpy(), data["durations"], err_msg=name)
        elements = out.frame_lengths.sum() * model.config.bands
        close(out.negative_log_likelihood() / elements, data["mle_loss"], f"{name} mle_loss")
        close(out.duration_error() / out.token_lengths.sum(), data["duration_loss"], f"{name} duration_loss")


def test_golden_synthesis(golden):
    for name, data, model, text, _, speakers in cases(golden):
        length_scale = float(data["length_scale"]) if "length_scale" in data.files else 1.3
        spoken = model.synthesise(*text, speakers, noise_scale=0.0, length_scale=length_scale)
        np.testing.assert_array_equal(spoken.durations.numpy(), data["synth_durations"], err_msg=name)
        close(spoken.mel, data["synth_mel"], f"{name} synth_mel")


def test_golden_gradients(golden):
    for name, data, model, text, sound, speakers in cases(golden):
        out = model(*text, *sound, speakers)
        elements = out.frame_lengths.sum() * model.config.bands
        (out.negative_log_likelihood() / elements + out.duration_error() / out.token_lengths.sum()).backward()
        norms = {n: p.grad.norm().item() for n, p in model.named_parameters() if p.grad is not None}
        for key in (k for k in data.files if k.startswith("grad_norm/")):
            wanted, got = float(data[key]), norms[reference.name(key.removeprefix("grad_norm/"))]
            assert got == pytest.approx(wanted, rel=1e-4, abs=1e-6), f"{name} {key}"
