"""Readable file names, there and back."""

from __future__ import annotations

import pytest

from nbkit.base.record import export_name, parse_export_name


def test_a_name_is_read_back():
    fields = {"n_blocks": 12, "lr": "1e-3", "step": 20_000, "val_mle": 0.412, "data": "제주-말", "loss": -0.5}
    name = export_name("glow_tts", **fields)
    assert name.startswith("glow_tts.n_blocks-12.lr-1e-3.step-20000.val_mle-0.412.")
    told = {key: str(value) for key, value in fields.items()}
    for ending in ("", ".safetensors", ".onnx"):
        assert parse_export_name(f"runs/{name}{ending}") == ("glow_tts", told)


@pytest.mark.parametrize("value", ["two words", "a/b", "x.step-3"])
def test_what_would_not_be_read_back_is_refused(value):
    with pytest.raises(ValueError, match="cannot stand in a file name"):
        export_name("glow_tts", text=value)
