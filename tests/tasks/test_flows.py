"""The helpers of the notebook on flows: what it prints is what the decoder does."""

import numpy as np
import pytest
import torch

from nbkit.data import espeak
from nbkit.data.audio import MelSpec
from nbkit.data.speech import TokenReader
from nbkit.data.text import front_end
from nbkit.models.glow_tts import GlowTTS, GlowTTSConfig, Voice
from nbkit.tasks import flows


@pytest.fixture(scope="module")
def voice() -> Voice:
    reader = TokenReader(front_end("jamo"))
    sizes = dict(
        hidden=16, filter=16, duration_filter=8, encoder_layers=1, blocks=2, decoder_hidden=8, decoder_layers=1
    )
    torch.manual_seed(0)
    model = GlowTTS(GlowTTSConfig(vocabulary=len(reader.symbols), **sizes))
    return Voice(model, reader, MelSpec(), ("one",), "ko")


def test_the_parts_of_a_block_are_the_block():
    flow = flows.small_flow(2, 1, seed=3, spread=0.5)
    x = torch.tensor([0.4, -0.9])
    rows = flows.by_part(flow, x)
    z, told = flows.forward(flow, x[None])
    assert rows[-1][1] == pytest.approx(z[0].tolist())
    assert sum(nats for *_, nats in rows) == pytest.approx(told.item(), abs=1e-6)
    assert abs(told.item()) > 0.01
    assert told.item() == pytest.approx(torch.linalg.slogdet(flows.jacobian(flow, x))[1].item(), abs=1e-5)
    torch.testing.assert_close(flows.inverse(flow, z)[0], x)


def test_points_do_not_touch_each_other():
    flow = flows.small_flow(6, 2, seed=1, spread=0.5)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    z, told = flows.forward(flow, x)
    alone = [flows.forward(flow, one[None]) for one in x]
    torch.testing.assert_close(z, torch.cat([one for one, _ in alone]))
    torch.testing.assert_close(told, sum(nats for _, nats in alone))


def test_learning_makes_new_points_likelier_than_a_bell_does():
    flow = flows.learn(flows.small_flow(2, 4, seed=0), steps=40, seed=0)
    fresh = flows.crescent(400, seed=99)
    assert flows.log_likelihood(flow, fresh) > flows.log_likelihood(None, fresh) + 0.3
    again = flows.learn(flows.small_flow(2, 4, seed=0), steps=40, seed=0)
    assert flows.log_likelihood(again, fresh) == flows.log_likelihood(flow, fresh)


def test_frames_are_squeezed_as_the_picture_shows():
    flow = flows.small_flow(6, 1, seed=0)
    x = torch.arange(12.0).reshape(2, 6)
    frames, _ = flows._as_frames(flow, x)
    assert frames[0, :, 0].tolist() == [0, 1, 2]  # the first frame's bands are the lower half
    assert flows._as_numbers(flow, frames).tolist() == x.tolist()


def test_two_blocks_reach_every_channel():
    reach = flows.reach(channels=16, blocks=2, seed=0)
    ways = {title: (size > 1e-6).mean() for title, size in reach.items()}
    assert ways["convolution"] == 0.25
    assert ways["convolution"] < ways["1 block"] < ways["2 blocks"] == 1


def test_a_voice_explains_a_recording_by_noise_of_the_same_size(voice):
    wave = flows.said("안녕", "ko", "", voice.spec.rate)
    seen = flows.explain(voice, wave, "안녕")
    assert seen.noise.shape == seen.latent.shape == seen.log_mel.shape
    assert seen.durations.sum() == seen.log_mel.shape[1]
    assert len(seen.symbols) == len(seen.durations)
    assert np.isfinite(seen.noise).all()
    assert len(flows.said("안녕", "jje", "", 16000)) == pytest.approx(
        len(espeak.speak("안녕").wave) * 16 / 22.05, abs=2
    )


def test_spread_grows_with_the_temperature(voice):
    cold, warm, hot = flows.spread(voice, "안녕", (0.0, 0.5, 1.0), draws=3)
    assert cold == pytest.approx(0, abs=1e-6)
    assert 0.1 < warm < hot
