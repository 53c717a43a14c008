"""What a recogniser hears, and how far that is from what should have been said.

An error rate says whether words can be made out, not whether a voice is pleasant; and it is that of voice and
recogniser together, so the rate on recordings always stands beside it.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

_DITHER = 60.0  # least significant bits: pocketsphinx is at a loss with the digital silence of made-up speech
_RATE = 16_000  # Hz, of both recognisers


class Errors(NamedTuple):
    """Edits from what was said to what was heard, and how long it was: counted in characters or in words."""

    edits: int
    length: int

    @property
    def rate(self) -> float:
        return self.edits / self.length


class Recogniser(Protocol):
    """Hears words in a wave [S] of `rate`."""

    def hear(self, wave: np.ndarray, rate: int) -> str: ...


def normalised(text: str) -> str:
    """Text as it is compared: without punctuation and case, one space between words, Hangul composed."""
    text = unicodedata.normalize("NFC", text).casefold()
    return " ".join(re.sub(r"[^\w\s']", " ", text).replace("_", " ").split())


def character_errors(said: str, heard: str) -> Errors:
    """Character errors without spaces, which are a matter of taste in Korean. raises ValueError for no text"""
    return _errors(normalised(said).replace(" ", ""), normalised(heard).replace(" ", ""))


def word_errors(said: str, heard: str) -> Errors:
    """Word errors. raises ValueError where nothing was said"""
    return _errors(normalised(said).split(), normalised(heard).split())


def _errors(said: Sequence[str], heard: Sequence[str]) -> Errors:
    if not said:
        raise ValueError("an error rate wants a text with at least one letter, got none; leave that sentence out")
    return Errors(edit_distance(said, heard), len(said))


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Insertions, deletions and substitutions from a to b, as few as there can be (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def _at_16_khz(wave: np.ndarray, rate: int) -> np.ndarray:
    import librosa

    wave = np.asarray(wave, np.float32)
    if wave.ndim != 1 or not wave.size or not np.isfinite(wave).all():
        raise ValueError(f"a recogniser wants a finite wave [S], got shape {wave.shape}; mix or mend it")
    return wave if rate == _RATE else librosa.resample(wave, orig_sr=rate, target_sr=_RATE)


class Sphinx:
    """pocketsphinx with a bigram model of sentences that are known: English, light, made for tests.

    With its open model it understands little. Knowing the domain it is a gate (is this intelligible at all?), not a
    scale of quality. What it hears depends on the wave alone: the noise that is added is the same each time.

    sentences  the texts that may be said
    raises     ImportError with the remedy where pocketsphinx is missing
    """

    def __init__(self, sentences: Sequence[str]):
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise ImportError("this wants pocketsphinx, which is not installed: pip install 'nbkit[english]'") from None
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "sentences.arpa"
            model.write_text(bigrams([normalised(one).split() for one in sentences]), encoding="utf8")
            self.decoder = Decoder(samprate=_RATE, lm=str(model), loglevel="FATAL")

    def hear(self, wave: np.ndarray, rate: int) -> str:
        noise = np.random.default_rng(0)
        samples = _at_16_khz(wave, rate) * 32767
        samples = samples + noise.normal(scale=_DITHER, size=samples.shape)
        self.decoder.reinit_feat()  # or it would go on with the background noise of the wave before
        self.decoder.start_utt()
        self.decoder.process_raw(np.clip(samples, -32768, 32767).astype("<i2").tobytes(), full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return found.hypstr if found else ""


def bigrams(sentences: Sequence[Sequence[str]], discount: float = 0.5) -> str:
    """A bigram model in the ARPA format: absolute discounting, what is taken goes to single words."""
    lines = [["<s>", *words, "</s>"] for words in sentences if words]
    if not lines:
        raise ValueError("a language model wants at least one sentence with words, got none")
    single = Counter(word for line in lines for word in line[1:])
    pairs = Counter(pair for line in lines for pair in pairwise(line))
    starts = Counter(first for first, _ in pairs.elements())
    followers = Counter(first for first, _ in pairs)
    total = sum(single.values())
    text = [
        "\\data\\",
        f"ngram 1={len(single) + 1}",
        f"ngram 2={len(pairs)}",
        "",
        "\\1-grams:",
        f"-99 <s> {_left('<s>', followers, starts, discount)}",
    ]
    for word, count in sorted(single.items()):
        back = "" if word == "</s>" else f" {_left(word, followers, starts, discount)}"
        text.append(f"{np.log10(count / total):.4f} {word}{back}")
    text += ["", "\\2-grams:"]
    text += [f"{np.log10((count - discount) / starts[a]):.4f} {a} {b}" for (a, b), count in sorted(pairs.items())]
    return "\n".join([*text, "", "\\end\\", ""])


def _left(word: str, followers: Counter, starts: Counter, discount: float) -> str:
    """The logarithm of what discounting took from the pairs that begin with a word."""
    return f"{np.log10(discount * followers[word] / starts[word]):.4f}"


class Whisper:
    """OpenAI's Whisper through transformers, for Korean and any other language it knows; needs a GPU to be quick.

    model     a name of the Hugging Face hub, downloaded at first use, or a folder
    language  as "korean"
    """

    def __init__(self, model: str = "openai/whisper-large-v3-turbo", language: str = "korean"):
        from transformers import pipeline

        self.pipeline = pipeline("automatic-speech-recognition", model=model)
        self.language = language

    def hear(self, wave: np.ndarray, rate: int) -> str:
        asked = {"raw": _at_16_khz(wave, rate), "sampling_rate": _RATE}
        return self.pipeline(asked, generate_kwargs={"language": self.language})["text"].strip()  # type: ignore[index]
