import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbkit.views import distances


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_line_a_layer_and_their_mean():
    values = np.array([[np.nan, 1, 2, 3, np.nan], [5, 3, 2, 1, np.nan]])
    ax = distances.plot(values, "share", window=1, level=0.2)
    *layers, mean = [line for line in ax.lines if len(line.get_xdata()) == 5]
    assert len(layers) == 2
    assert mean.get_xdata().tolist() == [-2, -1, 0, 1, 2]
    np.testing.assert_array_equal(mean.get_ydata(), [5, 2, 2, 2, np.nan])
    assert ax.get_ylabel() == "share"
    assert {text.get_text() for text in ax.get_legend().texts} == {"window", "if all looked alike", "a layer", "mean"}


def test_it_draws_into_axes_that_are_given():
    ax = plt.subplots()[1]
    assert distances.plot(np.ones((1, 3)), "x", ax=ax) is ax


@pytest.mark.parametrize("values", [np.ones(3), np.ones((1, 4)), np.full((1, 3), np.nan), np.zeros((0, 3))])
def test_bad_values(values):
    with pytest.raises(ValueError, match="wanted values"):
        distances.plot(values, "share")
