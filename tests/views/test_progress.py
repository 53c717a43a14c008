"""One output that does not grow, cheap enough to be called at every step, and true about the time."""

from __future__ import annotations

import base64
import io
import json
import math
import re

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from nbkit.views import course, sample
from nbkit.views.course import Trace
from nbkit.views.progress import Display


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
    for step in range(10_001):
        trace.add(step, math.cos(step / 10_000 * math.pi))
    trace.add(10_001, math.nan)
    points = trace.points()
    assert Trace.LIMIT / 2 <= len(points) <= Trace.LIMIT
    assert [value for _, value in points] == sorted((value for _, value in points), reverse=True)
    assert points[0][0] < 100
    assert points[-1][0] == pytest.approx(10_000, abs=100)
    for step, value in points:
        assert value == pytest.approx(math.cos(step / 10_000 * math.pi), abs=0.01)
    assert math.isnan(trace.newest)


def test_both_splits_share_one_axis_of_steps():
    train, validation = Trace(), Trace()
    for step in range(1, 101):
        train.add(step, 100 - step)
    for step in (0, 50, 100):
        validation.add(step, 100 - step)
    (drawn,) = course.tiles({"boundary_error_ms": {"validation": validation, "train": train}})
    assert drawn["name"] == "boundary error, ms"
    assert drawn["numbers"] == [("train", "0"), ("validation", "0")]
    places = {c["split"]: [tuple(map(int, p.split(","))) for p in c["line"].split()] for c in drawn["curves"]}
    train_line, validation_line = places["train"], places["validation"]
    assert validation_line[1] == pytest.approx(train_line[49], abs=1)
    for x, y in train_line + validation_line:
        assert 0 <= x <= course.WIDTH
        assert 0 <= y <= course.HEIGHT


def test_the_first_steps_do_not_press_the_rest_flat():
    trace = Trace()
    for step in range(100):
        trace.add(step, 1e6 if step == 0 else 1 - step / 100)
    (drawn,) = course.tiles({"loss": {"train": trace}})
    assert float(drawn["high"]) < 1.1
    (curve,) = drawn["curves"]
    heights = [int(point.split(",")[1]) for point in curve["line"].split()]
    assert heights[0] == 4, "what is out of reach is drawn at the edge"
    assert heights[-1] == course.HEIGHT - 4


def test_a_single_value_and_a_constant_one_can_be_drawn():
    one, same, lost = Trace(), Trace(), Trace()
    one.add(5, 2.0)
    lost.add(5, math.inf)
    for step in range(9):
        same.add(step, 3.0)
    drawn = course.tiles({"loss": {"validation": one}, "same": {"train": same}, "lost": {"train": lost}})
    assert drawn[0]["curves"][0]["end"]
    assert drawn[1]["low"] == ""
    assert drawn[2]["curves"] == []
    assert drawn[2]["numbers"] == [("train", "inf")]


def test_all_curves_share_the_axis_of_steps():
    whole, late = Trace(), Trace()
    for step in range(101):
        whole.add(step, step)
    late.add(50, 1.0)
    drawn = course.tiles({"boundary_error_ms": {"validation": late}, "loss": {"train": whole}})
    assert [tile["name"] for tile in drawn] == ["loss", "boundary error, ms"]
    assert int(drawn[1]["curves"][0]["end"].split(",")[0]) == pytest.approx(course.WIDTH / 2, abs=1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.41234, "0.4123"), (9.619e-4, "9.6e-4"), (-0.0, "-0"), (1234.5, "1,234"), (3.2e9, "3.2e9"), (math.nan, "nan")],
)
def test_numbers_of_any_size_keep_to_their_place(value: float, text: str):
    assert course.short(value) == text


