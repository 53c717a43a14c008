"""What a tokenizer must be before anything reads with it, and what is said of one that is not, or of a bad text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

SPECIALS = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
KNOWN = "한국어 모델을 공유합니다.", [4958, 6855, 2046, 7088, 1050, 7843, 54]
PUBLISHED = "78b3253a26b9e6937c25a1c1f33fbeba"  # md5 of the model that gives these ids
COMMON = "이다는을가에의하고지한은로사기리서나도대어아자를인해시"  # syllables that no Korean text is without


class TokenizerError(ValueError):
    """A tokenizer that cannot be used, or a text that it cannot read."""


def processor_of(model: bytes) -> SentencePieceProcessor:
    """SentencePiece with this model in it. TokenizerError where the bytes are none."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except RuntimeError as error:
        raise TokenizerError(
            f"wanted a SentencePiece model, got {len(model):,} bytes that are none; copy the file again"
        ) from error
    return processor


def text_pieces(processor: SentencePieceProcessor) -> list[str]:
    """The pieces of a model that stand for text, in its order. TokenizerError where some stand for single bytes."""
    numbers = range(processor.GetPieceSize())
    if any(map(processor.IsByte, numbers)):
        raise TokenizerError("wanted a model whose pieces are text, got one with byte_fallback; train it without")
    return [processor.IdToPiece(i) for i in numbers if not processor.IsControl(i) and not processor.IsUnknown(i)]


def check_pieces(processor: SentencePieceProcessor, pieces: Sequence[str], added: Sequence[str]) -> None:
    """Refuse a list of pieces that does not belong to the model, or has the specials elsewhere."""
    if tuple(pieces[: len(SPECIALS)]) != SPECIALS:
        raise TokenizerError(f"wanted the specials {SPECIALS} as ids 0 to 4, got {tuple(pieces[: len(SPECIALS)])}")
    own, listed = set(text_pieces(processor)), set(pieces[len(SPECIALS) :]) - set(added)
    if len(set(pieces)) != len(pieces) or not own <= set(pieces) or not listed <= own:
        odd = sorted((own - set(pieces)) | (listed - own))[:3] or "a piece twice"
        raise TokenizerError(
            f"wanted a list of the {len(own):,} pieces of the model, got {len(pieces) - len(SPECIALS):,} "
            f"(only in one of both: {odd}); take the model and the vocabulary from the same place"
        )
    if len(pieces) > 1 << 16:
        raise TokenizerError(f"wanted at most 65,536 pieces, which two bytes can number, got {len(pieces):,}")


def lost_syllables(cut: Callable[[str], list[str]], known: Container[str]) -> list[str]:
    """Which of COMMON do not come through whole: they are letters, bytes or unknown behind `cut`, text to pieces."""
    read = "".join(piece for piece in cut(" ".join(COMMON)) if piece in known)
    return [syllable for syllable in COMMON if syllable not in read]


def check_hangul(cut: Callable[[str], list[str]], known: Container[str]) -> None:
    """Refuse what turns Hangul into letters or into nothing: a model would train on it without a complaint."""
    lost = lost_syllables(cut, known)
    if len(lost) > len(COMMON) // 2:
        raise TokenizerError(
            f"this tokenizer splits Hangul, or does not know it: of {len(COMMON)} common syllables {len(lost)} are "
            f"lost, {COMMON[0]!r} becomes {cut(COMMON[0])}; it wants a model that was trained on Korean text with the "
            "normaliser nmt_nfkc"
        )


def check_published(model: bytes, ids: list[int]) -> None:
    """Refuse KoBERT's own model where the ids of its known sentence are other ones than were published."""
    if hashlib.md5(model).hexdigest() == PUBLISHED and ids != KNOWN[1]:
        raise TokenizerError(
            f"KoBERT's {KNOWN[0]!r} wants the ids {KNOWN[1]}, got {ids}; its vocabulary is not the published one, or "
            "this version of sentencepiece reads it wrongly"
        )


def unreadable(texts: Sequence[object]) -> TokenizerError:
    """Which of the texts SentencePiece cannot read, and why."""
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            return TokenizerError(f"wanted texts, got {text!r} as number {n}")
        if lone := re.search("[\ud800-\udfff]", text):
            return TokenizerError(
                f"wanted Unicode, character {lone.start()} of text {n} is half of a surrogate pair; decode its file as "
                "UTF-8"
            )
    return TokenizerError(f"SentencePiece cannot read one of {len(texts)} texts")


def whole_file(path: Path) -> bytes:
    """A file, whole: the published ones carry the beginning of their md5 in their names."""
    content = path.read_bytes()
    told = re.search(r"_([0-9a-f]{10})\.", path.name)
    got = hashlib.md5(content).hexdigest()
    if told and not got.startswith(told[1]):
        raise TokenizerError(
            f"wanted {path} with an md5 that begins {told[1]}, as its name says, got {got} in {len(content):,} bytes; "
            "it is damaged or not whole, copy it again"
        )
    return content
