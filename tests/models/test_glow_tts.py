"""Glow-TTS: what must hold whatever the weights are."""

import pytest
import torch

from nbkit.models.glow_tts import GlowTTS, GlowTTSConfig, frame_scores, sized
from nbkit.models.glow_tts.decoder import squeeze, unsqueeze
from nbkit.models.glow_tts.encoder import sequence_mask
from nbkit.models.glow_tts.layers import Dropout

SMALL = dict(hidden=16, filter=24, duration_filter=12, encoder_layers=2, blocks=3, decoder_hidden=12, decoder_layers=2)


def model(speakers=1, **fields):
    torch.manual_seed(0)
    made = GlowTTS(GlowTTSConfig(vocabulary=11, bands=8, speakers=speakers, speaker_channels=6, **(SMALL | fields)))
    with torch.no_grad():  # the couplings start as the identity, which would prove little
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def batch():
    torch.manual_seed(1)
    token_lengths, frame_lengths = torch.tensor([5, 3]), torch.tensor([15, 9])
    tokens = torch.randint(1, 11, (2, 5)) * (torch.arange(5) < token_lengths[:, None])
    mel = torch.randn(2, 8, 15) * (torch.arange(15) < frame_lengths[:, None])[:, None]
    return tokens, token_lengths, mel, frame_lengths


@pytest.mark.parametrize(
    ("size", "low", "high"), [("tiny", 1.3e6, 1.8e6), ("small", 5e6, 10e6), ("paper", 28623889, 28623889)]
)
def test_sizes(size, low, high):
    count = sum(p.numel() for p in GlowTTS(sized(size, vocabulary=148)).parameters())
    assert low <= count <= high


@pytest.mark.parametrize("fields", [{}, {"sigmoid_scale": True, "dilation_rate": 2, "split": 8}])
def test_decoder_is_invertible_and_knows_its_determinant(fields):
    decoder = model(**fields).decoder.double()
    x = torch.randn(1, 8, 6, dtype=torch.float64)
    mask = torch.ones(1, 1, 6, dtype=torch.float64)
    z, log_determinant = decoder(x, mask)
    torch.testing.assert_close(decoder.inverse(z, mask), x)
    assert (z - x).abs().max() > 0.1
    jacobian = torch.autograd.functional.jacobian(lambda v: decoder(v.view(1, 8, 6), mask)[0].flatten(), x.flatten())
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_determinant[0])


def test_squeeze_joins_neighbours():
    x = torch.arange(12.0).view(1, 2, 6)
    joined = squeeze(x, 2)
    assert joined[0, 0].tolist() == [0, 6, 1, 7]
    torch.testing.assert_close(unsqueeze(joined, 2), x)


def test_data_dependent_initialisation_normalises():
    made = GlowTTS(GlowTTSConfig(vocabulary=11, bands=8, **SMALL))
    mel = 3 + 5 * torch.randn(4, 8, 40)
    lengths = torch.tensor([40, 40, 31, 20])
    mask = sequence_mask(lengths // 2 * 2, 40)
    made.initialise(mel * mask, lengths)
    z = made.decoder(mel * mask, mask)[0]
    valid = z.transpose(0, 1)[:, mask[:, 0] > 0]
    torch.testing.assert_close(valid.mean(), torch.tensor(0.0), atol=0.05, rtol=0)
    torch.testing.assert_close(valid.var(), torch.tensor(1.0), atol=0.1, rtol=0)


def test_padding_changes_nothing():
    made = model()
    tokens, token_lengths, mel, frame_lengths = batch()
    together = made(tokens, token_lengths, mel, frame_lengths)
    alone = made(tokens[1:, :3], token_lengths[1:], mel[1:, :, :9], frame_lengths[1:])
    torch.testing.assert_close(together.z[1:, :, :8], alone.z)
    torch.testing.assert_close(together.log_durations[1:, :3], alone.log_durations)
    assert torch.equal(together.durations[1, :3], alone.durations[0])
    parts = [
        made(tokens[i : i + 1], token_lengths[i : i + 1], mel[i : i + 1], frame_lengths[i : i + 1]) for i in (0, 1)
    ]
    torch.testing.assert_close(together.negative_log_likelihood(), sum(p.negative_log_likelihood() for p in parts))
    torch.testing.assert_close(together.duration_error(), sum(p.duration_error() for p in parts))
    assert together.durations.sum(1).tolist() == [14, 8]


def test_frame_scores_are_log_densities():
    torch.manual_seed(2)
    z, mean, log_sigma = torch.randn(2, 8, 6), torch.randn(2, 8, 3), 0.3 * torch.randn(2, 8, 3)
    normal = torch.distributions.Normal(mean[:, :, None, :], log_sigma.exp()[:, :, None, :])
    torch.testing.assert_close(
        frame_scores(z, mean, log_sigma), normal.log_prob(z[..., None]).sum(1), atol=1e-4, rtol=1e-5
    )


def test_the_duration_predictor_does_not_train_the_encoder():
    made = model().train()
    out = made(*batch())
    out.duration_error().backward()
    assert made.encoder.embedding.weight.grad is None
    assert made.encoder.duration.projection.weight.grad.abs().sum() > 0


def test_synthesis_is_a_function_of_its_arguments():
    made = model()
    tokens, token_lengths, *_ = batch()

    def speak(seed, **how):
        return made.synthesise(tokens, token_lengths, generator=torch.Generator().manual_seed(seed), **how)

    assert torch.equal(speak(0).mel, speak(0).mel)
    assert not torch.equal(speak(0).mel, speak(1).mel)
    assert torch.equal(speak(0, noise_scale=0.0).mel, speak(1, noise_scale=0.0).mel)
    assert speak(0, length_scale=3.0).frame_lengths.sum() > 1.5 * speak(0).frame_lengths.sum()
    spoken = speak(0)
    assert torch.equal(spoken.durations.sum(1), spoken.frame_lengths)
    assert spoken.mel.shape == (2, 8, int(spoken.frame_lengths.max()))
    assert spoken.durations[1, 3:].sum() == 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"decoder_layers": 1, "squeeze": 1, "split": 2},
        {"sigmoid_scale": True, "speakers": 3},
        {"decoder_kernel": 3},
        {"dilation_rate": 2},
    ],
)
def test_one_item_alone_is_spoken_as_in_a_batch(fields):
    made = model(**fields)
    speaker = torch.randn(1, 6, 1).expand(2, -1, -1) if made.speaker is not None else None
    with torch.no_grad():
        for frames in (2, 6, 10, 12, 14, 40):  # alone, six squeezed frames are computed at a time
            z, mask = torch.randn(2, 8, frames), torch.ones(2, 1, frames)
            together = made.decoder.inverse(z, mask, speaker)
            given = z.clone()
            alone = made.decoder.inverse(z[:1], None, None if speaker is None else speaker[:1])
            assert torch.equal(z, given)
            torch.testing.assert_close(alone, together[:1], rtol=1e-5, atol=1e-5)
            assert made.decoder._is_quick(z[:1], None) == (not fields.keys() & {"decoder_kernel", "dilation_rate"})