class Kernel:
    """What a page of notebooks receives, and what it would save: each output as it is now, by its id."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        from IPython import display

        self.outputs: dict[str, dict[str, str]] = {}
        self.clock = Clock()
        self.sent: list[tuple[float, str, int]] = []  # time, id, bytes
        monkeypatch.setattr("nbkit.base.colab.in_kernel", lambda: True)
        monkeypatch.setattr(display, "display", self.display)
        monkeypatch.setattr(display, "update_display", self.update)

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
        assert display_id not in self.outputs
        self.outputs[display_id] = {}
        self.update(bundle, raw=raw, display_id=display_id)

    def update(self, bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
        assert raw
        assert display_id in self.outputs
        self.outputs[display_id] = bundle
        self.sent.append((self.clock.now, display_id, len(json.dumps(bundle))))

    def shown(self, what: str) -> dict[str, str]:
        (name,) = (name for name in self.outputs if name.startswith(f"nbkit-{what}-"))
        return self.outputs[name]

    def times(self, what: str) -> list[float]:
        return [time for time, name, _ in self.sent if name.startswith(f"nbkit-{what}-")]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def noise(width: int = 1200, height: int = 900) -> bytes:
    """A PNG that hardly gets smaller."""
    from PIL import Image

    buffer = io.BytesIO()
    grain = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(grain).save(buffer, "PNG")
    return buffer.getvalue()


def hiss(seconds: float = 20.0, rate: int = 22050) -> tuple[np.ndarray, int]:
    return np.random.default_rng(0).uniform(-0.4, 0.4, int(seconds * rate)).astype(np.float32), rate


def test_a_hundred_thousand_steps_fit_into_a_notebook_and_through_a_slow_line(kernel: Kernel):
    grain, sound = noise(400, 300), hiss()
    with Display("glow_tts-1a2b", 100_000, clock=kernel.clock) as display:
        display.facts["saved"] = "nothing yet"
        display.note("starts at step 0")
        for step in range(1, 100_001):
            kernel.clock.now += 0.015
            names = ("loss", "mle", "duration", "gradient_norm", "learning_rate", "skipped")
            display.update({"step": step, "amount": {"frames": 4000}, **{name: 1 / step for name in names}})
            if step % 10_000 == 0:
                display.update({"step": step, "split": "validation", "loss": 2.0, "mle": 1.0, "boundary_error_ms": 9.0})
                display.show(step, grain, sound, "같이 가자고")
    assert len(kernel.outputs) == 2
    assert len(json.dumps(list(kernel.outputs.values()))) < 200_000
    assert "step 100,000 of 100,000" in kernel.shown("numbers")["text/html"]
    minutes: dict[int, int] = {}
    for moment, _, size in kernel.sent:
        minutes[int(moment // 60)] = minutes.get(int(moment // 60), 0) + size
    assert max(minutes.values()) < 60 * 25_000
    assert sorted(minutes.values())[len(minutes) // 2] < 60 * 15_000


def test_a_sound_that_plays_is_left_alone_until_there_is_another(kernel: Kernel):
    display = Display("run", 1000, clock=kernel.clock)
    display.show(0, None, hiss(1.0), "first")
    for step in range(1, 500):
        kernel.clock.now += 1.0
        display.update({"step": step, "loss": 1.0})
    assert len(kernel.times("sample")) == 1
    assert len(kernel.times("numbers")) > 400
    display.show(500, None, hiss(1.0), "second")
    assert len(kernel.times("sample")) == 2
    assert "second" in kernel.shown("sample")["text/html"]


def test_samples_that_come_fast_are_shown_at_the_pace_of_the_line_and_the_last_one_stays(kernel: Kernel):
    with Display("run", 1000, clock=kernel.clock) as display:
        for step in range(1, 51):
            kernel.clock.now += 0.1
            display.update({"step": step, "loss": 1.0})
            display.show(step, None, hiss(2.0), f"number {step}")
    assert 2 <= len(kernel.times("sample")) < 10
    assert "number 50" in kernel.shown("sample")["text/html"]


def test_a_sound_is_an_mp3_of_its_beginning_as_loud_as_it_is():
    import soundfile

    wave, rate = hiss(20.0)
    address = sample.sound(0.1 * wave, rate)
    head, data = address.split(",")
    assert head == "data:audio/mpeg;base64"
    assert len(data) < 60_000
    heard, found = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert found == rate
    assert len(heard) / rate == pytest.approx(sample.SECONDS, abs=0.2)
    assert np.abs(heard).max() < 0.1
    assert np.abs(heard[rate : 2 * rate]).max() > 0.02


def test_a_rate_that_mp3_does_not_know_becomes_a_wav():
    assert sample.sound(np.zeros(100, np.float32), 10_000).startswith("data:audio/wav;base64,")


@pytest.mark.parametrize(
    ("wave", "rate"),
    [
        (np.zeros(0, np.float32), 22050),
        (np.zeros((2, 50), np.float32), 22050),
        (np.full(50, np.nan), 22050),
        (np.zeros(50, np.int16), 22050),
        (np.zeros(50, np.float32), 0),
    ],
)
def test_what_is_no_sound_is_refused(kernel: Kernel, wave, rate):
    with pytest.raises(ValueError, match="a sample wants"):
        Display("run", 10).show(1, None, (wave, rate))


@pytest.mark.parametrize("png", [b"GIF89a", b"\x89PNG" + bytes(70_000)])
def test_what_is_no_picture_is_refused(kernel: Kernel, png: bytes):
    with pytest.raises(ValueError, match="a sample wants"):
        Display("run", 10).show(1, png)


def test_a_small_picture_is_shown_as_it_is_and_a_large_one_smaller():
    small = noise(50, 50)
    assert sample.picture(small) == "data:image/png;base64," + base64.b64encode(small).decode()
    assert len(sample.picture(noise())) < 82_000


HOSTILE = [
    "<script>alert(1)</script>",
    "</style></div>",
    "\"' onload=x",
    "\u202eabc",
    "😀",
    "가" * 300,
    "\ud800",
    "$\\frac{$",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(kernel: Kernel, text: str):
    with Display(text, 10, clock=kernel.clock) as display:
        display.aside = display.facts["saved"] = text
        display.facts[text] = "1"
        display.gauges = lambda: {text: text}
        display.note(text)
        display.table([text], [[text]])
        for step in (1, 2):
            display.update({"step": step, "split": text, text: float(step), "amount": {text: 1}})
            kernel.clock.now += 5
        display.show(1, noise(9, 9), hiss(0.1), text)
    numbers, newest = (kernel.shown(what)["text/html"] for what in ("numbers", "sample"))
    for page in (numbers, newest):
        page.encode()  # a kernel sends UTF-8
        assert "<script" not in page
        assert page.count("</style>") == page.count("<style>")
        assert "' onload=x" not in page.replace("&#34;&#39; onload=x", "")
    assert display.picture().startswith(b"\x89PNG")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_log_takes_any_text(text: str):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf8")
    with Display(text, 10, stream=stream) as display:
        display.aside = display.facts["saved"] = text
        display.table([text], [[text]])
        display.update({"step": 1, "split": text, text: 1.0})
    stream.seek(0)
    assert "step 1 of 10" in stream.read()


def test_the_places_stay_while_numbers_change(kernel: Kernel):
    def shape(page: str) -> list[str]:
        return re.findall(r"<(\w+)", page)

    display = Display("run", 100_000, clock=kernel.clock)
    display.facts["saved"] = "nothing yet"
    shapes = []
    for step in range(1, 5000):
        kernel.clock.now += 1.0
        display.update({"step": step, "amount": {"tokens": 9}, "loss": 10.0**-step if step < 300 else math.nan})
        if step in (100, 1000, 4999):
            display.facts["saved"] = f"step {step:,}"
            shapes.append(shape(kernel.shown("numbers")["text/html"]))
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize(
    ("state", "word"), [("finished", "done"), ("paused", "paused"), ("interrupted", "stopped"), ("failed", "failed")]
)
def test_it_ends_in_the_state_that_the_run_is_in(kernel: Kernel, state: str, word: str):
    display = Display("run", 100, clock=kernel.clock)
    for step in range(1, 41):
        kernel.clock.now += 3
        display.update({"step": step, "loss": 1.0})
    display.facts["saved"] = "step 30"
    display.end(state)
    display.close()
    shown = kernel.shown("numbers")
    assert f"{word} after 2 min 0 s" in shown["text/plain"]
    assert f"{word} after 2 min 0 s" in shown["text/html"]
    assert "saved step 30" in shown["text/plain"]
    assert " left" not in shown["text/plain"]


def test_an_end_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="finished, paused, interrupted, failed, got 'over'"):
        Display("run", 1, stream=io.StringIO()).end("over")


@pytest.mark.parametrize(("error", "word"), [(KeyboardInterrupt, "stopped"), (RuntimeError, "failed")])
def test_what_breaks_the_block_is_told(error: type[BaseException], word: str):
    def broken() -> None:
        with Display("run", 10, stream=stream, clock=Clock()) as display:
            display.update({"step": 4})
            raise error

    stream = io.StringIO()
    with pytest.raises(error):
        broken()
    assert stream.getvalue().splitlines()[-1] == f"run step 4 of 10 (40 %) · {word} after 0 s"


def test_earlier_sessions_are_on_the_curves_and_not_in_the_speed(kernel: Kernel):
    display = Display("run", 2000, clock=kernel.clock)
    for step in range(1, 1001):
        display.recall({"step": step, "split": "train", "loss": 1.0, "amount": {"tokens": 9}})
    for step in range(1001, 1011):
        kernel.clock.now += 1.0
        display.update({"step": step, "split": "train", "loss": 0.5, "amount": {"tokens": 9}})
    page = kernel.shown("numbers")["text/html"]
    assert "1.0 steps/s" in page
    assert "tokens a second</span>9<" in page
    assert len(re.search(r'<polyline points="([^"]+)"', page)[1].split()) > 50


def test_nobody_watching_gets_lines_and_one_picture_at_the_end(kernel: Kernel, monkeypatch, capsys):
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    display = Display("run", 100, clock=kernel.clock)
    display.note("starts at step 0")
    display.table(["step"], [["40"]])
    for step in range(1, 101):
        kernel.clock.now += 1.0
        display.update({"step": step, "loss": 1 / step})
        display.show(step, noise(9, 9), hiss(0.1))
        display.note("a step, done")
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == ["starts at step 0", "step", "40", "a step, done"]
    assert len(printed) == 102, "what is printed stays, so it has an end"
    assert {*kernel.shown("numbers")} == {"text/plain"}
    assert len(kernel.sent) <= 21
    display.close()
    assert len(kernel.outputs) == 1
    shown = kernel.shown("numbers")
    assert {*shown} == {"text/plain", "image/png"}
    assert base64.b64decode(shown["image/png"]) == display.picture()
    assert len(shown["image/png"]) < 100_000


def test_the_picture_of_a_run_without_curves_is_empty():
    display = Display("features", 10, stream=io.StringIO())
    display.update({"step": 10})
    display.close()
    assert display.picture() == b""


NOTEBOOK = """
import time
import numpy as np
from nbkit.views.progress import Display
tone = np.sin(np.arange(22050) * 0.1) * 0.3, 22050
began = time.process_time()
with Display("<b>run</b>", 100_000) as display:
    display.note("starts at step 0")
    for step in range(1, 100_001):
        row = {"step": step, "split": "train", "loss": 1 / step, "mle": 1.0, "learning_rate": 1e-3, "seconds": 0.1}
        display.update(row)
        if step % 5000 == 0:
            display.update(row | {"split": "validation"})
            display.show(step, None, tone, "같이")
