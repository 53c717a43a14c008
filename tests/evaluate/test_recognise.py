"""Error rates by hand, and a recogniser that hears made-up English and no more than was said."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nbkit.data import espeak
from nbkit.evaluate import recognise

SENTENCES = [
    "the sun rises over the hills in the morning",
    "she reads a long letter from her brother",
    "a cold wind blows from the north",
    "the children play in the small garden",
]


def fewest(a: str, b: str) -> int:
    """The definition, as it stands in a textbook."""
    if not a or not b:
        return len(a) + len(b)
    return min(fewest(a[1:], b) + 1, fewest(a, b[1:]) + 1, fewest(a[1:], b[1:]) + (a[0] != b[0]))


def test_edits_are_the_fewest():
    assert recognise.edits("kitten", "sitting") == (2, 0, 1)
    assert recognise.edits("", "abc") == (0, 0, 3)
    assert recognise.edits("abc", "") == (0, 3, 0)
    assert recognise.edits(["a", "b"], ["b"]) == (0, 1, 0)
    draw = np.random.default_rng(0)
    for _ in range(200):
        a, b = ("".join(draw.choice(list("ab"), draw.integers(0, 7))) for _ in range(2))
        wrong, lost, added = recognise.edits(a, b)
        assert wrong + lost + added == fewest(a, b), (a, b)
        assert len(a) - lost + added == len(b)


def test_rates_look_past_punctuation_spaces_and_case():
    assert recognise.character_errors("같이 가자!", "같이가자") == (0, 0, 0, 4)
    assert recognise.character_errors("같이 가자", "가치 가자") == (2, 0, 0, 4)
    assert recognise.character_errors("\u1100\u1161\u11bd이", "갖이").edits == 0
    assert recognise.word_errors("Come, with me.", "come me").rate == pytest.approx(1 / 3)
    assert recognise.word_errors("Don’t say 'no'.", "don't say no").edits == 0
    with pytest.raises(ValueError, match="at least one letter"):
        recognise.word_errors("...", "come")


def test_a_number_is_what_is_read_aloud():
    assert recognise.word_errors("세 시 이십 분에 만나요.", "3시 20분에 만나요", "ko").edits == 0
    assert recognise.character_errors("세 시 이십 분", "3시 20분").edits > 0, "without a language all is as written"
    assert recognise.word_errors("Mr. Smith paid five dollars.", "mister Smith paid $5", "en").edits == 0
    assert recognise.normalised("ㅋㅋ 2,000원!", "ko") == "ㅋㅋ 이천 원"


def test_a_bigram_model_is_a_distribution():
    text = recognise.bigrams([one.split() for one in SENTENCES])
    single = {
        line.split()[1]: 10 ** float(line.split()[0])
        for line in text.split("\\1-grams:")[1].split("\\2-")[0].split("\n")
        if line
    }
    pairs = [line.split() for line in text.split("\\2-grams:")[1].split("\\end")[0].split("\n") if line]
    backs = {
        line.split()[1]: 10 ** float(line.split()[2])
        for line in text.split("\\1-grams:")[1].split("\\2-")[0].split("\n")
        if len(line.split()) == 3
    }
    single.pop("<s>")
    assert sum(single.values()) == pytest.approx(1, abs=1e-3)
    of_the = {b: 10 ** float(p) for p, a, b in pairs if a == "the"}
    assert sum(of_the.values()) + backs["the"] == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="at least one sentence"):
        recognise.bigrams([])


@pytest.fixture(scope="module")
def sphinx() -> recognise.Sphinx:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    return recognise.Sphinx(SENTENCES)


def test_what_was_said_is_heard_and_what_was_not_is_not(sphinx):
    for said, other in pairwise(SENTENCES):
        speech = espeak.speak(said, "en")
        heard = sphinx.hear(np.asarray(speech.wave, np.float32), speech.rate)
        assert recognise.word_errors(said, heard).rate < 0.2
        assert recognise.word_errors(other, heard).rate > 0.5
        assert sphinx.hear(np.asarray(speech.wave, np.float32), speech.rate) == heard, "the same wave, the same words"


def test_what_came_before_is_forgotten(sphinx):
    """The background noise of one wave would else be taken from the next."""
    speech = espeak.speak(SENTENCES[0], "en")
    soft, loud = (
        np.random.default_rng(n).normal(scale=level, size=len(speech.wave)) for n, level in ((1, 0.08), (2, 0.2))
    )
    wave = (np.asarray(speech.wave) + soft).astype(np.float32)
    heard = sphinx.hear(wave, speech.rate)
    sphinx.hear(loud.astype(np.float32), speech.rate)
    assert sphinx.hear(wave, speech.rate) == heard


def test_half_a_sentence_is_half_heard(sphinx):
    speech = espeak.speak(SENTENCES[0], "en")
    wave = np.asarray(speech.wave, np.float32)
    heard = sphinx.hear(wave[: len(wave) // 2], speech.rate)
    assert recognise.word_errors(SENTENCES[0], heard).rate > 0.25


def test_a_broken_wave_is_refused(sphinx):
    with pytest.raises(ValueError, match="finite wave"):
        sphinx.hear(np.full(1000, np.nan, np.float32), 22_050)


@pytest.fixture(scope="module")
def deaf(tmp_path_factory):
    """A folder with a Whisper of two layers that nobody trained, and letters as its tokens."""
    transformers = pytest.importorskip("transformers")
    import torch

    folder = tmp_path_factory.mktemp("whisper")
    control = ["startoftranscript", "en", "ko", "translate", "transcribe", "startoflm", "startofprev", "nospeech"]
    names = [f"<|{one}|>" for one in (*control, "notimestamps")]
    words = {letter: n for n, letter in enumerate("abcdefgh")} | {"<|endoftext|>": 8}
    tokenizer = transformers.WhisperTokenizer(vocab=words, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    tokenizer.add_tokens([f"<|{n / 50:.2f}|>" for n in range(1501)])
    ids = dict(zip(names, tokenizer.convert_tokens_to_ids(names)))
    start, end = ids["<|startoftranscript|>"], words["<|endoftext|>"]
    common = {"decoder_start_token_id": start, "eos_token_id": end, "pad_token_id": end, "bos_token_id": end}
    sizes = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in
             (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))}  # fmt: skip
    shape = transformers.WhisperConfig(vocab_size=len(tokenizer), d_model=16, suppress_tokens=None,
                                       begin_suppress_tokens=None, **sizes, **common)  # fmt: skip
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(shape)
    model.generation_config = transformers.GenerationConfig(
        lang_to_id={"<|en|>": ids["<|en|>"], "<|ko|>": ids["<|ko|>"]}, is_multilingual=True, max_length=12,
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        no_timestamps_token_id=ids["<|notimestamps|>"], max_initial_timestamp_index=50, **common)  # fmt: skip
    for part in (model, tokenizer, transformers.WhisperFeatureExtractor()):
        part.save_pretrained(folder)
    return folder


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")  # of transformers, about its own ways
def test_whisper_takes_korean_and_more_than_half_a_minute(deaf):
    """What it says is nothing; that it is asked as transformers wants to be asked is what can be tested."""
    whisper = recognise.Whisper(str(deaf), "ko")
    noise = np.random.default_rng(0).normal(scale=0.1, size=31 * 16_000).astype(np.float32)
    assert isinstance(whisper.hear(noise[:22_050], 22_050), str)
    assert isinstance(whisper.hear(noise, 16_000), str)
    with pytest.raises(ValueError, match="finite wave"):
        whisper.hear(np.full(1000, np.nan, np.float32), 16_000)


@pytest.mark.torch
def test_a_recogniser_that_is_not_there_is_named(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match=r"wanted the recogniser .*empty.* or a folder of that name"):
        recognise.Whisper(str(tmp_path / "empty"))
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ImportError, match="pip install 'nbkit\\[hf\\]'"):
        recognise.Whisper()
