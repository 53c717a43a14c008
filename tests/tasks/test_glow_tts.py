"""The Glow-TTS task: from made-up speech to a voice, on the smallest amount of everything."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from nbkit.base.record import Record
from nbkit.data import text
from nbkit.data.speech import SpeechError, TokenReader
from nbkit.models import glow_tts
from nbkit.models.glow_tts import config as sizes
from nbkit.models.glow_tts.reference import their_name as theirs
from nbkit.tasks import voices
from nbkit.tasks.glow_tts import GlowTTSTask, GlowTTSTrain
from nbkit.train.loop import fit
from nbkit.train.store import CheckpointStore

NANO = dict(hidden=16, filter=16, duration_filter=8, encoder_layers=1, blocks=2, decoder_hidden=8, decoder_layers=2)


@pytest.fixture
def nano(monkeypatch):
    monkeypatch.setitem(sizes.SIZES, "tiny", NANO)


def config(**values):
    return GlowTTSTrain.from_dict({"utterances": 12, "stop_at": 3, "batch_size": 4} | values)


def train(given):
    task = GlowTTSTask(given)
    with task.record() as run:
        return task, fit(task, given, task.store(run), run), run


def test_trains_speaks_exports_and_opens_again(nano, tmp_path):
    task, result, run = train(config())
    assert [row["step"] for row in run.rows("train")] == [1, 2, 3]
    kernels = json.loads((run.folder / "environment.json").read_text())[-1]["kernels"]
    assert kernels["normalise_and_mix"] == "torch: the fastest on a CPU"
    found = task.measure(result.modules)
    assert set(found) == {"boundary_error_ms", "known_mel_distance_db", "new_mel_distance_db"}
    text = task.train[0].row.text
    here = task.voice(result.modules).synthesise(text, seed=3)
    checkpoint = next(iter(CheckpointStore(run.folder / "checkpoints").steps().values()))
    for source in (run.name, checkpoint, task.export(result, run.folder)):
        voice = voices.open_voice(source)
        there = voice.synthesise(text, seed=3)
        np.testing.assert_array_equal(there.log_mel, here.log_mel)
        assert there.symbols == here.symbols
    spoken = voice.speak("안녕?")
    assert spoken.wave.dtype == np.float32
    assert len(spoken.wave) == pytest.approx(spoken.mel.durations.sum() * 256, abs=256)
    assert voices.newest_run() == run.name
    assert {path.suffix for path in (run.folder / "views").iterdir()} == {".png", ".npz", ".json"}


def test_bad_text_is_named(nano):
    task, result, run = train(config())
    voice = task.voice(result.modules)
    with pytest.raises(ValueError, match="got an empty one"):
        voice.speak("  ")
    with pytest.raises(ValueError, match=r"cannot read .*'漢'"):
        voice.speak("漢字")
    with pytest.raises(ValueError, match="wanted as speaker one of ko, got 'nobody'"):
        voice.speak("안녕", speaker="nobody")
    with pytest.raises(FileNotFoundError, match=rf"got no-such-run; runs: {run.name}"):
        voices.open_voice("no-such-run")


def test_a_voice_keeps_how_it_reads(nano):
    """Read as pronounced in training, in the checkpoint and in the export."""
    task, result, run = train(config(pronounce=True))
    said = task.reader.read("같이 3명").symbols
    assert said == TokenReader(text.front_end("jamo")).read("가치 세 명").symbols
    exported = task.export(result, run.folder)
    for source in (run.name, exported):
        assert voices.open_voice(source).reader.read("같이 3명").symbols == said
    assert train(config())[2].folder != run.folder


def test_a_child_outlives_its_parent(nano):
    """Once it has a checkpoint of its own, a run does not need what it started from."""
    import shutil

    _, _, parent = train(config())
    train(config(init_from=parent.name, stop_at=2, seed=5))
    shutil.rmtree(parent.folder)
    assert train(config(init_from=parent.name, stop_at=3, seed=5))[1].step == 3


def test_bf16_trains_and_searches_in_fp32(nano):
    """As on a GPU that has bf16: the search sees fp32 scores, and what is kept is fp32."""
    _, result, run = train(config(precision="bf16"))
    rows = run.rows("train")
    assert len(rows) == 3
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert {tensor.dtype for tensor in result.modules["model"].state_dict().values()} == {torch.float32}
    fp32 = train(config(precision="fp32"))[2].rows("train")
    assert rows[0]["loss"] == pytest.approx(fp32[0]["loss"], rel=0.02)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_trains_and_resumes_on_a_gpu(nano, precision):
    _, _, first = train(config(precision=precision, stop_at=3, save_every=3))
    _, result, again = train(config(precision=precision, stop_at=40))
    assert again.folder == first.folder
    rows = again.rows("train")
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert np.isfinite(rows[-1]["loss"])
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert next(result.modules["model"].parameters()).device.type == "cuda"
    assert voices.open_voice(again.name).synthesise("안녕").log_mel.shape[0] == 80


def test_phones_without_known_times(nano, monkeypatch):
    """A real recording has no true phones: they are read from its text, and nothing is measured against them."""
    from nbkit.data import manifest

    real = manifest.open_dataset

    def unknown(name, count=0):
        found = real(name, count)
        return dataclasses.replace(found, rows=[dataclasses.replace(row, phones=(), words=()) for row in found.rows])

    monkeypatch.setattr(manifest, "open_dataset", unknown)
    task, result, run = train(config(front_end="phones"))
    assert "boundary_error_ms" not in task.measure(result.modules)
    assert "boundary_error_ms" not in run.rows("validation")[-1]


def test_a_failing_probe_is_told_and_training_goes_on(nano, monkeypatch, capsys):
    from nbkit.models.glow_tts import Voice

    def broken(self, text, **how):
        raise ValueError("the mel is not finite")

    monkeypatch.setattr(Voice, "speak", broken)
    _, result, _ = train(config())
    assert result.step == 3
    assert "no pictures and sounds of step 0: ValueError: the mel is not finite" in capsys.readouterr().out


@pytest.mark.parametrize("blank", [False, True])
def test_truth_by_front_end(nano, blank):
    jamo = GlowTTSTask(config(blank=blank))
    example = jamo.train[0]
    segment_of, truth = jamo.segments(example)
    assert len(segment_of) == len(example.tokens)
    assert [label for label, *_ in truth] == example.row.text.replace(".", "").replace(",", "").rstrip("?!").split()
    for word, (label, *_) in enumerate(truth):
        spelled = "".join(s for s, w in zip(example.symbols, segment_of) if w == word and s != "<blank>")
        assert spelled[0] != " "
        assert len(spelled) >= len(label)
    phones = GlowTTSTask(config(front_end="phones", blank=blank))
    segment_of, truth = phones.segments(phones.train[0])
    assert set(segment_of[segment_of >= 0]) == set(range(len(truth)))
    assert phones.train[0].symbols[1 if blank else 0] == truth[0][0]


def test_a_perfect_alignment_has_almost_no_error(nano):
    """The truth itself, rounded to frames, is at most half a frame (5.8 ms) away from the truth."""
    from nbkit.evaluate.speech import boundary_errors

    task = GlowTTSTask(config(front_end="phones"))
    example = task.train[0]
    segment_of, truth = task.segments(example)
    edges = np.round(np.array([start for _, start, _ in truth]) / task.seconds_per_frame + 0.5).astype(int)
    edges[0] = 0
    durations = np.diff([*edges, example.frames])
    errors = boundary_errors(durations, segment_of, [t[1:] for t in truth], task.seconds_per_frame)
    assert np.median(errors) < 0.006


def test_init_from_matches_symbols(nano):
    _, result, run = train(config())
    child = GlowTTSTask(config(init_from=run.name, blank=True, seed=5))
    fresh = GlowTTSTask(config(blank=True, seed=5)).modules()["model"].state_dict()
    model, parent = child.untrained()["model"].state_dict(), result.modules["model"].state_dict()
    rows = "encoder.embedding.weight"
    torch.testing.assert_close(model[rows][:-1], parent[rows])
    torch.testing.assert_close(model[rows][-1], fresh[rows][-1])
    torch.testing.assert_close(model["decoder.blocks.1.mix.weight"], parent["decoder.blocks.1.mix.weight"])
    assert child.record().name != run.name
    sizes.SIZES["tiny"] = NANO | {"hidden": 32}
    with pytest.raises(ValueError, match="init_from wants a model of the same size"):
        GlowTTSTask(config(init_from=run.name)).untrained()


def test_init_from_starts_at_a_checkpoint_of_the_authors(nano, tmp_path):
    given = config(dataset="espeak_en", front_end="arpabet", blank=True)
    parent = GlowTTSTask(given).modules()["model"]
    state = {theirs(ours): tensor for ours, tensor in parent.state_dict().items()}
    state = {name: tensor[None] if "emb_rel" in name else tensor + 0.01 for name, tensor in state.items()}
    torch.save({"model": state}, tmp_path / "pretrained.pth")
    child = GlowTTSTask(dataclasses.replace(given, init_from=str(tmp_path / "pretrained.pth")))
    model = child.untrained()["model"].state_dict()
    row = child.reader.symbols.index("@AH0")
    torch.testing.assert_close(model["encoder.embedding.weight"][row], state["encoder.emb.weight"][row])
    torch.testing.assert_close(model["encoder.embedding.weight"], state["encoder.emb.weight"])
    assert train(child.config)[1].step == 3


def test_an_untrained_model_does_not_speak_for_hours(nano):
    task = GlowTTSTask(config())
    model = task.untrained()["model"]
    model.encoder.duration.projection.bias.data.fill_(12.0)
    mel = task.voice({"model": model}).synthesise("안녕")
    assert mel.durations.max() == pytest.approx(500, abs=1)
    model.encoder.duration.projection.bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="it has diverged"):
        task.voice({"model": model}).synthesise("안녕")


def test_the_same_parameters_find_the_same_run(nano):
    _, _, first = train(config(stop_at=2))
    task, result, again = train(config(stop_at=4, keep=1, workers=0))
    assert again.folder == first.folder
    assert result.step == 4
    assert [row["step"] for row in again.rows("train")] == [1, 2, 3, 4]
    assert train(config(stop_at=1, seed=1))[2].folder != first.folder
    assert train(config(stop_at=1, repeat=1))[2].name == f"{first.name}-1"
    assert list(CheckpointStore(again.folder / "checkpoints").steps()) == [4]
    assert Record.read(again.folder).config["parameters"]["stop_at"] == 4
    other = dataclasses.replace(task.config, utterances=13)
    assert GlowTTSTask(other).record().folder != first.folder


def test_several_speakers(nano, monkeypatch):
    from nbkit.data import manifest

    real = manifest.open_dataset

    def two_speakers(name, count=0):
        found = real(name, count)
        rows = [dataclasses.replace(row, speaker="ab"[i % 2]) for i, row in enumerate(found.rows)]
        return dataclasses.replace(found, rows=rows, speakers=("a", "b"))

    monkeypatch.setattr(manifest, "open_dataset", two_speakers)
    _, result, run = train(config())
    assert result.modules["model"].speaker.weight.shape[0] == 2
    voice = voices.open_voice(run.name)
    mels = [voice.synthesise("안녕", speaker=speaker, noise_scale=0.0).log_mel for speaker in ("a", "b")]
    assert mels[0].shape != mels[1].shape or not np.allclose(*mels)


def test_text_longer_than_its_frames_is_named_before_training(nano, monkeypatch):
    from nbkit.data.speech import FeatureArchive

    monkeypatch.setattr(FeatureArchive, "frames", lambda self, path: 9)
    with pytest.raises(SpeechError, match=r"11 rows of espeak_ko cannot be used:\n.*tokens, but only 9 frames"):
        GlowTTSTask(config())


def test_paper_size_is_the_papers(nano):
    model = glow_tts.GlowTTS(glow_tts.sized("paper", vocabulary=148))
    assert sum(p.numel() for p in model.parameters()) == 28_623_889
