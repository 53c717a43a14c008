"""One output that does not grow, cheap enough to be called at every step, and true about the time."""

from __future__ import annotations

import io
import json
import math

import nbformat
import pytest
from nbclient import NotebookClient

from nbkit.views.progress import Display, Trace


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO, steps: int, seconds_a_step: float, start: int = 0, total: int = 0) -> Display:
    clock = Clock()
    display = Display("glow_tts-1a2b", total or steps, stream=stream, clock=clock)
    for step in range(start + 1, start + steps + 1):
        clock.now += seconds_a_step
        display.update({"step": step, "split": "train", "loss": 1 / step, "seconds": seconds_a_step})
    return display


def test_a_log_gets_a_line_every_ten_seconds():
    stream = io.StringIO()
    run(stream, 600, 0.125, total=1200).close()
    lines = stream.getvalue().splitlines()
    assert [int(line.split()[2].replace(",", "")) for line in lines] == [*range(1, 600, 80), 600]
    assert lines[0] == "glow_tts-1a2b step 1 of 1,200 (0 %) · loss 1"
    assert lines[5].startswith("glow_tts-1a2b step 401 of 1,200 (33 %) · 8.0 steps/s · 1 min 40 s left · loss 0.00249")
    assert " · 8.0 steps/s · stopped after 1 min 15 s · " in lines[-1]
    assert "\r" not in stream.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten():
    stream = Terminal()
    display = run(stream, 100, 0.1)
    display.note("set aside step-50: sha256 differs")
    display.close()
    text = stream.getvalue()
    assert text.count("\n") == 2
    assert text.count("\r") > 30
    assert "\r\x1b[Kset aside step-50: sha256 differs\n" in text
    assert text.endswith("\n")


def test_a_resumed_run_counts_its_own_steps_only():
    stream = io.StringIO()
    run(stream, 50, 0.5, start=10_000, total=20_000).close()
    assert "2.0 steps/s" in stream.getvalue()


def test_the_speed_is_that_of_the_last_minute():
    stream, clock = io.StringIO(), Clock()
    display = Display("run", 10_000, stream=stream, clock=clock)
    for step in range(1, 701):
        clock.now += 10.0 if step <= 100 else 0.5
        display.update({"step": step})
    display.close()
    assert stream.getvalue().splitlines()[-1].endswith(" · 2.0 steps/s · stopped after 21 min 40 s")


def test_slow_steps_are_given_in_seconds():
    stream = io.StringIO()
    run(stream, 3, 20.0).close()
    assert "20.0 s/step" in stream.getvalue()
    assert "done after 1 min 0 s" in stream.getvalue()


def test_closing_twice_or_before_the_first_step_is_fine():
    stream = io.StringIO()
    with Display("run", 10, stream=stream) as display:
        display.close()
    assert stream.getvalue().splitlines() == ["run step 0 of 10 (0 %) · stopped after 0 s"]


def test_validation_stands_beside_training():
    stream, clock = io.StringIO(), Clock()
    display = Display("run", 10, stream=stream, clock=clock)
    display.update({"step": 5, "loss": 2.0})
    display.update({"step": 5, "split": "validation", "loss": 3.0, "boundary_error_ms": float("nan"), "note": "가"})
    display.close()
    assert stream.getvalue().endswith(" · loss 2 · validation loss 3 · validation boundary error, ms nan\n")


def test_a_trace_is_bounded_and_keeps_its_course():
    trace = Trace()
    for i in range(10_001):
        trace.add(math.cos(i / 10_000 * math.pi))
    trace.add(math.nan)
    points = [tuple(map(float, pair.split(","))) for pair in trace.points(120, 20).split()]
    assert Trace.LIMIT / 2 <= len(points) < Trace.LIMIT
    assert [p[1] for p in points] == sorted(p[1] for p in points), "a falling value goes down the picture"
    assert points[0][0] == 1
    assert points[-1][0] == pytest.approx(119, abs=0.1)
    assert math.isnan(trace.newest)


NOTEBOOK = """
import time
from nbkit.views.progress import Display
picture = b"\\x89PNG" + bytes(60_000)
began = time.process_time()
with Display("<b>run</b>", 100_000) as display:
    display.note("starts at step 0")
    for step in range(1, 100_001):
        row = {"step": step, "split": "train", "loss": 1 / step, "mle": 1.0, "learning_rate": 1e-3, "seconds": 0.1}
        display.update(row, picture)
        if step % 500 == 0:
            display.update(row | {"split": "validation"}, picture)
time.process_time() - began
"""


@pytest.mark.parametrize("headless", ["", "1"])
def test_a_notebook_holds_one_output_after_a_hundred_thousand_steps(headless: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NBKIT_HEADLESS", headless)
    monkeypatch.setenv("PYTHONPATH", str(pytest.importorskip("nbkit").__path__[0] + "/.."))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    shown, seconds = notebook.cells[0].outputs
    assert len(json.dumps(notebook)) < 200_000
    assert float(seconds["data"]["text/plain"]) < 5
    page = shown["data"]["text/html"]
    assert ("data:image/png" in page) == (not headless)
    assert "step 100,000 of 100,000" in page
    assert "step 100,000 of 100,000 (100 %)" in shown["data"]["text/plain"]
    assert "starts at step 0" in page
    assert "&lt;b&gt;run&lt;/b&gt;" in page


def test_tokens_a_second_stand_beside_the_steps():
    stream, clock = io.StringIO(), Clock()
    display = Display("kobert-1a2b", 100, stream=stream, clock=clock)
    for step in range(1, 41):
        clock.now += 0.5
        display.update({"step": step, "split": "train", "amount": {"tokens": 600}, "loss": 1.0})
    display.close()
    assert "2.0 steps/s · 1,200 tokens/s · stopped after" in stream.getvalue().splitlines()[-1]
    assert "amount" not in stream.getvalue()
