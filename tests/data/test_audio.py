"""Sound files read, written and refused; mels against another implementation; waves back from mels."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nbkit.data import audio
from nbkit.data.audio import AudioError, MelSpec

RATE = 22050
SPEC = MelSpec()


def tone(hertz: float = 440.0, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def write(path: Path, wave: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


# --- reading


def test_load_averages_channels_and_keeps_the_level(tmp_path: Path) -> None:
    stereo = np.stack([tone(level=0.5), np.zeros_like(tone())], axis=1)
    wave = audio.load(write(tmp_path / "a.wav", stereo), RATE)
    assert wave.dtype == np.float32
    assert wave.shape == tone().shape
    np.testing.assert_allclose(wave, tone(level=0.25), atol=2 / 32768)


def test_another_rate_is_refused_unless_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(1000.0))
    with pytest.raises(AudioError, match=r"a\.wav: wanted 16000 Hz, got 22050 Hz; .*resample=True"):
        audio.load(path, 16000)
    wave = audio.load(path, 16000, resample=True)
    assert len(wave) == round(len(tone()) * 16000 / RATE)
    loudest = np.fft.rfftfreq(len(wave), 1 / 16000)[np.abs(np.fft.rfft(wave)).argmax()]
    assert loudest == pytest.approx(1000.0, abs=3)


def test_resampling_a_full_scale_square_stays_in_range(tmp_path: Path) -> None:
    square = np.sign(tone(100.0)) * np.float32(0.999)
    assert np.abs(audio.load(write(tmp_path / "a.wav", square), 16000, resample=True)).max() <= 1


def bad_files(folder: Path) -> dict[str, Path]:
    broken = tone()
    broken[100] = np.nan
    endless = tone()
    endless[7] = np.inf
    files = {
        "got nothing there": folder / "absent.wav",
        "got no samples": write(folder / "no_samples.wav", tone()[:0]),
        "1 NaN or infinite": write(folder / "nan.wav", broken, subtype="FLOAT"),
        "NaN or infinite ones": write(folder / "inf.wav", endless, subtype="FLOAT"),
        "got a peak of 1.500": write(folder / "loud.wav", tone(440.0, level=1.5), subtype="DOUBLE"),
        "got silence": write(folder / "silent.wav", np.zeros(RATE, np.float32)),
    }
    contents = write(folder / "whole.wav", tone()).read_bytes()
    files["got 0 bytes"] = folder / "empty.wav"
    files["cut short"] = folder / "cut.wav"
    files["do not read as one"] = folder / "page.wav"
    files["got 0 bytes"].write_bytes(b"")
    files["cut short"].write_bytes(contents[: len(contents) // 2])
    files["do not read as one"].write_bytes(b"<html>too many requests</html>")
    return files


def test_each_bad_file_is_refused_with_its_path_and_reason(tmp_path: Path) -> None:
    for reason, path in bad_files(tmp_path).items():
        with pytest.raises(AudioError) as caught:
            audio.load(path, RATE)
        message = str(caught.value)
        assert message.startswith(f"{path}: wanted "), message
        assert reason in message
        assert "; " in message.split("got", 1)[1], f"no remedy: {message}"


def test_what_a_telephone_keeps_is_told_how_to_become_sound(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
    with pytest.raises(AudioError, match=r"`ffmpeg -i a\.m4a a\.wav` makes a WAV of it"):
        audio.load(tmp_path / "a.m4a", RATE)


def test_a_cut_flac_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    soundfile.write(tmp_path / "a.flac", noise, RATE)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:20000])
    with pytest.raises(AudioError, match=r"cut short|do not read"):
        audio.load(tmp_path / "a.flac", RATE)


def test_a_streamed_wav_with_an_open_length_loads(tmp_path: Path) -> None:
    contents = bytearray(write(tmp_path / "a.wav", tone()).read_bytes())
    at = contents.index(b"data") + 4
    contents[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(contents)
    assert len(audio.load(tmp_path / "a.wav", RATE)) == len(tone())


# --- writing


def test_saved_samples_come_back_exactly(tmp_path: Path) -> None:
    wave = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.float32) / 32768
    audio.save(tmp_path / "new" / "a.wav", wave, RATE)
    np.testing.assert_array_equal(audio.load(tmp_path / "new" / "a.wav", RATE), wave)
    assert soundfile.info(tmp_path / "new" / "a.wav").subtype == "PCM_16"


def test_save_refuses_rather_than_clips_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    audio.save(path, tone(), RATE)
    before = path.read_bytes()
    nan = tone()
    nan[3] = np.nan
    bad = {
        "NaN": nan,
        "peak of 1.2": tone(1000.0, level=1.2),
        "int16": tone().astype(np.int16),
        "2, 10": np.zeros((2, 10)),
    }
    for reason, wave in bad.items():
        with pytest.raises(AudioError, match=reason):
            audio.save(path, wave, RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path], "a part of a file is left"


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    audio.save(path, tone(), RATE)
    before = path.read_bytes()

    def full_disk(file, *_args, **_named) -> None:
        file.write(b"RIFF")
        raise OSError("no space left on device")

    monkeypatch.setattr(soundfile, "write", full_disk)
    with pytest.raises(OSError, match="no space"):
        audio.save(path, tone(880.0), RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- mels


def test_golden_log_mel(golden: Path) -> None:
    stored = sorted(golden.glob("mel_*.npz"))
    assert stored, f"no mel_*.npz in {golden}"
    for path in stored:
        with np.load(path) as arrays:
            mel = audio.log_mel(arrays["wav"].astype(np.float32) / 32768, SPEC)
            np.testing.assert_allclose(mel, arrays["log_mel"], atol=1e-4, rtol=0)
        assert mel.dtype == np.float32


def test_filters_agree_with_librosa() -> None:
    import librosa

    for spec in (SPEC, MelSpec(rate=16000, window=512, hop=160, bands=40, low=50.0, high=7600.0)):
        theirs = librosa.filters.mel(sr=spec.rate, n_fft=spec.window, n_mels=spec.bands, fmin=spec.low, fmax=spec.high)
        np.testing.assert_allclose(audio._mel_bank(spec), theirs, atol=1e-7)


def test_louder_by_a_factor_is_higher_by_its_logarithm() -> None:
    quiet = audio.log_mel(np.random.default_rng(0).normal(0, 0.01, RATE), SPEC)
    loud = audio.log_mel(np.random.default_rng(0).normal(0, 0.01, RATE) * 10, SPEC)
    np.testing.assert_allclose(loud - quiet, np.log(10), atol=1e-3)


@pytest.mark.parametrize("samples", [513, 1023, 1024, 5119, 5120, 5121, 22050])
def test_frames_counts_what_log_mel_gives(samples: int) -> None:
    assert audio.log_mel(np.ones(samples), SPEC).shape == (80, SPEC.frames(samples))


def test_boundary_says_where_a_frame_begins_without_a_bias() -> None:
    late = []
    for onset in range(10000, 10000 + SPEC.hop, 16):
        wave = np.zeros(RATE, np.float32)
        wave[onset:] = tone(1000.0, seconds=1)[: RATE - onset]
        mel = audio.log_mel(wave, SPEC)
        loudness = np.exp(mel[mel[:, -10].argmax()])  # of the tone's own band
        first = int((loudness > loudness[-10] / 2).argmax())
        late.append(SPEC.boundary(first) * RATE - onset)
    assert abs(np.mean(late)) < SPEC.hop / 4, "half a hop would be the error of taking a frame's centre for its start"
    assert SPEC.boundary(0) == 0.0


def test_short_and_broken_waves_are_refused() -> None:
    with pytest.raises(AudioError, match="513 samples or more, got"):
        audio.log_mel(np.ones(512), SPEC)
    with pytest.raises(AudioError, match="finite"):
        audio.log_mel(np.full(2000, np.nan), SPEC)
    assert audio.log_mel(np.zeros(2000), SPEC).max() == pytest.approx(np.log(SPEC.floor))
    with pytest.raises(AudioError, match=r"wanted a float wave .*, got int16; divide int16 samples by 32768"):
        audio.log_mel((30000 * tone()).astype(np.int16), MelSpec())


# --- the description of a mel


def test_every_field_moves_the_fingerprint_and_survives_a_dict() -> None:
    changed = {"rate": 24000, "window": 2048, "hop": 275, "bands": 64, "low": 40.0, "high": 7600.0, "floor": 1e-4}
    specs = [SPEC] + [MelSpec(**{name: value}) for name, value in changed.items()]
    assert len({spec.fingerprint for spec in specs}) == len(specs)
    for spec in specs:
        again = MelSpec.from_dict({name: float(value) for name, value in spec.as_dict().items()})
        assert again == spec
        assert again.fingerprint == spec.fingerprint
        assert type(again.hop) is int
    assert MelSpec(low=0, high=8000).fingerprint == SPEC.fingerprint


def test_impossible_specs_are_refused() -> None:
    for values in ({"hop": 0}, {"hop": 2048}, {"high": 12000.0}, {"low": 9000.0}, {"floor": 0.0}, {"window": 1023}):
        with pytest.raises(AudioError, match="wanted"):
            MelSpec(**values)
    with pytest.raises(AudioError, match="wanted the fields"):
        MelSpec.from_dict({"rate": 22050})
    with pytest.raises(AudioError, match="fewer bands"):
        audio.log_mel(np.ones(2000), MelSpec(bands=300))


# --- back to a wave


def test_griffin_lim_gives_back_a_wave_with_nearly_the_same_mel(real_data: Path) -> None:
    clips = sorted((real_data / "ljspeech_sample" / "wavs").glob("*.wav"))[:3]
    assert clips
    for clip in clips:
        wave = audio.load(clip, RATE)[: 3 * RATE]
        mel = audio.log_mel(wave, SPEC)
        started = time.process_time()
        again = audio.griffin_lim(mel, SPEC)
        assert time.process_time() - started < 5, "60 iterations of 3 s are to take well under a second"
        assert again.dtype == np.float32
        assert len(again) == (mel.shape[1] - 1) * SPEC.hop
        assert np.abs(again).max() <= 1
        distance = np.abs(audio.log_mel(again, SPEC) - mel).mean()
        assert distance < 0.15, f"{clip.name}: {distance:.3f} (no iteration at all gives 0.68)"
        assert 0.8 < again.std() / wave.std() < 1.1


def test_griffin_lim_finds_the_pitch_and_repeats_itself() -> None:
    mel = audio.log_mel(tone(440.0, seconds=1.0), SPEC)
    first, second = audio.griffin_lim(mel, SPEC, iterations=20), audio.griffin_lim(mel.copy(), SPEC, iterations=20)
    np.testing.assert_array_equal(first, second)
    loudest = np.fft.rfftfreq(len(first), 1 / RATE)[np.abs(np.fft.rfft(first)).argmax()]
    assert loudest == pytest.approx(440.0, abs=20)


def test_griffin_lim_scales_down_what_would_clip_and_refuses_nonsense() -> None:
    mel = audio.log_mel(tone(level=0.9), SPEC)
    assert np.abs(audio.griffin_lim(mel + 2, SPEC, iterations=5)).max() == pytest.approx(1.0)
    with pytest.raises(AudioError, match=r"wanted a mel \[80, F\]"):
        audio.griffin_lim(mel.T, SPEC)
    with pytest.raises(AudioError, match="finite"):
        audio.griffin_lim(mel * np.nan, SPEC)
