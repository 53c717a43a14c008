"""What the encoder of Glow-TTS looks at."""

import numpy as np
import pytest
import torch

from nbkit.data import text
from nbkit.data.audio import MelSpec
from nbkit.data.speech import BLANK, TokenReader
from nbkit.models.glow_tts import GlowTTS, GlowTTSConfig, Voice
from nbkit.models.glow_tts.encoder import sequence_mask

SMALL = dict(hidden=16, filter=24, duration_filter=12, encoder_layers=3, blocks=2, decoder_hidden=12, decoder_layers=1)


def model(vocabulary=11):
    torch.manual_seed(0)
    made = GlowTTS(GlowTTSConfig(vocabulary=vocabulary, bands=80, **SMALL))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


@torch.no_grad()
def test_looks_are_what_each_layer_does():
    encoder = model().encoder
    tokens, lengths = torch.randint(1, 11, (2, 14)), torch.tensor([14, 6])
    mask = sequence_mask(lengths, 14)
    weights, window = encoder.looks(tokens, mask)
    assert weights.shape == (2, 3, 2, 14, 14)
    assert window.shape == (2, 3, 2, 9)
    seen = []
    encoder.hidden(tokens, mask.transpose(1, 2), lambda attention, x: seen.append((attention, x)))
    attention, x = seen[1]
    torch.testing.assert_close(attention.weights(x, mask.transpose(1, 2)), weights[:, 1])
    query = attention._split(attention.query(x)) / 8**0.5
    for b, length in enumerate(lengths.tolist()):
        assert not weights[b, :, :, :length, length:].any()  # nobody looks behind the end
        for d in range(-4, 5):
            there = [t for t in range(length) if 0 <= t + d < length]
            wanted = (query[b, :, there] @ attention.relative_key[d + 4]).mean(1) if there else torch.zeros(2)
            torch.testing.assert_close(window[b, 1, :, d + 4], wanted)


@torch.no_grad()
def test_padding_does_not_change_what_is_seen():
    encoder = model().encoder
    tokens = torch.randint(1, 11, (1, 9))
    alone = encoder.looks(tokens, torch.ones(1, 1, 9))
    padded = encoder.looks(
        torch.cat([tokens, torch.zeros(1, 5, dtype=torch.int64)], 1), sequence_mask(torch.tensor([9]), 14)
    )
    torch.testing.assert_close(padded[0][:, :, :, :9, :9], alone[0])
    torch.testing.assert_close(padded[1], alone[1])


@pytest.mark.parametrize("blank", [False, True])
def test_a_voice_tells_what_it_looks_at(blank):
    reader = TokenReader(text.front_end("jamo"), blank)
    voice = Voice(model(len(reader.symbols)), reader, MelSpec(), ("",), "ko")
    looks = voice.looks("같이 가자")
    tokens = len(reader.read("같이 가자").ids)
    assert looks.weights.shape == (3, 2, tokens, tokens)
    assert looks.window.shape == (3, 2, 9)
    assert len(looks.symbols) == tokens
    assert (BLANK in looks.symbols) == blank
    np.testing.assert_allclose(looks.weights.sum(-1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="wanted a text to speak, got an empty one"):
        voice.looks(" ")
