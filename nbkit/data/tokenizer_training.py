"""A vocabulary of our own: a unigram model of pieces, learnt from any lines of text with KoBERT's settings.

Source: paper_notes/sentencepiece.md#unigram-model
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

from nbkit.base import seeds
from nbkit.data.tokenizer import Tokenizer, TokenizerError, of_model


def train(
    lines: Iterable[str],
    vocabulary: int = 8000,
    coverage: float = 0.9995,
    sample: int = 1_000_000,
    at_most: bool = False,
) -> Tokenizer:
    """A tokenizer learnt from lines of text. The same lines give the same one.

    vocabulary  pieces of the SentencePiece model; three are its controls and five specials take their place, so 8,000
                make the 8,002 ids of KoBERT
    coverage    the share of all characters that shall be known, from 0.98 to 1
    sample      learn from so many lines; of more, a random choice is held in memory
    at_most     where the text is too small for that many pieces, take as many as it gives
    raises      TokenizerError where the text is too small for that many pieces, or has more characters than these; for
                another coverage
    """
    chosen = _sample(lines, sample)
    if not chosen:
        raise TokenizerError("wanted lines of text to learn pieces from, got none that is not blank")
    try:
        model = _model(chosen, vocabulary, coverage)
    except RuntimeError as error:
        most = _most(str(error))
        if not (most and at_most):
            raise _too(str(error), vocabulary, coverage) from error
        model = _model(chosen, most, coverage)
    return of_model(model)


def _model(lines: list[str], vocabulary: int, coverage: float) -> bytes:
    from sentencepiece import SentencePieceTrainer

    written = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(lines),
        model_writer=written,
        model_type="unigram",
        vocab_size=vocabulary,
        character_coverage=coverage,
        normalization_rule_name="nmt_nfkc",
        max_sentence_length=1 << 20,
        minloglevel=3,
    )
    return written.getvalue()


def _sample(lines: Iterable[str], count: int) -> list[str]:
    """At most `count` of the lines that are not blank, each with the same chance; a pure function of the lines."""
    draw = seeds.generator(0, "vocabulary")
    chosen: list[str] = []
    for n, line in enumerate(line for line in lines if line.strip()):
        if n < count:
            chosen.append(line)
        elif (place := int(draw.integers(n + 1))) < count:
            chosen[place] = line
    return chosen


def _most(said: str) -> int:
    """How many pieces the text gives, where SentencePiece refuses because it is too small for more; else 0."""
    found = re.search(r"Vocabulary size too high.*<= (\d+)", said)
    return int(found[1]) if found else 0


def _too(said: str, vocabulary: int, coverage: float) -> TokenizerError:
    """SentencePiece's refusal in our words."""
    if most := _most(said):
        return TokenizerError(
            f"wanted {vocabulary:,} pieces, the text is too small for more than {most:,}; "
            "take fewer pieces or more text"
        )
    if found := re.search(r"required_chars\. \d+ vs (\d+)", said):
        return TokenizerError(
            f"wanted {vocabulary:,} pieces, the characters of the text alone are {int(found[1]):,}; "
            "take more pieces, or a lower coverage"
        )
    if "character_coverage() >=" in said:
        return TokenizerError(f"wanted a coverage from 0.98 to 1, got {coverage}; KoBERT's is 0.9995")
    return TokenizerError(f"SentencePiece could not learn {vocabulary:,} pieces: {said}")
