"""Pictures of flows: one panel for each thing given, and what is drawn is what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbkit.views import flows


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_plane_draws_every_point():
    clouds = {"a": np.random.default_rng(0).normal(size=(30, 2)), "b": np.zeros((4, 2))}
    panels = flows.plane(clouds)
    assert [ax.get_title(loc="left") for ax in panels] == ["a", "b"]
    np.testing.assert_array_equal(panels[0].collections[0].get_offsets(), clouds["a"])
    with pytest.raises(ValueError, match=r"wants a matrix of 2 columns, got \[3, 3\]"):
        flows.plane({"a": np.zeros((3, 3))})


def test_squeezed_shows_the_order_of_the_decoder():
    """Channel c of joined frame f is band c % bands of frame f * joined + c // bands."""
    before, after = flows.squeezed(bands=3, frames=6, joined=2)
    drawn = {text.get_position(): text.get_text() for text in after.texts}
    assert drawn == {(f, c): f"{2 * f + c // 3}.{c % 3}" for f in range(3) for c in range(6)}
    assert {text.get_text() for text in before.texts} == set(drawn.values())


def test_reach_counts_the_ways():
    panels = flows.reach({"half": np.tril(np.ones((4, 4))), "none": np.eye(4)})
    assert [ax.get_title(loc="left") for ax in panels] == ["half: 62%", "none: 25%"]


def test_bells_and_latent():
    panels = flows.against_bell({"ᄒ": np.random.default_rng(0).normal(size=5000), "b": [0.0, 1.0]})
    assert panels[0].get_title(loc="left") == "ㅎ"
    assert "mean 0.50, deviation 0.50" in panels[1].get_xlabel()
    with pytest.raises(ValueError, match="wants finite numbers for 'x'"):
        flows.against_bell({"x": [np.nan]})
    mel, noise = flows.mel_and_latent(np.zeros((8, 10)), np.ones((8, 10)), 0.01)
    assert noise.get_xlim() == pytest.approx((0, 0.1))
    assert mel.images[0].get_array().shape == (8, 10)
