import gzip
import itertools
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbkit.data import corpus, packing, sequences
from nbkit.data.corpus import Corpus
from nbkit.data.disk import DataError
from nbkit.data.packing import MaskedBatch, MaskedBatches, ValidationBatches
from nbkit.data.sequences import held_apart
from nbkit.data.texts import sentences
from nbkit.data.tokenizer import SPECIALS, Tokenizer, kobert
from nbkit.data.tokenizer_training import train

READINGS = [
    {},
    {"whole_word": True},
    {"context": "document", "max_length": 64},
    {"next_sentence": True},
    {"context": "document", "next_sentence": True, "whole_word": True},
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(sentences("ko", 2000), 700, coverage=0.98)


@pytest.fixture(scope="module")
def text(tokenizer, tmp_path_factory) -> Corpus:
    """Two thousand lines, no two alike, in documents of 1 to 12."""
    lines, made = iter(sentences("ko", 2000)), []
    while document := list(itertools.islice(lines, 1 + len(made) * 7 % 12)):
        made.append(document)
    return tokenised(made, tokenizer, tmp_path_factory.mktemp("text"))


def tokenised(documents: list[list[str]], tokenizer: Tokenizer, folder: Path) -> Corpus:
    (folder / "text.txt").write_text("\n\n".join("\n".join(d) for d in documents), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBKIT_CACHE", str(folder / "cache"))
        patch.setattr(corpus, "LINES", 300)
        return corpus.for_source(folder / "text.txt", tokenizer)


def same(one: MaskedBatch, other: MaskedBatch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other))


def restored(batch: MaskedBatch) -> np.ndarray:
    tokens = batch.tokens.copy()
    tokens[batch.masked] = batch.targets
    return tokens


def split(batch: MaskedBatch) -> list[tuple[bytes, bytes, bytes, bytes]]:
    """Of each sequence what is read, its types, what is to be guessed and where, and what follows: to be compared."""
    hidden = np.full(len(batch.tokens), -1)
    hidden[batch.masked] = batch.targets
    labels = batch.next_sentence if len(batch.next_sentence) else np.zeros(len(batch.boundaries) - 1)
    return [
        (batch.tokens[b:e].tobytes(), batch.types[b:e].tobytes(), hidden[b:e].tobytes(), label.tobytes())
        for b, e, label in zip(batch.boundaries[:-1], batch.boundaries[1:], labels, strict=True)
    ]


def texts(batch: MaskedBatch, tokenizer: Tokenizer) -> list[list[tuple[int, ...]]]:
    """Of each sequence its one or two texts, as they were; checks the specials around them."""
    whole, found = restored(batch), []
    for b, e in itertools.pairwise(batch.boundaries):
        row, types = whole[b:e], batch.types[b:e]
        ends = np.flatnonzero(row == tokenizer.sep)
        assert row[0] == tokenizer.cls
        assert (row == tokenizer.cls).sum() == 1
        assert ends[-1] == len(row) - 1
        assert types.tolist() == [0] * (ends[0] + 1) + [1] * (len(row) - ends[0] - 1)
        found.append([tuple(part[:-1].tolist()) for part in np.split(row[1:], ends[:-1])])
    return found


def lines_of(found: Corpus) -> list[tuple[int, ...]]:
    return [tuple(found.tokens[b:e].tolist()) for b, e in itertools.pairwise(found.starts)]


def test_pack_puts_encodings_behind_one_another(tokenizer):
    rows = [tokenizer.encode("바다가 보인다.", "산도 보인다."), tokenizer.encode("좋다")]
    packed = packing.pack(rows)
    assert packed.boundaries.tolist() == [0, len(rows[0].ids), len(rows[0].ids) + len(rows[1].ids)]
    assert packed.tokens.tolist() == [*rows[0].ids, *rows[1].ids]
    assert packed.types.tolist() == [*rows[0].types, *rows[1].types]
    bare = packing.pack([([2, 7, 3], [0, 0, 0])])
    assert (bare.tokens.tolist(), bare.tokens.dtype) == ([2, 7, 3], np.int64)
    assert packing.pack([]).boundaries.tolist() == [0]


@pytest.mark.parametrize("reading", READINGS)
def test_a_batch_depends_on_seed_and_number_alone(text, tokenizer, reading):
    asked = [0, 9, 3, 250, 4]
    one = MaskedBatches(text, tokenizer, batch_size=16, seed=1, **reading)
    first = {n: one[n] for n in asked}
    other = pickle.loads(pickle.dumps(MaskedBatches(text, tokenizer, batch_size=16, seed=1, **reading)))
    for n in reversed(asked):
        assert same(other[n], first[n]), n
    assert not same(first[3], first[4])
    assert not same(MaskedBatches(text, tokenizer, batch_size=16, seed=2, **reading)[3], first[3])


def test_batches_pickle_small(text, tokenizer):
    batches = MaskedBatches(text, tokenizer, batch_size=16)
    batches[0]
    assert len(pickle.dumps(batches)) < len(tokenizer.to_bytes()) + 2000


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_the_parts_of_a_batch_are_the_batch_with_the_same_masks(text, tokenizer, reading, parts):
    whole = split(MaskedBatches(text, tokenizer, batch_size=20, **reading)[5])
    found = []
    for part in range(parts):
        batch = MaskedBatches(text, tokenizer, batch_size=20, part=part, parts=parts, **reading)[5]
        assert len(batch.boundaries) - 1 == len(range(part, 20, parts))
        found += split(batch)
    assert sorted(found) == sorted(whole)


def test_each_line_comes_once_an_epoch_in_another_order(text, tokenizer):
    lines = lines_of(text)
    wanted = sorted(line for line, apart in zip(lines, held_apart(text)) if not apart)
    batches = MaskedBatches(text, tokenizer, batch_size=37, max_length=512)
    assert len(wanted) % 37, "a batch goes over the end of the epoch"
    found = [t for n in range(2 * len(wanted) // 37 + 1) for (t,) in texts(batches[n], tokenizer)]
    counted = batches._order(0), batches._order(1)
    assert not np.array_equal(*counted)
    # within a batch sequences are sorted, so an epoch is known but for its last, shared batch
    assert len(set(found[: len(wanted) // 37 * 37])) == len(wanted) // 37 * 37
    assert sorted(set(found)) == wanted
    assert max(found.count(line) for line in wanted[:50]) <= 3
    assert sum(found.count(line) for line in wanted[:50]) >= 98


def test_sequences_are_sorted_and_no_longer_than_asked_for(text, tokenizer):
    lines = set(lines_of(text))
    batch = MaskedBatches(text, tokenizer, batch_size=64, max_length=20)[0]
    sizes = np.diff(batch.boundaries)
    assert sizes.max() == 20
    assert (np.diff(sizes) <= 0).all()
    cut = {line[:18] for line in lines}
    assert all(t in cut for (t,) in texts(batch, tokenizer))


@pytest.mark.parametrize("whole_word", [False, True])
def test_masks_have_the_shares_of_bert(text, tokenizer, whole_word):
    batches = MaskedBatches(text, tokenizer, batch_size=256, whole_word=whole_word, max_length=128, context="document")
    pieces, shown, target, shares = 0, [], [], []
    for n in range(40):
        batch = batches[n]
        whole = restored(batch)
        assert (batch.targets >= len(SPECIALS)).all(), "a special is to be guessed"
        assert (np.diff(batch.masked) > 0).all()
        unmasked = np.setdiff1d(np.arange(len(whole)), batch.masked)
        assert not (batch.tokens[unmasked] == tokenizer.mask).any()
        hidden = np.add.reduceat(np.isin(np.arange(len(whole)), batch.masked), batch.boundaries[:-1])
        assert hidden.min() >= 1
        count = np.add.reduceat(whole >= len(SPECIALS), batch.boundaries[:-1])
        shares += (hidden / count)[count >= 60].tolist()
        pieces += int(count.sum())
        shown.append(batch.tokens[batch.masked])
        target.append(batch.targets)
    shown, target = np.concatenate(shown), np.concatenate(target)
    assert (restored(batch) == tokenizer.unknown).any(), "the text has something that must not be asked for"
    assert len(target) / pieces == pytest.approx(0.15, abs=0.004)
    assert np.mean(shares) == pytest.approx(0.15, abs=0.004)
    masked, kept = shown == tokenizer.mask, shown == target
    assert masked.mean() == pytest.approx(0.8, abs=0.01)
    assert kept.mean() == pytest.approx(0.1, abs=0.01)
    drawn = shown[~masked & ~kept]
    assert drawn.min() >= len(SPECIALS)
    counts = np.bincount(drawn, minlength=tokenizer.vocabulary)[len(SPECIALS) :]
    expected = counts.mean()
    # chi square over its degrees of freedom is 1 for even draws
    assert ((counts - expected) ** 2).sum() / expected / len(counts) == pytest.approx(1, abs=0.3)


def test_each_place_is_as_likely_to_be_hidden(text, tokenizer):
    lines = lines_of(text)
    line = max(range(len(lines)), key=lambda i: len(lines[i]))
    batches = MaskedBatches(text, tokenizer, batch_size=1, max_length=512)
    item = np.array([0])
    batches.sequences._begins[0], batches.sequences._ends[0] = text.starts[line : line + 2]  # the longest as number 0
    times = np.zeros(len(lines[line]))
    for n in range(2000):
        times[batches._batch(item, ("test", n)).masked - 1] += 1
    known = np.array(lines[line]) >= len(SPECIALS)
    assert times[~known].sum() == 0
    assert times[known] / 2000 == pytest.approx(0.15, abs=0.035)


@pytest.mark.parametrize(
    ("sizes", "wanted"), [([1, 3, 3, 3], 1.5), ([1, 1, 2, 8, 4, 4], 3.0), ([3, 3], 3.0), ([1, 2], 1.0), ([2] * 30, 9.0)]
)
def test_the_rate_is_kept_by_units_of_any_size(sizes, wanted):
    """Fifteen pieces in a hundred where a unit is small enough for that, else one of the smallest."""
    draw, repeats = np.random.default_rng(0), 20_000
    mixed = draw.permuted(np.tile(sizes, (repeats, 1)), axis=1).ravel()
    sequence = np.repeat(np.arange(repeats), len(sizes))
    taken = packing._take(mixed, sequence, 0.15, draw.random(repeats))
    assert np.bincount(sequence[taken], minlength=repeats).min() >= 1
    assert mixed[taken].sum() / repeats == pytest.approx(wanted, abs=0.05)


def test_whole_eojeols_are_hidden(text, tokenizer):
    for context in ("line", "document"):
        batches = MaskedBatches(text, tokenizer, batch_size=200, whole_word=True, context=context)
        several = 0
        for n in range(5):
            batch = batches[n]
            whole = restored(batch)
            hidden = np.isin(np.arange(len(whole)), batch.masked)
            words: dict[int, list[int]] = {}
            word = 0
            for place, token in enumerate(whole):
                if token in (tokenizer.cls, tokenizer.sep):
                    word += 1
                    continue
                word += bool(tokenizer.starts[token])
                if token != tokenizer.unknown:
                    words.setdefault(word, []).append(place)
            for places in words.values():
                assert len(set(hidden[places])) == 1, tokenizer.decode(whole[places])
                several += len(places) > 1 and hidden[places[0]]
        assert several > 50


def test_a_short_sequence_has_one_place_at_least(tokenizer, tmp_path):
    found = tokenised([["좋다", "산"], ["바다", "봄"], ["가", "나"]] * 30, tokenizer, tmp_path)
    for whole_word in (False, True):
        batch = MaskedBatches(found, tokenizer, batch_size=60, whole_word=whole_word)[0]
        counts = np.add.reduceat(
            batch.tokens * 0 + np.isin(np.arange(len(batch.tokens)), batch.masked), batch.boundaries[:-1]
        )
        pieces = np.add.reduceat(restored(batch) >= len(SPECIALS), batch.boundaries[:-1])
        assert (counts[pieces > 0] >= 1).all()
        assert (counts[pieces == 0] == 0).all()


def test_lines_that_hold_nothing_but_unknown_letters_ask_for_nothing(tokenizer, tmp_path):
    only = tokenizer.with_added(["@"])
    found = tokenised([["좋은 날", "\u200b", "뷁"], ["뷁", "좋은 날이다"]] * 20, only, tmp_path)
    batch = MaskedBatches(found, only, batch_size=64, max_length=16)[0]
    assert (batch.targets >= len(SPECIALS)).all()
    assert np.diff(batch.boundaries).min() > 2, "a line without tokens is no sequence"


@pytest.mark.parametrize("max_length", [32, 64, 200])
def test_documents_are_read_in_order_and_never_mixed(text, tokenizer, max_length):
    lengths, opens, room = np.diff(text.starts), text.document_starts, max_length - 2
    batches = MaskedBatches(text, tokenizer, batch_size=1, context="document", max_length=max_length)
    spans = batches.sequences.spans(np.arange(len(batches.sequences)), np.random.default_rng())
    following = {int(opens[d]): int(opens[d]) for d in range(text.documents) if not held_apart(text)[opens[d]]}
    several = 0
    for begin, length in zip(spans.begins[:, 0], spans.lengths[:, 0]):
        line = first = int(np.searchsorted(text.starts, begin))
        assert text.starts[first] == begin, "begins in the middle of a line"
        document = int(opens[np.searchsorted(opens, first, side="right") - 1])
        end = int(opens[np.searchsorted(opens, first, side="right")])
        assert following[document] == first, "a line lacks, or comes twice, or is for validation"
        if lengths[first] > room:
            line += 1
            assert length == room
        else:
            while line < end and lengths[first : line + 1].sum() <= room:
                line += 1
            assert length == lengths[first:line].sum()
        several += line - first > 1
        following[document] = line
    assert several
    assert all(opens[np.searchsorted(opens, d, side="right")] == line for d, line in following.items())


def follows(found: Corpus, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether two texts stand behind each other in one document. Both are whole lines."""
    both = np.array(first + second, np.uint16)
    whole = np.asarray(found.tokens)
    for begin in found.starts[:-1]:
        if np.array_equal(whole[begin : begin + len(both)], both):
            line = np.searchsorted(found.starts, begin)
            end = np.searchsorted(found.document_starts, line, side="right")
            return bool(begin + len(both) <= found.starts[found.document_starts[end]])
    return False


@pytest.mark.parametrize("context", ["line", "document"])
def test_next_sentence_tells_the_truth(text, tokenizer, context):
    batches = MaskedBatches(text, tokenizer, batch_size=60, next_sentence=True, context=context, max_length=256)
    batch = batches[0]
    pairs = texts(batch, tokenizer)
    lines = lines_of(text)
    document = np.repeat(np.arange(text.documents), np.diff(text.document_starts))
    of_line = {line: d for line, d in zip(lines, document)}
    begins = sorted(lines, key=len, reverse=True)
    seen = set()
    for (first, second), label in zip(pairs, batch.next_sentence, strict=True):
        assert follows(text, first, second) == (label == 0)
        homes = [of_line[next(line for line in begins if part[: len(line)] == line)] for part in (first, second)]
        assert (homes[0] == homes[1]) == (label == 0)
        seen.add(int(label))
        end, at = text.document_starts[homes[1] + 1], next(i for i, x in enumerate(lines) if second[: len(x)] == x)
        assert second in [sum(lines[at:stop], ()) for stop in range(at + 1, end + 1)], (
            "goes over the end of its document"
        )
    assert seen == {0, 1}
    labels = np.concatenate([batches[n].next_sentence for n in range(40)])
    assert labels.mean() == pytest.approx(0.5, abs=0.05)


def test_what_does_not_follow_is_any_line_of_another_document(text, tokenizer):
    found = MaskedBatches(text, tokenizer, batch_size=8, next_sentence=True).sequences
    document = found._document
    for line in (0, 5, len(document) // 2, len(document) - 1):
        others = np.flatnonzero(document != document[line])
        draws = (np.arange(len(others)) + 0.5) / len(others)
        assert np.array_equal(found._elsewhere(np.full(len(draws), line), draws), others)


def test_pairs_take_every_line_of_a_document_that_has_two(text, tokenizer):
    found = MaskedBatches(
        text, tokenizer, batch_size=8, next_sentence=True, context="document", max_length=48
    ).sequences
    read = np.zeros(len(found._used), bool)
    for first, end in zip(found._first, found._end):
        assert end - first >= 2
        read[first:end] = True
    alone = found._segment_end - found._segment == 1
    assert alone.any()
    assert np.array_equal(read, ~alone)


def test_pairs_that_are_too_long_are_cut_as_the_tokenizer_does(text, tokenizer):
    batch = MaskedBatches(text, tokenizer, batch_size=200, next_sentence=True, max_length=24)[0]
    cut = 0
    lines = lines_of(text)
    for first, second in texts(batch, tokenizer):
        if len(first) + len(second) == 21:
            cut += 1
        whole = [max(len(line) for line in lines if line[: len(part)] == part) for part in (first, second)]
        kept = min(whole[1], max(21 - whole[0], 21 // 2))
        if whole[0] + whole[1] > 21 and sum(line[: len(first)] == first for line in lines) == 1:
            assert len(first) == min(whole[0], 21 - kept)
    assert cut > 20
    assert np.diff(batch.boundaries).max() == 24


def test_next_sentence_wants_documents(tokenizer, tmp_path):
    (tmp_path / "lines").mkdir()
    alone = tokenised([[line] for line in sentences("ko", 50)], tokenizer, tmp_path / "lines")
    with pytest.raises(DataError, match="at least two lines"):
        MaskedBatches(alone, tokenizer, batch_size=4, next_sentence=True)
    (tmp_path / "one").mkdir()
    one = tokenised([sentences("ko", 50)], tokenizer, tmp_path / "one")
    with pytest.raises(DataError, match="a second document"):
        MaskedBatches(one, tokenizer, batch_size=4, next_sentence=True)


def test_a_batch_size_may_grow(text, tokenizer):
    def size(n: int) -> int:
        return min(4 + n, 40)

    grown = MaskedBatches(text, tokenizer, batch_size=size)
    for n in (3, 0, 60):
        assert len(grown[n].boundaries) - 1 == size(n)
    # an epoch is gone through once, whatever the sizes
    count, batches = 0, []
    for n in itertools.count():
        if (count := count + size(n)) > len(grown.sequences):
            break
        batches += [t for (t,) in texts(grown[n], tokenizer)]
    assert len(set(batches)) == len(batches) > 1500
    fixed = MaskedBatches(text, tokenizer, batch_size=lambda n: 16)
    assert same(fixed[9000], MaskedBatches(text, tokenizer, batch_size=16)[9000])


def test_a_run_is_resumed_late_at_once(text, tokenizer):
    batches = MaskedBatches(text, tokenizer, batch_size=lambda n: min(32, 4 + n))
    began = time.process_time()
    assert len(batches[1_000_000].boundaries) == 33
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"context": "page"}, "line, document"),
        ({"max_length": 2}, "at least 3"),
        ({"max_length": 4, "next_sentence": True}, "at least 5"),
        ({"mask_rate": 0.0}, "mask_rate"),
        ({"batch_size": 0}, "batch_size"),
        ({"part": 2, "parts": 2}, "from 0 to 1"),
    ],
)
def test_wrong_arguments_are_refused(text, tokenizer, wrong, said):
    arguments: dict[str, Any] = {"batch_size": 8} | wrong
    with pytest.raises(DataError, match=said):
        MaskedBatches(text, tokenizer, **arguments)


def test_a_batch_too_small_for_its_parts_is_refused(text, tokenizer):
    batches = MaskedBatches(text, tokenizer, batch_size=lambda n: 1 + n, part=1, parts=4)
    assert len(batches[3].boundaries) == 2
    with pytest.raises(DataError, match="3 sequences cannot be shared by 4"):
        batches[2]


def test_validation_documents_are_whole_and_never_learnt_from(text, tokenizer):
    apart = held_apart(text)
    of_document = [set(apart[b:e]) for b, e in itertools.pairwise(text.document_starts)]
    assert all(len(sides) == 1 for sides in of_document)
    assert sum(True in sides for sides in of_document) == round(0.01 * text.documents)
    lines = lines_of(text)
    wanted = sorted(line for line, kept in zip(lines, apart) if kept)
    validation = ValidationBatches(text, tokenizer, batch_size=4, max_length=512)
    found = [t for n in range(len(validation)) for (t,) in texts(validation[n], tokenizer)]
    assert sorted(found) == wanted
    assert [*map(len, found)] == sorted(map(len, found), reverse=True)
    with pytest.raises(IndexError):
        validation[len(validation)]


@pytest.mark.parametrize("reading", READINGS)
def test_validation_asks_the_same_whatever_batches_and_parts(text, tokenizer, reading):
    def all_of(batch_size: int, parts: int) -> list[Any]:
        found = []
        for part in range(parts):
            batches = ValidationBatches(text, tokenizer, batch_size=batch_size, part=part, parts=parts, **reading)
            for n in range(len(batches)):
                assert len(batches[n].boundaries) > 1
                found += split(batches[n])
        return sorted(found)

    once = all_of(1000, 1)
    assert len(once) > 2
    for batch_size, parts in ((1, 1), (3, 1), (5, 2), (4, 3), (2, 4), (1000, 3)):
        assert all_of(batch_size, parts) == once, (batch_size, parts)


def test_of_one_long_document_lines_are_kept_apart(tokenizer, tmp_path):
    found = tokenised([sentences("ko", 1500)], tokenizer, tmp_path)
    apart = held_apart(found)
    assert 10 <= apart.sum() <= 25
    lines = lines_of(found)
    for context in ("line", "document"):
        training = MaskedBatches(found, tokenizer, batch_size=100, context=context, max_length=512)
        validation = ValidationBatches(found, tokenizer, batch_size=100, context=context, max_length=512)
        learnt = {t for n in range(20) for (t,) in texts(training[n], tokenizer)}
        kept = [t for n in range(len(validation)) for (t,) in texts(validation[n], tokenizer)]
        assert sum(map(len, kept)) == sum(len(line) for line, a in zip(lines, apart) if a)
        for line in (lines[i] for i in np.flatnonzero(apart)):
            read = np.array(line)
            for t in learnt:
                windows = np.lib.stride_tricks.sliding_window_view(np.array(t), min(len(read), len(t)))
                assert len(t) < len(read) or not (windows == read).all(1).any()


def test_few_documents_and_one_line(tokenizer, tmp_path):
    for name in ("two", "line", "uneven"):
        (tmp_path / name).mkdir()
    two = held_apart(tokenised([["좋은 날", "산"], ["바다", "봄"]], tokenizer, tmp_path / "two"))
    assert sorted([two[:2].tolist(), two[2:].tolist()]) == [[False, False], [True, True]]
    with pytest.raises(DataError, match="at least two lines"):
        held_apart(tokenised([["좋은 날"]], tokenizer, tmp_path / "line"))
    uneven = held_apart(tokenised([["산"], sentences("ko", 300)], tokenizer, tmp_path / "uneven"))
    assert uneven.tolist() == [True] + [False] * 300


def test_validation_has_at_most_so_many_lines(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(sequences, "MOST", 50)
    many = tokenised([["좋은 날", "산"] * 5] * 700, tokenizer, tmp_path)
    assert held_apart(many).sum() == 50


def test_real_reviews_at_training_size(real_data, tmp_path):
    with gzip.open(real_data / "nsmc_raw" / "reviews.txt.gz", "rt", encoding="utf-8") as written:
        (tmp_path / "reviews.txt").write_text("".join(itertools.islice(written, 6000)), encoding="utf-8")
    reader = kobert()
    found = corpus.for_source(tmp_path / "reviews.txt", reader)
    for reading in READINGS:
        batches = MaskedBatches(found, reader, batch_size=128, **reading)
        batches[0]
        taken = []
        for n in range(1, 12):
            began = time.process_time()
            batch = batches[n]
            taken.append(time.process_time() - began)
        assert np.median(taken) < 0.01, "ten milliseconds"
        assert batch.targets.min() >= len(SPECIALS)
