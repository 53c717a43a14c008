"""What stands where on the pictures of sound and on the curves."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbkit.views import signal

RATE, HOP = 22050, 256


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def ticks(ax) -> dict[str, float]:
    return {label.get_text(): place for label, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}


@pytest.mark.parametrize("hertz", [500, 1000, 4000])
def test_a_tone_falls_on_its_tick(hertz: int):
    librosa = pytest.importorskip("librosa")
    wave = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    mel = librosa.feature.melspectrogram(y=wave, sr=RATE, n_fft=1024, hop_length=HOP, n_mels=80, fmax=8000, power=1)
    ax = signal.spectrogram(np.log(np.maximum(mel, 1e-5)), rate=RATE, hop=HOP)
    assert ticks(ax)[f"{hertz:,}"] == pytest.approx(mel.mean(axis=1).argmax(), abs=0.75)


def test_spectrogram_is_in_seconds_and_decibel():
    mel = np.linspace(-11, 0, 80 * 100).reshape(80, 100)
    ax = signal.spectrogram(mel, rate=RATE, hop=HOP)
    image = ax.images[0]
    assert image.get_extent()[:2] == [0, pytest.approx(100 * HOP / RATE)]
    assert image.get_clim() == (pytest.approx(-80), pytest.approx(0))
    assert (ax.get_xlabel(), ax.get_ylabel(), image.colorbar.ax.get_ylabel()) == ("seconds", "Hz", "dB")
    assert image.get_array()[0, 0] == pytest.approx(-95.5, abs=0.1)


def test_difference_is_centred_on_white():
    mel = np.zeros((80, 50), np.float32)
    other = mel.copy()
    other[10:20] = 1.0
    image = signal.difference(mel, other, rate=RATE, hop=HOP).images[0]
    assert image.get_clim()[0] == -image.get_clim()[1] == pytest.approx(-8.686, abs=1e-3)
    assert image.get_array().min() == pytest.approx(-8.686, abs=1e-3)
    with pytest.raises(ValueError, match=r"\(80, 50\) and \(80, 49\)"):
        signal.difference(mel, other[:, :49], rate=RATE, hop=HOP)


def test_waveform_keeps_every_peak():
    wave = np.zeros(5 * RATE, np.float32)
    wave[12345] = 0.7
    ax = signal.waveform(wave, RATE)
    low, high = ax.collections[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == (0, pytest.approx(0.7))
    assert ax.get_xlim() == (0, pytest.approx(5))
    with pytest.raises(ValueError, match=r"wave \[S\]"):
        signal.waveform(wave[None], RATE)


def test_mark_leaves_out_labels_that_would_cover_others():
    ax = signal.waveform(np.ones(RATE, np.float32), RATE)
    signal.mark(ax, [("가자고", 0.0, 0.5), ("말해", 0.5, 1.0)])
    assert [text.get_text() for text in ax.texts] == ["가자고", "말해"]
    assert sorted(line.get_xdata()[0] for line in ax.lines) == [0.0, 0.5, 1.0]
    crowded = signal.waveform(np.ones(RATE, np.float32), RATE)
    signal.mark(crowded, [("ᄒ", i / 400, (i + 1) / 400) for i in range(400)])
    crowded.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in crowded.texts]
    assert 20 < len(boxes) < 400
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_curves_of_both_splits_skip_what_is_not_finite():
    rows = [{"step": i, "split": "train", "loss": 1.0 / i, "text": "가"} for i in range(1, 301)]
    rows += [{"step": 150, "split": "validation", "loss": 0.5}, {"step": 300, "split": "validation", "loss": "nan"}]
    rows += [{"step": 301, "split": "train", "loss": float("inf")}]
    raw, smooth, validation = signal.curves(rows, "loss").lines
    assert raw.get_xdata()[-1] == 300
    assert smooth.get_ydata().size == 300
    assert np.ptp(np.diff(smooth.get_ydata())) < np.ptp(np.diff(raw.get_ydata()))
    assert validation.get_xydata().tolist() == [[150, 0.5]]


def test_smoothing_keeps_a_straight_line():
    line = np.linspace(3, 1, 1000)
    smooth = signal._smooth(line)
    assert np.allclose(smooth[12:-12], line[12:-12])
    assert np.allclose(smooth, line, atol=0.013), "the window is cut at the ends, by no more than half of it"


def test_curves_of_several_keys_are_named():
    rows = [{"step": i, "mle": -i, "duration_loss": i} for i in range(5)]
    ax = signal.curves(rows, ["mle", "duration_loss", "absent"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mle, training", "duration loss, training"]
