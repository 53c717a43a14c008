"""Features and batches: pure functions of content and of (seed, step)."""

import json
from pathlib import Path

import numpy as np
import pytest

from nbkit.data import audio, manifest, speech, text
from nbkit.data.audio import AudioError, MelSpec
from nbkit.data.batches import epoch_order
from nbkit.data.speech import FeatureArchive, SpeechBatches, SpeechError, TokenReader, ValidationBatches


def tone(path: Path, hertz: float, seconds: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.save(
        path, (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(22050 * seconds)) / 22050)).astype(np.float32), 22050
    )
    return path


def archive(files):
    made = FeatureArchive("tones", MelSpec())
    made.extract(files)
    return made


def test_features_are_extracted_once_and_found_by_content(tmp_path, monkeypatch):
    files = [tone(tmp_path / f"{hz}.wav", hz, 0.5) for hz in (200, 400)]
    first = archive(files).log_mel(files[1])
    calls = []
    monkeypatch.setattr(audio, "log_mel", lambda *a: calls.append(a))
    again = archive(files)
    np.testing.assert_array_equal(again.log_mel(files[1]), first)
    moved = files[0].rename(tmp_path / "moved.wav")
    assert archive([moved, files[1]]).frames(moved) == 44
    assert not calls


def test_a_changed_recording_is_extracted_anew(tmp_path):
    path = tone(tmp_path / "a.wav", 200, 0.5)
    before = archive([path]).log_mel(path)
    tone(path, 300, 0.5)
    assert not np.array_equal(archive([path]).log_mel(path), before)


