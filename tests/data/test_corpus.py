import errno
import gzip
import itertools
import operator
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from nbkit.base import workspace
from nbkit.data import corpus, corpus_workers, shards, text_sets
from nbkit.data.corpus_workers import Workers
from nbkit.data.disk import DataError
from nbkit.data.shards import Tokens
from nbkit.data.texts import sentences
from nbkit.data.tokenizer import Tokenizer, TokenizerError, kobert
from nbkit.data.tokenizer_training import train

SHARD = 64  # lines, small enough that a test has several


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(sentences("ko", 2000), 700, coverage=0.98)


@pytest.fixture
def documents(monkeypatch) -> list[list[str]]:
    """Documents of 1 to 12 lines and one that is longer than two shards, with a line of which no token is left."""
    monkeypatch.setattr(corpus, "LINES", SHARD)
    lines = iter(sentences("ko", 800))
    sizes = [*(1 + n % 12 for n in range(40)), 150, *(1 + n % 7 for n in range(40))]
    made = [list(itertools.islice(lines, size)) for size in sizes]
    made[5][2] = "\u200b"
    return made


@pytest.fixture
def source(tmp_path, documents) -> str:
    return write_text(tmp_path / "text", documents)


def write_text(folder: Path, documents: list[list[str]]) -> str:
    folder.mkdir()
    (folder / "all.txt").write_text("\n\n".join("\n".join(document) for document in documents), encoding="utf-8")
    return str(folder)


def content(found: corpus.Corpus) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in found.folder.iterdir()}


def spy_on_shards(monkeypatch) -> list[str]:
    """The names of the shards that this process writes from now on."""
    written: list[str] = []
    write = shards.write_shard

    def spy(tokenizer, path, lines, opens):
        written.append(path.name)
        write(tokenizer, path, lines, opens)

    monkeypatch.setattr(shards, "write_shard", spy)
    return written


def test_tokens_and_boundaries_are_those_of_the_text(source, documents, tokenizer):
    found = corpus.for_source(source, tokenizer)
    lines = [line for document in documents for line in document]
    assert (found.lines, found.documents) == (len(lines), len(documents))
    assert len(list(found.folder.glob("*.shard"))) == -(-len(lines) // SHARD)
    for line, begin, end in zip(lines, found.starts[:-1], found.starts[1:], strict=True):
        assert found.tokens[begin:end].tolist() == tokenizer.ids(line)
    opens = np.cumsum([0, *map(len, documents)])
    assert found.document_starts.tolist() == opens.tolist()
    assert found.starts[-1] == len(found.tokens)
    assert found.tokens.dtype == found.tokens[:3].dtype == np.uint16


def test_any_number_of_processes_writes_the_same_bytes(source, tokenizer, monkeypatch, tmp_path):
    one = corpus.for_source(source, tokenizer)
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "another"))
    written_here = spy_on_shards(monkeypatch)
    monkeypatch.setattr(shards.write_shard, "__qualname__", "write_shard")
    monkeypatch.setattr(shards.write_shard, "__module__", "nbkit.data.shards")  # by this name the others find theirs
    two = corpus.for_source(source, tokenizer, processes=2)
    assert not written_here, "the other processes write"
    assert two.folder != one.folder
    assert content(one) == content(two)
    assert one.fingerprint == two.fingerprint


def test_a_text_that_is_done_before_processes_start_is_cut_here(source, tokenizer, monkeypatch):
    monkeypatch.setattr(corpus, "LINES", 1000)
    monkeypatch.setattr(corpus_workers, "_start", lambda first: pytest.fail("started a process"))
    assert corpus.for_source(source, tokenizer, processes=2).lines


