"""From latents to the prior of each frame: the same as with path matrices, and no likelihood without a path."""

import pytest
import torch

from nbkit.models.glow_tts import GlowTTS, GlowTTSConfig, frame_scores, model
from nbkit.models.glow_tts.model import align

SMALL = dict(hidden=16, filter=24, duration_filter=12, encoder_layers=1, blocks=2, decoder_hidden=12, decoder_layers=2)


def latents(sigma: float):
    """z, mean, log_sigma, token lengths, frame lengths; zero behind the ends, as the networks give them."""
    torch.manual_seed(0)
    T, F = torch.tensor([7, 3, 1]), torch.tensor([20, 12, 5])
    z, mean, log_sigma = torch.randn(3, 8, 20), torch.randn(3, 8, 7), sigma * torch.randn(3, 8, 7)
    z = z * (torch.arange(20) < F[:, None])[:, None]
    tokens = (torch.arange(7) < T[:, None])[:, None]
    return z, mean * tokens, log_sigma * tokens, T, F


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_the_prior_of_each_frame_is_that_of_its_token(sigma):
    z, mean, log_sigma, T, F = latents(sigma)
    path, z_mean, z_log_sigma = align(z, mean, log_sigma, T, F, unit=sigma == 0)
    matrix = torch.zeros(3, 7, 20)
    for b in range(3):
        matrix[b, path.frame_to_token[b, : F[b]], torch.arange(int(F[b]))] = 1
    assert torch.equal(matrix.sum(2).long(), path.durations)
    torch.testing.assert_close(z_mean, mean @ matrix)
    torch.testing.assert_close(z_log_sigma, log_sigma @ matrix)


def test_what_all_tokens_share_changes_no_path():
    z, mean, log_sigma, T, F = latents(0.0)
    full, short = (frame_scores(z, mean, log_sigma, unit=unit) for unit in (False, True))
    difference = full - short
    torch.testing.assert_close(difference, difference[:, :, :1].expand_as(difference), atol=1e-4, rtol=0)
    paths = [align(z, mean, log_sigma, T, F, unit=unit)[0] for unit in (False, True)]
    assert torch.equal(paths[0].durations, paths[1].durations)


def test_a_gradient_reaches_the_prior_and_not_the_search():
    z, mean, log_sigma, T, F = latents(0.0)
    mean.requires_grad_()
    path, z_mean, _ = align(z, mean, log_sigma, T, F, unit=True)
    z_mean.sum().backward()
    assert mean.grad is not None
    torch.testing.assert_close(mean.grad, path.durations[:, None].expand(-1, 8, -1).float())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_without_a_path_there_is_no_likelihood_and_no_gradient(monkeypatch, value):
    def poisoned(*given, **options):
        scores = frame_scores(*given, **options)
        scores[1, 2, 1] = value
        return scores

    torch.manual_seed(0)
    network = GlowTTS(GlowTTSConfig(vocabulary=11, bands=8, **SMALL))
    given = torch.randint(1, 11, (2, 5)), torch.tensor([5, 3]), torch.randn(2, 8, 16), torch.tensor([16, 10])
    assert torch.isfinite(network(*given).negative_log_likelihood())
    monkeypatch.setattr(model, "frame_scores", poisoned)
    out = network(*given)
    assert torch.isfinite(out.z).all(), "nothing but the search has seen it"
    assert out.log_determinant.isnan().tolist() == [False, True]
    loss = out.negative_log_likelihood()
    loss.backward()
    assert loss.isnan()
    norm = torch.nn.utils.get_total_norm([p.grad for p in network.decoder.parameters() if p.grad is not None])
    assert not torch.isfinite(norm), "or the loop would take the step"
