"""A tokenizer of ours as transformers wants it, for its collators, trainers and pipelines.

    tokenizer = for_transformers(kobert())
    tokenizer(["질문", "긴 질문"], padding=True, return_tensors="pt")

This module needs transformers, so nothing else imports it on loading; once it is loaded, AutoTokenizer opens the
folders of such a tokenizer too. Three things are transformers' way and not ours: a special that is written in a text
is that special, an empty second text is a text, and decode(skip_special_tokens=True) leaves [UNK] out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizer

from nbkit.data.tokenizer import BLANK, MODEL, SPECIALS, VOCABULARY, Tokenizer, TokenizerError

_NAMES = dict(zip(("unk_token", "pad_token", "cls_token", "sep_token", "mask_token"), SPECIALS))


def for_transformers(tokenizer: Tokenizer) -> KoBERTTokenizer:
    """The same ids, types, padding and truncation behind transformers' interface."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(folder)
        return KoBERTTokenizer(Path(folder) / MODEL)


class KoBERTTokenizer(PreTrainedTokenizer):
    """What from_pretrained() opens: a folder of save_pretrained(), or one of Tokenizer.save().

    raises  TokenizerError where the files do not fit each other, are not whole, or split Hangul
    """

    vocab_files_names = {"vocab_file": MODEL, "pieces_file": VOCABULARY}
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]

    def __init__(self, vocab_file: str | Path | None = None, pieces_file: str | Path | None = None, **settings):
        file = vocab_file or pieces_file
        if file is None:
            raise TokenizerError(f"wanted a folder with {MODEL} and {VOCABULARY}, got neither; save a tokenizer there")
        self._ours = Tokenizer.load(Path(file).parent)  # the list of ids lies beside the model
        self._reader = self._ours.with_added(SPECIALS)
        self._base = self._ours.vocabulary
        while self._ours.pieces[self._base - 1] in self._ours.added:
            self._base -= 1
        given = {"model_max_length": 512, "padding_side": "right", "special_tokens_pattern": "cls_sep", **_NAMES}
        own = {token: self._ours.index[token] for token in self._ours.added if token not in SPECIALS}
        super().__init__(**{**given, **settings})
        self.add_tokens([token for token in own if token not in self._added_tokens_encoder])

    @property
    def ours(self) -> Tokenizer:
        """The tokenizer behind this one, with the tokens that were added here."""
        self._follow()
        return self._ours

    def _follow(self) -> None:
        """Take over the tokens that transformers was told to add; both number them in the same way."""
        new = [token for token in self._added_tokens_encoder if token not in self._reader.added]
        if new:
            self._ours, self._reader = self._ours.with_added(new), self._reader.with_added(new)

    @property
    def vocab_size(self) -> int:
        """How many ids there are without added tokens; len() counts all."""
        return self._base

    def get_vocab(self) -> dict[str, int]:
        return dict(self._ours.index) | self._added_tokens_encoder

    def tokenize(self, text: str, **settings) -> list[str]:
        """The pieces of a text, [UNK] where there is none. split_special_tokens reads a written special as text."""
        self._follow()
        reader = self._ours if settings.get("split_special_tokens", self.split_special_tokens) else self._reader
        return [reader.pieces[i] for i in reader.ids(text)]

    def _convert_token_to_id(self, token: str) -> int:
        return self.ours.index.get(token, Tokenizer.unknown)

    def _convert_id_to_token(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise TokenizerError(f"wanted ids from 0 to {len(self) - 1}, got {index}; labels of -100 are no ids")
        return self.ours.pieces[index]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens).replace(BLANK, " ").strip()

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        if filename_prefix:
            raise TokenizerError(f"wanted no prefix of file names, got {filename_prefix!r}; take a folder of its own")
        for name, content in self.ours.files().items():
            (Path(save_directory) / name).write_bytes(content)
        return tuple(str(Path(save_directory) / name) for name in self.ours.files())


class _KoBERTConfig(PreTrainedConfig):
    """AutoTokenizer knows a tokenizer only by a configuration; the models themselves are BERT to transformers."""

    model_type = "kobert"


AutoTokenizer.register(_KoBERTConfig, slow_tokenizer_class=KoBERTTokenizer, exist_ok=True)
