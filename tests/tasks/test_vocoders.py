"""Vocoders behind a voice and on recordings, with the smallest model that makes any sound."""

import dataclasses

import numpy as np
import pytest
import torch

from nbkit.data import audio
from nbkit.data.audio import MelSpec
from nbkit.models import wavernn
from nbkit.models.wavernn import Vocoder
from nbkit.tasks import glow_tts, vocoders, voices
from nbkit.tasks import wavernn as training

NANO = dict(stack=8, blocks=1, aux=4, hidden=16, grus=1, layers=12, bits=6)
SPEC = MelSpec()


@pytest.fixture(scope="module")
def vocoder():
    torch.manual_seed(0)
    shape = dict(bands=SPEC.bands, hop=SPEC.hop, scales=wavernn.scales_of(SPEC.hop), output="classes")
    return Vocoder(wavernn.WaveRNN(wavernn.WaveRNNConfig(**(NANO | shape))), SPEC)


def voiced(seconds=0.5, hertz=150.0):
    """A buzz with a pitch: sixteen harmonics that get weaker."""
    time = np.arange(round(seconds * SPEC.rate)) / SPEC.rate
    return (0.2 * sum(np.sin(2 * np.pi * hertz * n * time + n * n) / n for n in range(1, 17))).astype(np.float32)


class Perfect(Vocoder):
    """Gives the recording back, half as loud."""

    def vocode(self, log_mel, **how):
        return 0.5 * voiced()[: (log_mel.shape[1] - 1) * SPEC.hop]


def test_a_copy_holds_the_same_stretch_three_times(vocoder):
    copy = vocoders.Copy("buzz", voiced(), vocoder, seed=2, fold=0.2)
    assert tuple(copy.waves) == vocoders.WAYS
    assert {wave.shape for wave in copy.waves.values()} == {(11025 // 256 * 256,)}
    np.testing.assert_array_equal(copy.waves["WaveRNN"], vocoder.vocode(copy.log_mel, seed=2, fold=0.2))
    assert copy.took > 0


def test_vocoders_are_measured_against_the_recording(vocoder):
    perfect = vocoders.Copy("buzz", voiced(), Perfect(vocoder.model, SPEC))
    noise = vocoders.Copy("buzz", voiced(), vocoder)
    lines = {who: dict(zip(vocoders.HEADS, line)) for who, copy in (("perfect", perfect), ("noise", noise))
             for line in vocoders.measured([copy])[1:]}  # fmt: skip
    assert lines["perfect"]["MCD, dB"] == pytest.approx(0, abs=0.05)
    assert lines["perfect"]["level, dB"] == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert lines["perfect"]["voicing"] == 0
    assert lines["noise"]["voicing"] > 0.5
    assert lines["noise"]["MCD, dB"] > 5
    both = dict(zip(vocoders.HEADS, vocoders.measured([perfect, noise])[1]))
    means = [(lines["perfect"][name] + lines["noise"][name]) / 2 for name in ("MCD, dB", "level, dB")]
    assert [both["MCD, dB"], both["level, dB"]] == pytest.approx(means, abs=2e-3)
    silent = vocoders.Copy("nothing", np.zeros(9000, np.float32), vocoder)
    assert vocoders.measured([silent])[1] == ("WaveRNN", "-", "-", "-", "-", "-")


def test_seams_are_told_from_the_rest(vocoder):
    """A vocoder that is quiet for 20 ms at the beginning of each fold, unless it may begin early."""

    class Late(Vocoder):
        def vocode(self, log_mel, *, seed, fold=0.0, overlap=0.05):
            wave = voiced()[: (log_mel.shape[1] - 1) * SPEC.hop].copy()
            if fold and not overlap:
                for start in range(0, len(wave), round(fold * SPEC.rate)):
                    wave[start : start + 441] = 0
            return wave

    log_mel = audio.log_mel(voiced(), SPEC)
    row, fading, cut = vocoders.seams(Late(vocoder.model, SPEC), [log_mel, log_mel])
    assert [line[0] for line in (row, fading, cut)] == ["in one row", "folds that fade", "folds that are cut off"]
    assert row[1:] == fading[1:]
    assert cut[1] > row[1] + 1
    assert len(vocoders.seams(vocoder, [log_mel])) == 3


def test_speeds_are_of_one_row_and_of_several(vocoder):
    lines = vocoders.speeds(vocoder, audio.log_mel(voiced(), SPEC), (0.0, 0.25))
    assert [line[0] for line in lines] == ["1 row", "2 rows"]
    assert all(samples > 0 and times == round(samples / SPEC.rate, 3) for _, samples, times in lines)


def test_a_voice_speaks_through_a_vocoder(vocoder):
    name, hiss = glow_tts.smoke_run(), training.smoke_run()
    voice = voices.open_voice(name)
    plain, spoken = voice.speak("안녕", seed=3), voice.speak("안녕", seed=3, vocoder=vocoder)
    np.testing.assert_array_equal(plain.mel.log_mel, spoken.mel.log_mel)
    np.testing.assert_array_equal(spoken.wave, vocoder.vocode(plain.mel.log_mel, seed=3))
    assert not np.array_equal(plain.wave, spoken.wave)
    other = dataclasses.replace(SPEC, high=7600.0)
    with pytest.raises(ValueError, match=r"expects high 7600, the mel has 8000.*train either with the MelSpec"):
        voice.speak("안녕", vocoder=Vocoder(vocoder.model, other))
    assert vocoder.differences(other) == ["high 8000, the mel has 7600"]
    assert vocoder.differences(SPEC) == []
    assert vocoders.newest_run() == hiss
    text, wave = vocoders.recordings(hiss, vocoders.open_vocoder(hiss), 2)[0]
    kept = training.WaveRNNTask(training.WaveRNNTrain.preset("smoke")).dataset.split("validation")[0]
    assert text == kept.text
    np.testing.assert_array_equal(wave, audio.load(kept.audio, SPEC.rate))