time.process_time() - began
"""


@pytest.mark.parametrize("headless", ["", "1"])
def test_a_kernel_keeps_what_was_shown_last(headless: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NBKIT_HEADLESS", headless)
    monkeypatch.setenv("PYTHONPATH", str(pytest.importorskip("nbkit").__path__[0] + "/.."))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    printed = [output.text for output in notebook.cells[0].outputs if output.output_type == "stream"]
    shown, *newest, seconds = (output for output in notebook.cells[0].outputs if output.output_type != "stream")
    assert len(json.dumps(notebook)) < 200_000
    assert float(seconds["data"]["text/plain"]) < 5
    assert "step 100,000 of 100,000 (100 %)" in shown["data"]["text/plain"]
    if headless:
        assert "image/png" in shown["data"]
        assert not newest
        assert printed == ["starts at step 0\n"]
    else:
        assert "starts at step 0" in shown["data"]["text/html"]
        assert "&lt;b&gt;run&lt;/b&gt;" in shown["data"]["text/html"]
        assert "data:audio/mpeg" in newest[0]["data"]["text/html"]


def test_tokens_a_second_stand_beside_the_steps():
    stream, clock = io.StringIO(), Clock()
    display = Display("kobert-1a2b", 100, stream=stream, clock=clock)
    for step in range(1, 41):
        clock.now += 0.5
        display.update({"step": step, "split": "train", "amount": {"tokens": 600}, "loss": 1.0})
    display.close()
    assert "2.0 steps/s · 1,200 tokens/s · stopped after" in stream.getvalue().splitlines()[-1]
    assert "amount" not in stream.getvalue()
