"""WaveRNN: what must hold whatever the weights are."""

import json
import math

import numpy as np
import pytest
import torch

from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.models import wavernn
from nbkit.models.wavernn import Vocoder, WaveRNN, WaveRNNConfig, distribution, folding, scales_of, sized
from nbkit.models.wavernn.model import _stretch as stretch

SMALL = dict(
    bands=5, hop=8, scales=(2, 4), stack=6, blocks=1, aux=3, hidden=12, layers=10, mixtures=2, bits=5, context=2
)
SPEC = MelSpec(rate=8000, window=64, hop=8, bands=5, high=4000.0)
each_shape = pytest.mark.parametrize(
    "fields", [{}, {"grus": 1}, {"output": "classes"}, {"output": "classes", "grus": 1}], ids=str
)


def model(**fields):
    torch.manual_seed(0)
    made = WaveRNN(WaveRNNConfig(**(SMALL | fields)))
    with torch.no_grad():  # what starts small would prove little
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made.eval()


def inputs(frames=6, rows=2):
    torch.manual_seed(1)
    return 2 * torch.rand(rows, (frames - 1) * 8) - 1, torch.randn(rows, 5, frames) - 5


@each_shape
def test_step_by_step_is_all_at_once(fields):
    made = model(**fields)
    x, log_mel = inputs()
    with torch.no_grad():
        wanted, conditioning, hidden = made(x, log_mel), made.condition(log_mel), None
        for t in range(x.shape[1]):
            logits, hidden = made.step(x[:, t], conditioning[:, t], hidden)
            torch.testing.assert_close(logits, wanted[:, t], atol=1e-5, rtol=1e-5)
    assert wanted.std() > 0.05


def test_a_sample_knows_nothing_of_those_after_it():
    made = model()
    x, log_mel = inputs()
    later = x.clone()
    later[:, 20:] += 0.3
    same = (made(x, log_mel) == made(later, log_mel)).all(-1).all(0)
    assert same[:20].all()
    assert not same[20]


def test_conditioning_is_centred_on_its_frames():
    """A frame reaches the samples around its centre, as far to the left as to the right."""
    made = model()
    log_mel = torch.full((1, 5, 21), -5.0)
    bent = log_mel.clone()
    bent[:, :, 10] += 1
    with torch.no_grad():
        for smoothing in made.conditioner.smoothing:
            smoothing.weight.fill_(1 / smoothing.weight.numel())
        change = (made.condition(bent) - made.condition(log_mel)).abs()[0]
    bands, aux = change[:, :5].sum(1), change[:, 5:].sum(1)
    torch.testing.assert_close(bands[:80], bands[80:].flip(0), atol=1e-4, rtol=1e-3)  # its centre is between 79 and 80
    assert (bands[76:84] > 0.99 * bands.max()).all()
    reached = aux.nonzero()[:, 0]
    assert (int(reached.min()), int(reached.max())) == (80 - 20, 79 + 20)


def test_what_a_window_sees_is_what_the_whole_sees():
    made = model()
    _, log_mel = inputs(frames=16)
    with torch.no_grad():
        whole = made.condition(log_mel)
        part = made.condition(log_mel[:, :, 4 - 2 : 9 + 2], edges=False)
    torch.testing.assert_close(part, whole[:, 4 * 8 : 8 * 8])


def test_a_frame_means_the_same_in_any_batch():
    made = model().train()
    _, log_mel = inputs(rows=3)
    torch.testing.assert_close(made.condition(log_mel)[:1], made.condition(log_mel[:1]))


@pytest.mark.parametrize("scale", [1, 4, 11])
def test_stretching_is_repeating_and_a_convolution(scale):
    torch.manual_seed(4)
    rows, kernel = torch.randn(3, 1, 7, dtype=torch.float64), torch.randn(1, 1, 2 * scale + 1, dtype=torch.float64)
    wanted = torch.nn.functional.conv1d(rows.repeat_interleave(scale, 2), kernel, padding=scale)
    torch.testing.assert_close(stretch(rows, scale, kernel), wanted)


def test_sizes_are_those_that_are_known():
    paper = WaveRNN(sized("paper"))
    loop = sum(p.numel() for name, p in paper.named_parameters() if not name.startswith("conditioner"))
    assert loop == pytest.approx(3.83e6, rel=0.002)
    assert sum(p.numel() for p in WaveRNN(sized("tiny")).parameters()) < 1e5
    assert [scales_of(hop) for hop in (256, 275, 64, 2)] == [(4, 8, 8), (5, 5, 11), (4, 4, 4), (2,)]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"hop": 10}, "scales must multiply to an even hop"),
        ({"grus": 3}, "1 or 2 GRUs"),
        ({"output": "softmax"}, "mixture or classes"),
        ({"emphasis": 1.0}, "from 0 to below 1, got 1.0"),
        ({"hidden": 0}, "sizes of 1 or more, got hidden 0"),
        ({"context": 1, "scales": (1, 1, 8)}, "sees 3.0 frames"),
    ],
)
def test_impossible_shapes_are_refused(fields, told):
    with pytest.raises(ValueError, match=told):
        WaveRNNConfig(**(SMALL | fields))