KILLED = """
import os, signal, sys
from nbkit.data import corpus
from nbkit.data.tokenizer import Tokenizer
corpus.LINES = int(sys.argv[4])
done = []
def progress(lines):
    done.append(lines)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
corpus.for_source(sys.argv[1], Tokenizer.load(sys.argv[2]), int(sys.argv[3]), progress)
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_process_loses_only_what_it_was_writing(source, tokenizer, tmp_path, monkeypatch, processes):
    tokenizer.save(tmp_path / "tokenizer")
    arguments = [source, str(tmp_path / "tokenizer"), str(processes), str(SHARD)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=workspace.root(), check=False)
    assert killed.returncode == -signal.SIGKILL
    (folder,) = (workspace.cache() / "corpora").iterdir()
    with pytest.raises(DataError, match="a part"):
        corpus.Corpus(folder)
    (folder / ".00099.shard.123").write_bytes(b"half")
    while processes > 1 and len(left := list(folder.glob(".0000?.shard.*"))):  # the orphans finish what they have
        time.sleep(0.05 * len(left))
    kept = {path.name for path in folder.glob("*.shard")}
    assert len(kept) >= 3
    written, heard = spy_on_shards(monkeypatch), []
    resumed = corpus.for_source(source, tokenizer, progress=heard.append)
    assert not kept & set(written)
    assert written
    assert heard == sorted(heard)
    assert heard[-1] == resumed.lines
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "another"))
    assert content(resumed) == content(corpus.for_source(source, tokenizer))


@pytest.mark.parametrize("damage", ["truncated", "removed", "longer"])
def test_a_damaged_shard_of_a_whole_corpus_is_made_again_and_no_other(source, tokenizer, monkeypatch, damage):
    found = corpus.for_source(source, tokenizer)
    before, path = content(found), found.folder / "00002.shard"
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(before[path.name][:-2] if damage == "truncated" else before[path.name] + b"xx")
    written = spy_on_shards(monkeypatch)
    assert content(corpus.for_source(source, tokenizer)) == before
    assert written == [path.name]


def test_a_flipped_bit_in_what_an_earlier_try_left_is_noticed(source, tokenizer, monkeypatch):
    found = corpus.for_source(source, tokenizer)
    before, path = content(found), found.folder / "00001.shard"
    (found.folder / corpus.MARK).unlink()
    flipped = bytearray(before[path.name])
    flipped[-1] ^= 1
    path.write_bytes(flipped)
    written = spy_on_shards(monkeypatch)
    assert content(corpus.for_source(source, tokenizer)) == before
    assert written == [path.name]


def test_what_is_there_is_not_made_again(source, tokenizer, monkeypatch):
    first = corpus.for_source(source, tokenizer)
    monkeypatch.setattr(text_sets, "documents", lambda source: pytest.fail("read the text again"))
    assert corpus.for_source(source, tokenizer).fingerprint == first.fingerprint


def test_other_text_and_another_tokenizer_have_folders_of_their_own(source, tokenizer):
    first = corpus.for_source(source, tokenizer)
    with open(Path(source) / "all.txt", "a", encoding="utf-8") as text:
        text.write("\n바다가 보인다.")
    second = corpus.for_source(source, tokenizer)
    third = corpus.for_source(source, tokenizer.with_added(["바다"]))
    assert len({c.folder for c in (first, second, third)}) == len({c.fingerprint for c in (first, second, third)}) == 3
    assert second.lines == first.lines + 1


def test_a_full_disk_is_told_in_words(source, tokenizer, monkeypatch):
    write = shards.write_shard

    def full(tokenizer, path, lines, opens):
        if path.name == "00002.shard":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(tokenizer, path, lines, opens)

    monkeypatch.setattr(shards, "write_shard", full)
    with pytest.raises(DataError, match=r"full.*NBKIT_CACHE.*is kept"):
        corpus.for_source(source, tokenizer)
    monkeypatch.setattr(shards, "write_shard", write)
    written = spy_on_shards(monkeypatch)
    corpus.for_source(source, tokenizer)
    assert "00000.shard" not in written


def test_a_text_without_tokens_is_refused(tmp_path, tokenizer):
    with pytest.raises(DataError, match="2 lines of which no token is left"):
        corpus.for_source(write_text(tmp_path / "text", [["\u200b", "\u200b"]]), tokenizer)


def test_an_unreadable_line_is_an_error_of_the_tokenizer(source, tokenizer, monkeypatch):
    monkeypatch.setattr(text_sets, "documents", lambda source: iter([["좋은 날\ud800"]]))
    with pytest.raises(TokenizerError):
        corpus.for_source(source, tokenizer)


def test_a_second_writer_waits_and_finds_the_work_done(source, tokenizer, capsys, monkeypatch):
    begun, go_on, found = threading.Event(), threading.Event(), []

    def slow(lines: int) -> None:
        begun.set()
        go_on.wait(20)

    first = threading.Thread(target=lambda: found.append(corpus.for_source(source, tokenizer, progress=slow)))
    first.start()
    assert begun.wait(20)
    second = threading.Thread(target=lambda: found.append(corpus.for_source(source, tokenizer)))
    second.start()
    second.join(1.3)
    assert second.is_alive()
    written = spy_on_shards(monkeypatch)
    go_on.set()
    first.join(20)
    second.join(20)
    assert len(found) == 2
    assert not written, "both would have written"
    assert "another process is cutting this text" in capsys.readouterr().out


def test_memory_does_not_hold_the_text(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LINES", 500)
    monkeypatch.setattr(text_sets, "source_fingerprint", lambda source: "0" * 16)
    lines = sentences("ko", 500)
    monkeypatch.setattr(text_sets, "documents", lambda source: ([f"{n} {s}" for s in lines] for n in range(100)))
    tracemalloc.start()
    found = corpus.for_source(str(tmp_path), tokenizer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.lines == 50_000
    assert peak < 4e6, "its lines alone are more than that"


def test_a_corpus_pickles_as_its_folder(source, tokenizer):
    found = corpus.for_source(source, tokenizer)
    pickled = pickle.dumps(found)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert np.array_equal(again.tokens, found.tokens)
    assert np.array_equal(again.starts, found.starts)


def test_tokens_of_several_shards_are_read_as_one_row():
    whole = np.arange(100, 160, dtype=np.uint16)
    tokens = Tokens(np.split(whole, [7, 7, 30, 31]))
    assert len(tokens) == len(whole)
    assert np.array_equal(tokens, whole)
    for key in (slice(None), slice(3, 9), slice(5, 40), slice(7, 7), slice(-5, None), slice(50, 2, -3), slice(90, 99)):
        assert np.array_equal(tokens[key], whole[key]), key
    for key in (0, 7, -1, np.array([[3, 30], [59, -60]]), np.zeros(0, np.int64)):
        assert np.array_equal(tokens[key], whole[key]), key
    begins, lengths = np.array([50, 0, 6, 31, 60]), np.array([10, 7, 26, 0, 0])
    wanted = np.concatenate([whole[b : b + n] for b, n in zip(begins, lengths)])
    assert np.array_equal(tokens.ranges(begins, lengths), wanted)
    with pytest.raises(IndexError, match="60 tokens"):
        tokens[60]


def test_an_error_comes_back_from_another_process():
    with Workers({"a": 1}, 2, operator.getitem) as workers:  # type: ignore[arg-type]
        workers("a")
        with pytest.raises(KeyError, match="b"):
            workers("b")
        workers("a")


def test_the_work_of_a_process_that_died_is_done_here():
    here: dict[str, int] = {}
    with Workers(here, 2, operator.setitem) as workers:  # type: ignore[arg-type]
        workers("there", 1)
        assert here == {}
        for process in workers._processes:
            process.kill()
            process.wait()
        workers("first", 1)
        workers("second", 2)
    assert here == {"first": 1, "second": 2}


def test_processes_end_with_their_context():
    with Workers({}, 2, operator.setitem) as workers:  # type: ignore[arg-type]
        pids = [process.pid for process in workers._processes]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_real_reviews_have_the_ids_of_sentencepiece(real_data, tmp_path):
    with gzip.open(real_data / "nsmc_raw" / "reviews.txt.gz", "rt", encoding="utf-8") as text:
        (tmp_path / "reviews.txt").write_text("".join(itertools.islice(text, 5000)), encoding="utf-8")
    found = corpus.for_source(tmp_path / "reviews.txt", kobert())
    lines = [line for line in (tmp_path / "reviews.txt").read_text(encoding="utf-8").split("\n") if line.strip()]
    assert found.lines == len(lines)
    assert found.documents > 50
    assert np.array_equal(found.tokens, np.concatenate(kobert().ids_batch(lines)))
