"""What a recogniser makes of a voice, with a recogniser that is told what it hears."""

from __future__ import annotations

import numpy as np
import pytest

from nbkit.data import audio, manifest
from nbkit.data.audio import MelSpec
from nbkit.tasks import evaluate_speech, glow_tts, intelligibility, voices
from nbkit.tasks.evaluate_speech import EvaluateSpeech
from nbkit.tasks.intelligibility import Ear, Said


class Listener:
    """Understands a wave by its length in samples, or half of it if it was told so; never heard is silence."""

    def __init__(self, known: dict[int, str]):
        self.known = known

    def hear(self, wave: np.ndarray, rate: int) -> str:
        return self.known.get(len(wave), "")


@pytest.fixture
def rows():
    return manifest.open_dataset("espeak_en", 24).rows[:4]


def test_rates_are_those_of_all_sentences_together():
    heard = intelligibility.score(["the cat", ""], ["the cat", "a dog barks"], Ear(Listener({})))
    assert heard.sentences == 2
    assert heard.cer.value == pytest.approx(9 / 15)  # not the mean of 0 and 1
    assert heard.wer.value == pytest.approx(3 / 5)
    assert heard.cer.low <= heard.cer.value <= heard.cer.high
    assert heard.kinds == "0, 3, 0"


def test_two_hearings_are_compared_sentence_by_sentence():
    """Sentences differ far more than the two hearings do; the paired interval is narrow all the same."""
    said = ["a" * 10] * 20
    one = intelligibility.score(["a" * (n % 10) for n in range(20)], said, Ear(Listener({})))
    other = intelligibility.score(["a" * (n % 10 + 1) for n in range(20)], said, Ear(Listener({})))
    beyond = one.against(other).beyond
    assert beyond
    assert beyond == pytest.approx((0.1, 0.1, 0.1))
    assert one.cer.high - one.cer.low > 0.1


def test_numbers_are_compared_as_they_are_read():
    assert intelligibility.score(["3시"], ["세 시"], Ear(Listener({}), "ko")).cer.value == 0


@pytest.mark.parametrize(("heard", "said"), [([], []), (["a"], ["a", "b"])])
def test_a_missing_text_is_named(heard, said):
    with pytest.raises(ValueError, match="a text for each"):
        intelligibility.score(heard, said, Ear(Listener({})))


def test_each_row_stands_for_one_part(rows):
    """The recordings are understood, their copies too, the voice is not, and against another text nothing is right."""
    spec = MelSpec()
    waves = [audio.load(row.audio, spec.rate, resample=True) for row in rows]
    copies = [len(audio.griffin_lim(audio.log_mel(wave, spec), spec, 1)) for wave in waves]
    known = {len(wave): row.text for wave, row in zip(waves, rows)} | dict(zip(copies, (row.text for row in rows)))
    silent = [np.zeros(7, np.float32)] * len(rows)
    said = {"known": Said(rows[:2], waves[:2], waves[:2]), "new": Said(rows[2:], waves[2:], silent[2:])}
    found = intelligibility.compare(Ear(Listener(known), "en"), said, spec)
    values = {name: one.cer.value for name, one in found.items()}
    assert values.pop("recordings against another text") > 0.5
    assert values == {
        "recordings": 0.0,
        "recordings through Griffin-Lim": 0.0,
        "known sentences, spoken": 0.0,
        "new sentences, spoken": 1.0,
    }
    assert found["recordings"].beyond is None
    assert [str(found[f"{name} sentences, spoken"].beyond).split()[0] for name in said] == ["0.000", "1.000"]
    assert next(line[:2] for line in intelligibility.table(found)) == ("recordings", 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two checkpoints that nobody trained, on English."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OUTPUTS", "CACHE"):
            patch.setenv(f"NBKIT_{name}", str(tmp_path_factory.mktemp(name.lower())))
        task = glow_tts.GlowTTSTask(glow_tts.GlowTTSTrain.preset("smoke", dataset="espeak_en"))
        weights = {f"model.{name}": tensor for name, tensor in task.untrained()["model"].state_dict().items()}
        with task.record() as record:
            for step in (1, 2):
                task.store(record).save(step, weights, {}, task.contents())
        yield str(record.folder)


def test_a_voice_is_measured_on_the_sentences_of_its_run(run):
    """The run learnt from 24 sentences of English; the parameter says Korean, and all of them."""
    dataset = voices.learnt_from(run)
    newest = voices.learnt_from(next(iter(intelligibility.checkpoints(run).values())))
    assert dataset
    assert newest
    assert (dataset.name, len(dataset.rows)) == ("espeak_en", 24)
    assert newest.fingerprint == dataset.fingerprint
    bench = evaluate_speech.Bench(EvaluateSpeech(dataset="espeak_ko", source=run, count=3))
    said = evaluate_speech.spoken(bench)
    new = {row.id for row in said["new"].rows}
    assert new == {row.id for row in dataset.split("validation")}
    assert not new & {row.id for row in said["known"].rows}
    bench.ear = Ear(Listener({}), "en")
    failed = evaluate_speech.failures_of_the_voice(bench, said, evaluate_speech.understood(bench, said), each=2)
    assert {one.title for one in failed} == {"known sentence, CER 1.00", "new sentence, CER 1.00"}
    assert all(one.caption.endswith("| heard: ") for one in failed)
    lines = evaluate_speech.of_the_voice(bench, said)
    assert {line[0] for line in lines} == {"known", "new"}


def test_every_checkpoint_is_heard(run, rows):
    found = intelligibility.by_step(Ear(Listener({})), run, rows[:2], 0.333)
    assert list(found) == sorted(intelligibility.checkpoints(run))
    assert len(found) == 2
    assert {one.cer.value for one in found.values()} == {1.0}
    assert list(intelligibility.by_step(Ear(Listener({})), run, rows[:2], 0.333, most=1)) == [2]


def test_an_export_names_no_data_set(tmp_path):
    assert voices.learnt_from(tmp_path / "voice.safetensors") is None
