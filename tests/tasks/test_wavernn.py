"""The WaveRNN task: from recordings to a vocoder, on the smallest amount of everything."""

import numpy as np
import pytest
import soundfile
import torch

from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.data.speech import FeatureArchive
from nbkit.evaluate import tone
from nbkit.models.wavernn import config as sizes
from nbkit.tasks import vocoders, wavernn
from nbkit.tasks.wavernn import WaveRNNTask, WaveRNNTrain
from nbkit.tasks.wavernn_sine import FitSine, SineTask
from nbkit.train.loop import fit
from nbkit.train.store import CheckpointStore

NANO = dict(stack=8, blocks=1, aux=4, hidden=16, grus=2, layers=12, mixtures=2, bits=6)


@pytest.fixture(autouse=True)
def nano(monkeypatch):
    monkeypatch.setitem(sizes.SIZES, "tiny", NANO)


def config(**values):
    small = {"utterances": 12, "stop_at": 3, "batch_size": 4, "window": 1, "probe_seconds": 0.05}
    return WaveRNNTrain.from_dict(small | values)


def train(given, task_class=WaveRNNTask):
    task = task_class(given)
    with task.record() as run:
        return task, fit(task, given, task.store(run), run), run


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_trains_makes_sound_exports_and_opens_again():
    task, result, run = train(config())
    assert [row["step"] for row in run.rows("train")] == [1, 2, 3]
    assert run.rows("train")[0]["amount"] == {"samples": 4 * 256}
    assert 0 < run.rows("validation")[-1]["mel_error_db"] < 100
    log_mel = task.validation[0].log_mel()[:, :9]
    here = task.vocoder(result.modules).vocode(log_mel, seed=3)
    assert here.shape == (8 * 256,)
    checkpoint = next(iter(CheckpointStore(run.folder / "checkpoints").steps().values()))
    for source in (run.name, run.folder, checkpoint, task.export(result, run.folder)):
        np.testing.assert_array_equal(vocoders.open_vocoder(source).vocode(log_mel, seed=3), here)
    assert vocoders.newest_run() == run.name
    assert {path.suffix for path in (run.folder / "audio").iterdir()} == {".wav", ".json"}
    with pytest.raises(FileNotFoundError, match=rf"got no-such-run; runs: {run.name}"):
        vocoders.open_vocoder("no-such-run")


@pytest.mark.parametrize("output", ["mixture", "classes"])
def test_cut_and_resumed_is_the_uncut_run(output, monkeypatch, tmp_path):
    given = config(stop_at=6, save_every=2, output=output)
    whole = train(given)
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "other"))
    train(config(stop_at=4, save_every=2, output=output))
    cut = train(given)
    assert [row["step"] for row in cut[2].rows("train")] == [1, 2, 3, 4, 5, 6]
    assert same(whole[1].modules["model"].state_dict(), cut[1].modules["model"].state_dict())
    parted = train(config(stop_at=6, output=output, accumulate=2, repeat=1))
    rows = [run.rows("train")[0]["loss"] for _, _, run in (whole, parted)]
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)


def test_windows_are_a_function_of_seed_and_step():
    task = WaveRNNTask(config(window=3))
    batches = task.batches("train", 0, 1)
    again = WaveRNNTask(config(window=3)).batches("train", 0, 1)
    np.testing.assert_array_equal(batches[5].wave, again[5].wave)
    assert not np.array_equal(batches[5].wave, batches[6].wave)
    halves = [task.batches("train", part, 2)[5].wave for part in (0, 1)]
    assert {one.tobytes() for half in halves for one in half} == {one.tobytes() for one in batches[5].wave}


def test_the_mel_of_a_window_is_that_of_its_samples():
    task = WaveRNNTask(config(window=8))
    places = np.array([0, 40, sum(clip.frames - 8 for clip in task.train) - 1])
    windows = task.cut(task.train, places, np.zeros((3, 8 * 256 + 2), np.float32))
    assert windows.wave.shape == (3, 8 * 256 + 1)
    assert windows.log_mel.shape == (3, 80, 8 + 1 + 4)
    assert windows.wave[0, 0] == 0
    whole = audio.load(task.dataset.split("train")[0].audio, task.spec.rate)
    window = whole[40 * 256 - 1 : 48 * 256]
    before = np.concatenate([np.zeros(1, np.float32), whole])
    np.testing.assert_allclose(windows.wave[0, 1:], (whole - 0.85 * before[:-1])[: 8 * 256], atol=1e-6)
    np.testing.assert_allclose(windows.wave[1], window - 0.85 * whole[40 * 256 - 2 : 48 * 256 - 1], atol=1e-6)
    inner = audio.log_mel(window[1:], task.spec)[:, 2:-2]  # the others see what lies outside
    np.testing.assert_allclose(np.exp(windows.log_mel[1, :, 2 + 2 : -2 - 2]), np.exp(inner), atol=1e-3, rtol=1e-3)
    last = task.train[-1]
    np.testing.assert_array_equal(windows.log_mel[2, :, -3:], last.log_mel()[:, [-1, -1, -1]])


