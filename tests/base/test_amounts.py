"""Bytes and seconds for reading."""

import pytest

from nbkit.base.amounts import duration, size


def test_sizes():
    assert [size(n) for n in (0, 999, 25_000, 2_748_572_632)] == ["0 B", "999 B", "25 kB", "2.75 GB"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (5, "5 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (3700, "1 h 1 min"), (7300, "2 h 1 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
