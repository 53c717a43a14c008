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
from typing import Any, NamedTuple, Protocol

import numpy as np

from nbkit.data.reading.characters import characters
from nbkit.data.reading.english import read_english
from nbkit.data.reading.korean import read_korean
from nbkit.data.reading.pieces import text_of

_DITHER = 60.0  # least significant bits: pocketsphinx is at a loss with the digital silence of made-up speech
_RATE = 16_000  # Hz, of both recognisers
_AT_ONCE = 30  # seconds that Whisper hears at once
WHISPER = "openai/whisper-large-v3-turbo"
_READERS = {"ko": read_korean, "en": read_english}


class Errors(NamedTuple):
    """Edits from what was said to what was heard, and how long it was: counted in characters or in words."""

    substituted: int
    left_out: int
    put_in: int
    length: int

    @property
    def edits(self) -> int:
        return self.substituted + self.left_out + self.put_in

    @property
    def rate(self) -> float:
        return self.edits / self.length


class Recogniser(Protocol):
    """Hears words in a wave [S] of `rate`."""

    def hear(self, wave: np.ndarray, rate: int) -> str: ...


def normalised(text: str, language: str = "") -> str:
    """Text as it is compared: without punctuation and case, one space between words, Hangul composed.

    language  "ko" or "en" first writes numbers, signs and abbreviations as they are read aloud, so that "3시" and
              "세 시" are the same words: a recogniser writes as it likes
    """
    if language in _READERS:
        text = text_of(_READERS[language](characters(text)))
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    words = re.sub(r"[^\w\s']", " ", text).replace("_", " ").split()
    return " ".join(word for one in words if (word := one.strip("'")))


def character_errors(said: str, heard: str, language: str = "") -> Errors:
    """Character errors without spaces, which are a matter of taste in Korean; of Hangul a character is a syllable.

    language  see normalised
    raises    ValueError where nothing was said
    """
    return _errors(normalised(said, language).replace(" ", ""), normalised(heard, language).replace(" ", ""))


def word_errors(said: str, heard: str, language: str = "") -> Errors:
    """Word errors, words being what stands between spaces. language and errors: see character_errors"""
    return _errors(normalised(said, language).split(), normalised(heard, language).split())


def _errors(said: Sequence[str], heard: Sequence[str]) -> Errors:
    if not said:
        raise ValueError("an error rate wants a text with at least one letter, got none; leave that sentence out")
    return Errors(*edits(said, heard), len(said))


def edits(a: Sequence[str], b: Sequence[str]) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions from a to b, as few as there can be (Levenshtein).

    Of ways with equally few edits it takes the one with the fewest substitutions. One number holds all of a cell:
    edits, of them substitutions, of them deletions.
    """
    put_in, left_out, substituted = 1 << 40, (1 << 40) + 1, (1 << 40) + (1 << 20)
    row = [put_in * j for j in range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], left_out * i
        for j, y in enumerate(b, 1):
            changed = before if x == y else before + substituted
            before, row[j] = row[j], min(row[j] + left_out, row[j - 1] + put_in, changed)
    all_of_them, wrong, lost = row[-1] >> 40, (row[-1] >> 20) % (1 << 20), row[-1] % (1 << 20)
    return wrong, lost, all_of_them - wrong - lost


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
    language  as "ko" or "korean"
    raises    ImportError where transformers is missing, OSError where there is no such model, both with the remedy
    """

    def __init__(self, model: str = WHISPER, language: str = "ko"):
        try:
            from transformers import pipeline
        except ImportError:
            raise ImportError("this wants transformers, which is not installed: pip install 'nbkit[hf]'") from None
        try:
            self.pipeline = pipeline("automatic-speech-recognition", model=model)
        except (OSError, ValueError) as error:  # what transformers raises for no such model, and for no model
            raise OSError(
                f"wanted the recogniser {model!r} of the Hugging Face hub, or a folder of that name, got: "
                f"{str(error).splitlines()[0]}; check the name, and the connection at first use"
            ) from None
        self.language = language

    def hear(self, wave: np.ndarray, rate: int) -> str:
        samples = _at_16_khz(wave, rate)
        found: Any = self.pipeline(
            {"raw": samples, "sampling_rate": _RATE},
            generate_kwargs={"language": self.language, "task": "transcribe"},
            return_timestamps=len(samples) > _AT_ONCE * _RATE,  # longer ones go on where the last one lies
        )
        return found["text"].strip()