def test_wrong_inputs_are_refused():
    made = model()
    x, log_mel = inputs()
    with pytest.raises(ValueError, match=r"wants a mel \[B, 5, F\] of 2 frames or more, got \[2, 4, 6\]"):
        made.condition(log_mel[:, :4])
    with pytest.raises(ValueError, match=r"wants x \[2, 40\].*got \[2, 39\]"):
        made(x[:, 1:], log_mel)
    with pytest.raises(ValueError, match="size must be one of tiny, small, paper"):
        sized("huge")


@pytest.mark.parametrize("output", ["mixture", "classes"])
def test_the_likelihood_is_a_distribution(output):
    """Over all that a sample can be, probabilities add up to 1."""
    config = WaveRNNConfig(**(SMALL | {"output": output}))
    torch.manual_seed(2)
    logits = torch.randn(config.outputs)
    if output == "mixture":
        logits[-config.mixtures :] = torch.tensor([-2.0, -12.0])  # one far below the floor
        x = torch.arange(65536, dtype=torch.float64) / 65535 * 2 - 1
    else:
        x = torch.arange(32) / 31 * 2 - 1
    nats = distribution.negative_log_likelihood(logits.expand(len(x), -1), x.float(), config)
    assert float((-nats.double()).exp().sum()) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("output", ["mixture", "classes"])
def test_draws_follow_the_likelihood(output):
    config = WaveRNNConfig(**(SMALL | {"output": output}))
    torch.manual_seed(3)
    logits = torch.randn(config.outputs) - (2 if output == "mixture" else 0)
    draws = distribution.sample(logits.expand(100_000, -1), torch.rand(100_000, 2), config)
    nats = distribution.negative_log_likelihood(
        logits.expand(100_000, -1), distribution.to_network(distribution.to_wave(draws, config), config), config
    )
    grid = torch.linspace(-1, 1, 65536 if output == "mixture" else 32)
    each = distribution.negative_log_likelihood(logits.expand(len(grid), -1), grid, config)
    entropy = float(((-each).exp() * each).sum())
    assert float(nats.mean()) == pytest.approx(entropy, abs=0.02)


def test_draws_are_a_function_of_logits_and_numbers():
    config = WaveRNNConfig(**SMALL)
    logits, uniforms = torch.randn(50, config.outputs), torch.rand(50, 2)
    one = distribution.sample(logits, uniforms, config)
    assert torch.equal(one, distribution.sample(logits, uniforms, config))
    assert not torch.equal(one, distribution.sample(logits, uniforms.flip(0), config))
    edges = distribution.sample(logits, torch.tensor([[0.0, 0.0]]).expand(50, 2), config)
    assert torch.isfinite(edges).all()
    assert edges.abs().max() <= 1


def test_emphasis_there_and_back():
    config = WaveRNNConfig(**(SMALL | {"emphasis": 0.85}))
    wave = (0.4 * np.sin(0.2 * np.arange(500)) + 0.01 * np.sin(2.8 * np.arange(500))).astype(np.float32)
    raised = distribution.with_emphasis(np.pad(wave, (1, 0)), config)
    np.testing.assert_allclose(distribution.without_emphasis(raised, config), wave, atol=1e-5)
    loud = [np.abs(np.fft.rfft(one))[[16, 223]] for one in (wave, raised)]
    assert loud[1][1] / loud[1][0] > 4 * loud[0][1] / loud[0][0]  # what is high against what is low
    assert np.abs(distribution.without_emphasis(np.ones(100, np.float32), config)).max() == 1
    plain = WaveRNNConfig(**SMALL)
    assert distribution.without_emphasis(wave, plain) is wave
    np.testing.assert_array_equal(distribution.with_emphasis(np.pad(wave, (1, 0)), plain), wave)


def test_mu_law_there_and_back():
    config = WaveRNNConfig(**(SMALL | {"output": "classes", "bits": 9}))
    wave = torch.linspace(-1, 1, 200001)
    x = distribution.to_network(wave, config)
    back = distribution.to_wave(x, config)
    assert len(x.unique()) == 512
    assert ((back - wave).abs() <= 0.013 * wave.abs() + 2.2 / 511 / 80).all()
    torch.testing.assert_close(distribution.to_network(back, config), x)


@pytest.mark.parametrize(("phase", "within"), [(0.0, 0.01), (2.0, 1.0), (np.pi / 2, 1.0)])
def test_folds_of_a_tone_join_without_a_click(phase, within):
    """The level stays, and no step is larger than those of the tone, whatever phase each fold begins in."""
    target, overlap, samples = 400, 80, 1500
    step = 2 * np.pi / 32
    tone = [np.sin(step * (np.arange(-overlap, target) + n * target) + phase * n) for n in range(4)]
    wave = folding.unfold(0.5 * np.array(tone, np.float32), samples, overlap)
    assert wave.shape == (samples,)
    assert np.abs(np.diff(wave)).max() < 0.5 * step * 1.5
    level = np.sqrt(np.convolve(wave**2, np.ones(64) / 64, "valid"))  # two periods
    decibel = 20 * np.log10(level / (0.5 / np.sqrt(2)))
    assert np.abs(decibel).max() < within


