"""The tables of a step of training and of a second of speech: one runs each way, and is kept."""

import pytest
import torch

from nbkit.evaluate import bench
from nbkit.models import glow_tts, kobert
from nbkit.models.glow_tts import config, layers
from nbkit.tasks import glow_tts_bench, kobert_step_bench

GLOW = dict(hidden=16, filter=16, duration_filter=8, encoder_layers=1, blocks=2, decoder_hidden=8)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(config.SIZES, "tiny", GLOW)
    monkeypatch.setitem(kobert.SIZES, "tiny", {"hidden": 16, "layers": 1, "heads": 2, "filter": 32})
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def kept(name):
    (found,) = bench.load(name)
    return found["about"], [row["way"] for row in found["rows"]]


def test_speech_by_each_way(capsys):
    glow_tts_bench.main(["speaking", "--size", "tiny", "--seconds", "0.01"])
    about, ways = kept("glow_tts_speaking")
    assert about["threads"] == 1
    assert ways == ["plain", *glow_tts_bench.PLAIN_SPEECH, "all"]
    assert "10 s of speech" in capsys.readouterr().out


def test_plain_ways_stand_only_while_they_are_measured():
    ours = layers.Convolution.forward
    with glow_tts_bench.taken_back(glow_tts_bench.PLAIN, ("dropout from bits",)):
        assert layers.Convolution.forward is glow_tts_bench.plain_convolution
        assert layers.Dropout.forward is not glow_tts_bench.plain_dropout
    assert layers.Convolution.forward is ours


def test_plain_ways_say_the_same():
    torch.manual_seed(0)
    network = glow_tts.GlowTTS(glow_tts.sized("tiny", vocabulary=20)).eval()
    tokens = torch.randint(1, 20, (1, 30)), torch.tensor([30])
    spoken = []
    for changes in (tuple(glow_tts_bench.PLAIN_SPEECH), ()):
        with torch.inference_mode(), glow_tts_bench.taken_back(glow_tts_bench.PLAIN_SPEECH, changes):
            spoken.append(network.synthesise(*tokens, generator=torch.Generator().manual_seed(0)).mel)
    torch.testing.assert_close(*spoken, atol=1e-4, rtol=1e-4)


def test_a_step_of_pretraining_by_each_way(capsys):
    pytest.importorskip("transformers")
    kobert_step_bench.main(["--size", "tiny", "--batch-size", "4", "--seconds", "0.01", "--threads", "1"])
    about, ways = kept("kobert_step")
    assert about["texts"] == "made lengths"
    assert ways[0] == "transformers, padded to the longest"
    assert ways[-1] == "ours, bf16"
    assert "made lengths" in capsys.readouterr().out


def test_the_middling_batch_is_neither_short_nor_long():
    sequences, _ = kobert_step_bench.reviews(128)
    rows = [kobert_step_bench.drawn(sequences[:200], 8, n) for n in range(9)]
    longest = sorted(int(row.boundaries.diff().max()) for row in rows)
    assert longest[0] < int(kobert_step_bench.middling(rows).boundaries.diff().max()) < longest[-1]