def test_what_is_kept_follows_the_weights():
    made, other = model(), model(sigmoid_scale=False)
    tokens, token_lengths, *_ = batch()

    def speak(one):
        return one.synthesise(tokens[:1], token_lengths[:1], noise_scale=0.0).mel

    optimiser = torch.optim.Adam(made.parameters(), lr=0.01, fused=True)
    for _ in range(2):
        before = speak(made)
        assert torch.equal(before, speak(made))
        made(*batch()).negative_log_likelihood().backward()
        optimiser.step()
        optimiser.zero_grad()
        other.load_state_dict(made.state_dict())
        assert not torch.equal(before, speak(made))
        assert torch.equal(speak(made), speak(other))


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_dropout_keeps_the_mean_and_is_a_function_of_the_seed(p):
    layer, x = Dropout(p).train(), torch.ones(1000, 1001, requires_grad=True)
    torch.manual_seed(3)
    y = layer(x)
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=2e-3)
    assert y.mean().item() == pytest.approx(1, abs=3e-3)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y)
    torch.manual_seed(3)
    assert torch.equal(layer(x), y)
    assert torch.equal(layer.eval()(x), x)


def test_the_parts_of_a_block_are_the_block():
    block = model().decoder.blocks[0]
    x, mask = torch.randn(2, 5, 16), sequence_mask(torch.tensor([5, 3]), 5).transpose(1, 2)
    x = x * mask
    z, log_determinant = block(x, mask, None)
    y, first = block.norm(x, mask)
    y, second = block.mix(y, mask)
    y, third = block.coupling(y, mask, None)
    torch.testing.assert_close(y, z)
    torch.testing.assert_close(first + second + third, log_determinant)


def test_speakers():
    made = model(speakers=3)
    out = [made(*batch(), torch.tensor([speaker, 0])) for speaker in (1, 2)]
    assert not torch.allclose(out[0].z[0], out[1].z[0])
    torch.testing.assert_close(out[0].z[1], out[1].z[1])
    with pytest.raises(ValueError, match="3 speakers: say which"):
        made(*batch())


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match="hidden must divide into heads"):
        GlowTTSConfig(vocabulary=3, hidden=15)
    with pytest.raises(ValueError, match="split must be even"):
        GlowTTSConfig(vocabulary=3, split=3)
    with pytest.raises(ValueError, match="size must be one of tiny, small, paper, got 'huge'"):
        sized("huge", vocabulary=3)


def test_parts_of_different_batches_are_refused():
    tokens, token_lengths, mel, frame_lengths = batch()
    for given in (
        (tokens[:1], token_lengths, mel, frame_lengths),
        (tokens, token_lengths[:1], mel, frame_lengths),
        (tokens, token_lengths, mel[:, :6], frame_lengths),
    ):
        with pytest.raises(ValueError, match=r"wanted tokens \[B, T\], mel \[B, 8, F\] .*take them from one batch"):
            model()(*given)


@pytest.mark.parametrize(
    "how", [{"length_scale": 0.0}, {"length_scale": float("nan")}, {"noise_scale": float("nan")}, {"noise_scale": -1}]
)
def test_scales_out_of_range_are_refused(how):
    tokens, token_lengths, *_ = batch()
    with pytest.raises(ValueError, match="wanted a token or more, noise_scale from 0 and length_scale above 0"):
        model().synthesise(tokens, token_lengths, **how)
    with pytest.raises(ValueError, match="got 0 tokens"):
        model().synthesise(tokens[:, :0], 0 * token_lengths)


def test_what_is_not_finite_starts_no_flow():
    _, _, mel, frame_lengths = batch()
    mel[1, 3, 4] = float("inf")
    with pytest.raises(ValueError, match="wanted finite mels to start from"):
        model().initialise(mel, frame_lengths)