def test_without_a_fade_a_click_would_be_heard():
    tone = [np.sin(0.2 * np.arange(400) + 0.2 * n * 400 + 2.0 * n) for n in range(4)]
    wave = folding.unfold(0.5 * np.array(tone, np.float32), 1500, 0)
    assert np.abs(np.diff(wave)).max() > 0.5 * 0.2 * 1.5


def test_folds_hold_every_row_in_its_place():
    rows = np.arange(10.0)[:, None]
    folds = folding.fold(rows, 4, 2)[..., 0]
    assert folds.tolist() == [[0, 0, 0, 1, 2, 3], [2, 3, 4, 5, 6, 7], [6, 7, 8, 9, 9, 9]]
    assert folding.unfold(folding.fold(rows, 4, 0)[..., 0], 10, 0).tolist() == rows[:, 0].tolist()
    silent = folding.unfold(np.zeros((3, 6), np.float32), 10, 2)
    assert not silent.any()
    for target, overlap in ((0, 0), (4, 6), (4, 1), (4, -2)):
        with pytest.raises(ValueError, match="even overlap"):
            folding.fold(rows, target, overlap)
    with pytest.raises(ValueError, match="samples, not 4"):
        folding.unfold(np.zeros((3, 6), np.float32), 4, 2)


@each_shape
def test_a_vocoder_opens_alone_and_says_the_same(fields, tmp_path):
    vocoder = Vocoder(model(**fields), SPEC)
    log_mel = inputs(frames=11)[1][0].numpy()
    wave = vocoder.vocode(log_mel, seed=3, fold=0.004, overlap=0.001)
    assert wave.shape == (80,)
    assert wave.dtype == np.float32
    assert 0.05 < np.abs(wave).max() <= 1
    again = wavernn.load(vocoder.save(tmp_path / "one.safetensors"))
    np.testing.assert_array_equal(again.vocode(log_mel, seed=3, fold=0.004, overlap=0.001), wave)
    assert not np.array_equal(again.vocode(log_mel, seed=4, fold=0.004, overlap=0.001), wave)
    assert again.spec == SPEC


def test_drawn_in_chunks_is_drawn_at_once(monkeypatch):
    vocoder = Vocoder(model(), SPEC)
    log_mel, told = inputs(frames=11)[1][0].numpy(), []
    whole = vocoder.vocode(log_mel, fold=0.0)
    monkeypatch.setattr(wavernn.vocoder, "CHUNK", 0.002)
    np.testing.assert_allclose(vocoder.vocode(log_mel, fold=0.0, progress=told.append), whole, atol=1e-5)
    assert len(told) == 5
    assert told[-1] == 1


def test_a_batch_of_folds_is_each_fold_alone():
    from nbkit.kernels import wavernn_sampler

    made = model()
    with torch.no_grad():
        conditioning = made.condition(inputs(frames=11)[1][:1])[0].numpy()
    rows, uniforms = folding.fold(conditioning, 20, 0), np.random.default_rng(0).random((4, 20, 2), np.float32)
    together = wavernn_sampler.sample(made.weights(), rows, uniforms).x
    alone = [wavernn_sampler.sample(made.weights(), rows[n : n + 1], uniforms[n : n + 1]).x[0] for n in range(4)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_what_is_no_vocoder_is_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "no.safetensors"
    path.write_bytes(b"no")
    with pytest.raises(ValueError, match="cannot be read"):
        wavernn.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no description of nbkit"):
        wavernn.load(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"nbkit": json.dumps({"format": "nbkit.glow_tts.1"})})
    with pytest.raises(ValueError, match=r"format nbkit\.wavernn\.1, got 'nbkit\.glow_tts\.1'"):
        wavernn.load(path)


def test_mels_of_another_kind_are_refused():
    vocoder = Vocoder(model(), SPEC)
    vocoder.match(SPEC)
    other = MelSpec(rate=8000, window=64, hop=8, bands=5, high=3000.0)
    with pytest.raises(ValueError, match=f"high 4000, the mel has 3000.*{SPEC.fingerprint}.*{other.fingerprint}"):
        vocoder.match(other)
    with pytest.raises(ValueError, match="5 bands and hop 8, the mel has 80 and 256"):
        Vocoder(model(), MelSpec())
    with pytest.raises(ValueError, match="wants a finite mel"):
        vocoder.vocode(np.full((5, 4), math.nan))
    with pytest.raises(ValueError, match=r"wants a mel \[B, 5, F\]"):
        vocoder.vocode(np.zeros((4, 9)))


def test_a_wave_has_the_length_that_griffin_lim_gives():
    spec = MelSpec(rate=8000, window=64, hop=8, bands=5, high=4000.0)
    log_mel = audio.log_mel(0.1 * np.random.default_rng(0).standard_normal(100).astype(np.float32), spec)
    assert Vocoder(model(), spec).vocode(log_mel).shape == audio.griffin_lim(log_mel, spec, 1).shape