def test_an_interrupted_extraction_goes_on(tmp_path):
    files = [tone(tmp_path / f"{hz}.wav", hz, 0.5) for hz in (200, 300, 400)]
    whole = archive(files)
    wanted = [whole.log_mel(path) for path in files]
    lines = whole.index_path.read_bytes().split(b"\n")
    whole.index_path.write_bytes(lines[0] + b"\n" + lines[1][:25])
    with open(whole.path, "r+b") as stream:
        stream.truncate(whole.path.stat().st_size // 2)
    found = archive(files)
    for path, mel in zip(files, wanted):
        np.testing.assert_array_equal(found.log_mel(path), mel)
    assert all(json.loads(line) for line in found.index_path.read_text().splitlines())


@pytest.mark.parametrize("line", [bytes(50), b"\xff\xfe{", b"3", b"null", b"[1]", b"{}", b'{"offset": "a"}'])
def test_a_spoilt_line_of_the_index_is_passed_over(tmp_path, line):
    files = [tone(tmp_path / "a.wav", 220, 1)]
    made = archive(files)
    kept = made.index_path.read_bytes()
    made.index_path.write_bytes(line + b"\n" + kept)
    assert archive(files).frames(files[0]) == made.frames(files[0])
    assert made.index_path.read_bytes() == kept, "an extraction removes it"


@pytest.mark.parametrize("change", [lambda content: content[:100], lambda content: bytes(len(content))])
def test_features_that_changed_are_told_and_extracted_anew(tmp_path, change):
    files = [tone(tmp_path / "a.wav", 220, 1), tone(tmp_path / "b.wav", 330, 1)]
    made = archive(files)
    before = made.log_mel(files[1])
    made.path.write_bytes(change(made.path.read_bytes()))
    with pytest.raises(SpeechError, match=r"the features of b\.wav that were written, .*remove it and run again"):
        made.log_mel(files[1])
    made.path.unlink()
    with pytest.raises(SpeechError, match="wanted features to read"):
        made.log_mel(files[1])
    np.testing.assert_array_equal(archive(files).log_mel(files[1]), before)


def test_what_was_not_extracted_is_named(tmp_path):
    made, later = archive([tone(tmp_path / "a.wav", 220, 1)]), tone(tmp_path / "b.wav", 220, 1)
    for call in (made.frames, made.log_mel):
        with pytest.raises(SpeechError, match=r"wanted features of .*b\.wav, got none, .* extract\(\) them first"):
            call(later)
    with pytest.raises(AudioError, match=r"c\.wav: log_mel: wanted a wave .*leave shorter ones out"):
        archive([tone(tmp_path / "c.wav", 220, 0.01)])


def test_a_missing_recording_is_named(tmp_path):
    with pytest.raises(SpeechError, match=r"expected the recording .*gone.wav, it is not there"):
        archive([tmp_path / "gone.wav"])


@pytest.mark.parametrize(("items", "batch"), [(23, 8), (24, 8), (5, 5), (7, 3), (100, 4)])
def test_an_epoch_holds_every_item_and_full_batches(items, batch):
    lengths = np.random.default_rng(0).integers(10, 900, items)
    order = epoch_order(lengths, batch, seed=1, epoch=4)
    assert order.shape == (-(-items // batch), batch)
    assert set(order.ravel()) == set(range(items))
    np.testing.assert_array_equal(order, epoch_order(lengths, batch, seed=1, epoch=4))
    if items > batch:
        assert not np.array_equal(order, epoch_order(lengths, batch, seed=1, epoch=5))
        assert not np.array_equal(order, epoch_order(lengths, batch, seed=2, epoch=4))


def test_bucketing_saves_padding():
    lengths = np.random.default_rng(0).integers(100, 900, 512)

    def padding(order):
        return 1 - lengths[order].sum() / (lengths[order].max(1) * order.shape[1]).sum()

    shuffled = np.random.default_rng(1).permutation(512).reshape(-1, 16)
    assert padding(epoch_order(lengths, 16, 0, 0)) < 0.3 * padding(shuffled)


@pytest.fixture
def rows():
    dataset = manifest.open_dataset("espeak_ko", 12)
    features = FeatureArchive(dataset.name, MelSpec())
    features.extract([row.audio for row in dataset.rows])
    reader = TokenReader(text.front_end("jamo", "ko"))
    return speech.examples(dataset, "train", reader, features), features


def test_batches_are_a_function_of_the_step_and_parts_make_the_whole(rows):
    examples, features = rows
    whole = SpeechBatches(examples, features, 5, seed=0)
    for n in (0, 3, 17):
        batch = whole[n]
        parts = [SpeechBatches(examples, features, 5, seed=0, part=p, parts=2)[n] for p in (0, 1)]
        assert sorted(np.concatenate([part.items for part in parts])) == sorted(batch.items)
        np.testing.assert_array_equal(SpeechBatches(examples, features, 5, seed=0)[n].mel, batch.mel)
        for b, item in enumerate(batch.items):
            T, F = batch.token_lengths[b], batch.frame_lengths[b]
            np.testing.assert_array_equal(batch.tokens[b, :T], examples[item].tokens)
            np.testing.assert_array_equal(batch.mel[b, :, :F], features.log_mel(examples[item].row.audio).T)
            assert not batch.tokens[b, T:].any()
            assert not batch.mel[b, :, F:].any()
    with pytest.raises(ValueError, match="cannot be shared by 6"):
        SpeechBatches(examples, features, 5, seed=0, parts=6)


def test_validation_sees_each_row_once(rows):
    examples, features = rows
    seen = []
    for part in (0, 1):
        batches = ValidationBatches(examples, features, 3, part, 2)
        seen += [item for n in range(len(batches)) for item in batches[n].items]
    assert sorted(seen) == list(range(len(examples)))


def test_blank_tokens_stand_between_all_and_survive_a_checkpoint():
    plain, spaced = (TokenReader(text.front_end("jamo", "ko"), blank) for blank in (False, True))
    ids = plain.read("가다.").ids
    found = spaced.read("가다.")
    np.testing.assert_array_equal(found.ids[1::2], ids)
    assert set(found.ids[::2]) == {len(plain.symbols)}
    assert found.symbols[0] == found.symbols[-1] == speech.BLANK
    again = TokenReader.from_dict(json.loads(json.dumps(spaced.as_dict())))
    np.testing.assert_array_equal(again.read("가다.").ids, found.ids)