def test_there_is_no_exact_silence_to_learn():
    task = WaveRNNTask(config(window=3))
    whole, halves = task.batches("train", 0, 1)[2].wave, [task.batches("train", part, 2)[2].wave for part in (0, 1)]
    np.testing.assert_array_equal(halves[1], whole[1::2])
    assert (whole == 0).mean() < 1e-3
    held = task.batches("validation", 0, 1)
    np.testing.assert_array_equal(held[0].wave, task.batches("validation", 0, 1)[0].wave)
    draw = np.random.default_rng(0)
    noise = task.noise(draw, 4)
    assert np.abs(noise).max() <= 2.0**-12
    places = np.array([0, 1, 2, 40])
    silent = task.cut(task.train, places, 0 * noise).wave
    added = task.cut(task.train, places, noise).wave - silent
    np.testing.assert_allclose(added, noise[:, 1:] - 0.85 * noise[:, :-1], atol=1e-7)


def test_recordings_of_another_rate(tmp_path):
    wave = 0.5 * np.sin(np.arange(44100) / 44100 * 2 * np.pi * 300)
    soundfile.write(tmp_path / "fast.wav", wave, 44100, subtype="PCM_16")
    found = wavernn._read(tmp_path / "fast.wav", 22050, 5000, 6000)
    wanted = audio.load(tmp_path / "fast.wav", 22050, resample=True)[5000:6000]
    np.testing.assert_allclose(found, wanted, atol=1 / 32767)


def test_real_recordings(real_data):
    task, result, _ = train(config(dataset="ljspeech_sample", utterances=0))
    assert result.step == 3
    assert (len(task.train), len(task.validation)) == (22, 2)
    assert "22 recordings to learn from, 2 to check with" in repr(task)


def test_init_from_wants_the_same_shape():
    _, result, run = train(config())
    child = WaveRNNTask(config(init_from=run.name, seed=5))
    modules = child.modules()
    child.prepare(modules, None)
    assert same(result.modules["model"].state_dict(), modules["model"].state_dict())
    other = WaveRNNTask(config(init_from=run.name, output="mixture"))
    with pytest.raises(ValueError, match="init_from wants a WaveRNN of the same shape"):
        other.prepare(other.modules(), None)
    tone_task = SineTask(FitSine(init_from=run.name))
    with pytest.raises(ValueError, match="the vocoder expects rate 22050, the mel has 8000"):
        tone_task.prepare(tone_task.modules(), None)


def test_windows_longer_than_all_recordings_are_refused(monkeypatch):
    monkeypatch.setattr(FeatureArchive, "frames", lambda self, path: 150)
    with pytest.raises(ValueError, match=r"200 frames of 256 samples are longer.*shorten window"):
        WaveRNNTask(config(window=200))


@pytest.mark.parametrize("frequency", [80.0, 219.7, 951.0])
def test_a_tone_is_measured(frequency):
    seconds = np.arange(8000) / 8000
    draw = np.random.default_rng(0)
    wave = 0.5 * np.sin(2 * np.pi * frequency * seconds + 1) + 0.005 * draw.standard_normal(8000)
    found = tone.nearest(wave, 8000)
    assert found.frequency == pytest.approx(frequency, abs=0.02)
    assert found.amplitude == pytest.approx(0.5, abs=0.002)
    assert found.snr == pytest.approx(10 * np.log10(0.125 / 0.005**2), abs=0.3)
    assert tone.piecewise(wave, 8000).frequency == pytest.approx(frequency, abs=1)
    assert tone.nearest(draw.standard_normal(8000), 8000).snr < -15
    for bad in (np.zeros(100), np.full(100, np.nan), np.ones(4)):
        with pytest.raises(ValueError, match="a tone wants a finite wave"):
            tone.nearest(bad, 8000)
    with pytest.raises(ValueError, match="want a longer wave, got 20"):
        tone.piecewise(np.ones(20), 8000)


@pytest.mark.slow
def test_a_tone_is_learnt(monkeypatch):
    """In a few hundred steps the model hums the tone, at its pitch."""
    monkeypatch.setitem(sizes.SIZES, "tiny", dict(stack=32, blocks=2, aux=8, hidden=64, grus=1, layers=64))
    task, result, _ = train(FitSine(stop_at=150, evaluate_every=1000), SineTask)
    found = task.measure(result.modules)
    assert found.frequency == pytest.approx(220, rel=0.03)
    assert found.snr > 8
    assert tone.piecewise(task.hum(task.modules())[1600:], 8000).snr < 0
    folded = tone.piecewise(task.hum(result.modules, fold=0.25, overlap=0.05)[1600:], 8000)
    assert folded.frequency == pytest.approx(found.frequency, rel=0.02)


def test_the_sine_task_is_what_it_says():
    task = SineTask(FitSine())
    assert task.spec.rate == 8000
    assert MelSpec().fingerprint != task.spec.fingerprint
    assert tone.nearest(task.tone(1.0), 8000).frequency == pytest.approx(220, abs=0.01)
    window = task.batches("train", 0, 1)[0]
    assert window.wave.shape == (8, 4 * 64 + 1)
