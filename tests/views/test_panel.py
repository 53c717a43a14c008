"""The panel of parameters: fields, checks, commands, and runs beside the kernel that are found, stopped and told of."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from nbkit.base import record
from nbkit.base.params import Params, ParamsError, param
from nbkit.views import background, knobs
from nbkit.views.panel import VIEW, Panel

EVIL = "<script>alert('가')</script> & \"x\" \u202eabc\u202c 😀 " + "가" * 300


@dataclass(frozen=True)
class Toy(Params):
    text: str = param("안녕", "What is <b>said</b>. `a <i> b` shows it.")
    size: str = param("tiny", "Of the model.", choices=("tiny", "paper"))
    learning_rate: float = param(3e-3, "Greatest rate.", low=0.0)
    warmth: float = param(0.5, "Of the voice.", low=0.0, high=2.0)
    blank: bool = param(False, "Put blanks.")
    stop_at: int = param(100, "The end.", unit="steps", low=1, identity=False)
    workers: int = param(0, "Processes.", low=0, high=16, identity=False)
    PRESETS: ClassVar = {"smoke": {"stop_at": 5, "size": "paper"}}


@pytest.fixture(autouse=True)
def _outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NBKIT_HEADLESS", raising=False)


def shown(panel: Panel, name: str) -> str:
    return panel._inputs[name]._words.value


def test_untouched_it_gives_the_parameters_of_the_notebook():
    config = Toy(learning_rate=1.1410886e-3, warmth=0.667)
    panel = Panel(config, "01_drive_resume")
    panel.widget()
    assert panel.config is config
    panel.use()
    assert panel.config == config


def test_what_is_typed_is_used_only_when_asked_for():
    panel = Panel(Toy(), "01_drive_resume")
    panel.widget()
    panel._inputs["warmth"].entry.value = "1.5"
    panel._inputs["blank"].entry.value = True
    assert panel.config == Toy()
    assert panel._inputs["warmth"].slider.value == 1.5
    assert "Not in use here yet: warmth, blank" in panel._note.value
    panel._actions[0].click()
    assert panel.config == Toy(warmth=1.5, blank=True)


def test_a_slider_moves_the_field():
    panel = Panel(Toy(), "01_drive_resume")
    panel.widget()
    panel._inputs["learning_rate"].entry.value = "lots"
    panel._inputs["learning_rate"].slider.value = 0.01
    panel._inputs["workers"].slider.value = 3
    assert panel.draft() == Toy(learning_rate=0.01, workers=3)
    assert type(panel.draft().workers) is int


def test_a_page_that_rounds_a_slider_to_its_steps_changes_nothing():
    panel = Panel(Toy(warmth=0.667), "01_drive_resume")
    panel.widget()
    panel._inputs["learning_rate"].slider.value = 10**-2.5
    panel._inputs["warmth"].slider.value = 0.67
    assert panel.draft() == Toy(warmth=0.667)


def test_a_rate_of_zero_or_beyond_the_slider_is_kept_as_typed():
    panel = Panel(Toy(), "01_drive_resume")
    panel.widget()
    for typed in ("0", "50"):
        panel._inputs["learning_rate"].entry.value = typed
        assert panel.draft().learning_rate == float(typed)


@pytest.mark.parametrize("typed", ["abc", "-1", "", "nan", "1e999"])
def test_a_bad_value_is_said_under_its_field_and_the_buttons_wait(typed: str):
    panel = Panel(Toy(), "01_drive_resume")
    panel.widget()
    panel._inputs["learning_rate"].entry.value = typed
    assert "learning_rate wants a number of at least 0.0" in shown(panel, "learning_rate")
    assert all(button.disabled for button in panel._actions)
    with pytest.raises(ParamsError):
        panel.use()
    panel._inputs["learning_rate"].entry.value = "0.1"
    assert not any(button.disabled for button in panel._actions)
    assert "wants" not in shown(panel, "learning_rate")


def test_presets_and_the_last_run_are_set_and_marked():
    with record.Record.open("toy", Toy(text="그제", learning_rate=0.02), "data"):
        pass
    panel = Panel(Toy(), "01_drive_resume", task="toy")
    panel.widget()
    assert "last run 그제" in shown(panel, "text")
    starts = {button.description: button for button in panel.widget().children[0].children}
    assert list(starts) == ["defaults", "smoke preset", "last run"]
    starts["smoke preset"].click()
    assert panel.draft() == Toy.preset("smoke")
    assert "default 100" in shown(panel, "stop_at")
    starts["last run"].click()
    assert panel.draft() == Toy(text="그제", learning_rate=0.02)


def test_the_command_says_what_differs_and_a_shell_reads_it():
    panel = Panel(Toy(), "22_glow_train")
    assert panel.command() == "nbkit run 22_glow_train"
    said = "그는 \"네, 'x'\" $HOME `ls` 라고"
    panel.set({"text": said, "blank": True, "stop_at": 5, "size": "paper"})
    words = shlex.split(panel.command())
    assert words == ["nbkit", "run", "22_glow_train", "--preset", "smoke", "-p", "text", said, "-p", "blank", "true"]
    assert subprocess.run(["sh", "-c", f"printf '%s\\n' {shlex.join(words)}"], capture_output=True).stdout.decode() == (
        "\n".join(words) + "\n"
    )


def test_without_a_kernel_a_table_stands_there(monkeypatch: pytest.MonkeyPatch):
    alive = Panel(Toy(text=EVIL), "22_glow_train")._repr_mimebundle_()
    assert alive[VIEW]["model_id"]
    assert "<script>" not in alive["text/html"]
    assert "<b>said" not in alive["text/html"]
    assert "The end. [steps]" in alive["text/html"]
    monkeypatch.setenv("NBKIT_HEADLESS", "1")
    assert set(Panel(Toy(), "22_glow_train")._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_hostile_texts_stay_text():
    with record.Record.open("toy", Toy(text=EVIL), "data"):
        pass
    panel = Panel(Toy(), "22_glow_train", task="toy")
    panel.set({"text": EVIL + "x"})
    panel._show_command()
    for said in (shown(panel, "text"), panel._line.value):
        assert "<script>alert" not in said
    assert "&lt;b&gt;said&lt;/b&gt;. <code>a &lt;i&gt; b</code>" in shown(panel, "text")


def test_what_is_no_config_is_refused():
    with pytest.raises(ValueError, match="instance of a Params"):
        Panel(Toy, "22_glow_train")  # pyright: ignore[reportArgumentType]


# --- runs beside the kernel, with a program in the place of `nbkit run`

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
from nbkit.base import record, workspace
run = workspace.runs() / "toy-12345678"
run.mkdir(parents=True, exist_ok=True)
def end(state, code, error=""):
    told = {"state": state, "cell": 2, "error": error, "seconds": 1.5, "folder": str(run)}
    record.write_json(Path(os.environ["NBKIT_OUTCOME"]), told)
    sys.exit(code)
signal.signal(signal.SIGTERM, lambda *_: end("stopped", 143, "stopped by SIGTERM"))
running = workspace.runs() / ".running"
running.mkdir(exist_ok=True)
(running / f"toy-{os.getpid()}.pointer").write_text(str(run))
record.write_json(run / "status.json", {"state": "running", "step": 40})
print("[1/3] train", flush=True)
text = sys.argv[sys.argv.index("text") + 1]
if text == "short":
    (run / "report.html").write_text("x")
    end("ok", 0)
if text == "bad":
    print("Traceback\\nValueError: <b>bad</b>", flush=True)
    end("failed", 1, "ValueError: <b>bad</b>")
if text == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs PROGRAM instead of `nbkit run`; gives what waits until something is true."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    monkeypatch.setattr(background, "_RUN", (sys.executable, str(script)))
    yield _until
    for job in background.jobs("toy_nb"):
        if job.alive():
            os.killpg(job.about["process"], signal.SIGKILL)
            _until(lambda job=job: not job.alive())


def _until(true) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "waited for 20 s"
        time.sleep(0.02)


def test_a_run_is_followed_cancelled_and_told_of(program):
    job = background.start("toy_nb", Toy(text="long"))
    program(lambda: job.progress() == (40, 100))
    assert job.tail(3) == ["[1/3] train"]
    assert job.told().startswith("running for")
    job.cancel()
    program(lambda: not job.alive())
    assert job.told().startswith("stopped after 2 s; the same parameters go on")
    assert not [p for p in background._children if p == job.about["process"]], "the zombie is reaped"


def test_what_two_looks_at_a_run_note_is_kept(program):
    job = background.start("toy_nb", Toy(text="long"))
    program(lambda: (job.folder / background.JOB).exists())
    (other,) = background.jobs("toy_nb")
    job._note("cancelled", True)
    other._note("run", "somewhere")
    (found,) = background.jobs("toy_nb")
    assert (found.about["cancelled"], found.about["run"]) == (True, "somewhere")


def test_one_run_of_one_identity_also_from_another_kernel(program):
    job = background.start("toy_nb", Toy(text="long"))
    assert background.start("toy_nb", Toy(text="long", stop_at=7)).about["process"] == job.about["process"]
    other = background.start("toy_nb", Toy(text="long", warmth=1.0))
    assert other.name != job.name
    code = "from nbkit.views import background as b; print([(j.name, j.alive()) for j in b.jobs('toy_nb')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str([(other.name, True), (job.name, True)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("short", "done after 2 s"),
        ("bad", "failed in In [2] after 2 s: ValueError"),
        ("killed", "ended without a word"),
    ],
)
def test_ends_are_told_in_words(program, text: str, told: str):
    panel = Panel(Toy(text=text), "toy_nb")
    panel.widget()
    job = panel.run()
    program(lambda: not job.alive())
    assert job.told().startswith(told)
    program(lambda: told in panel._jobs._rows[job.name]._text.value)
    row = panel._jobs._rows[job.name]
    assert row._stop.layout.display == "none"
    assert "<b>bad" not in row._text.value
    assert ("&lt;b&gt;bad" in row._text.value) == (text == "bad")
    assert ("report.html" in str(row._links.outputs)) == (text == "short")
    program(lambda: not panel._jobs._watching)
    assert not [one for one in threading.enumerate() if one.name == "runs of toy_nb"]


def test_a_number_that_another_process_has_now_is_not_taken_for_the_run(program):
    job = background.start("toy_nb", Toy(text="short"))
    program(lambda: not job.alive())
    about = job.about | {"process": os.getpid()}
    (job.folder / background.JOB).write_text(json.dumps(about))
    assert not background.jobs("toy_nb")[0].alive()


def test_what_is_no_job_is_passed_over(tmp_path: Path):
    folder = tmp_path / "outputs" / "background" / "toy_nb-12345678"
    folder.mkdir(parents=True)
    for content in ("", "{", "[]", "{}"):
        (folder / background.JOB).write_text(content)
        assert background.jobs("toy_nb") == []


# --- knobs


class Speaker:
    """Makes sound slowly, and notes what was asked of it."""

    def __init__(self, seconds: float = 0.03):
        self.seconds, self.asked = seconds, []

    def __call__(self, draft: bool, values: dict) -> tuple[np.ndarray, int]:
        self.asked.append((draft, dict(values)))
        time.sleep(self.seconds)
        return np.full(100, 0.1, np.float32), 16000


def test_a_held_knob_never_lags_and_ends_in_the_full_sound():
    speak = Speaker()
    made = knobs.Knobs(speak, Toy(), ("warmth", "size"))
    made.widget()
    for value in np.linspace(0, 2, 50):
        made.turn("warmth", float(value))
        time.sleep(0.002)
    _until(lambda: not made._working)
    drafts = [values["warmth"] for draft, values in speak.asked if draft]
    assert len(drafts) < 20, "requests in between are dropped"
    assert drafts[1:] == sorted(drafts[1:]), "none is older than the one before; the first is of the start"
    assert speak.asked[-1] == (False, {"warmth": 2.0, "size": "tiny"})
    assert [draft for draft, _ in speak.asked].count(False) == 1
    assert "full sound" in made._note.value
    assert bytes(made._audio.value[:4]) == b"RIFF"


def test_an_error_is_shown_and_the_next_turn_speaks():
    def speak(draft: bool, values: dict):
        if values["warmth"] > 1:
            raise ValueError(EVIL)
        return np.zeros(10, np.float32), 16000

    made = knobs.Knobs(speak, Toy(warmth=1.5), ("warmth",))
    made.widget()
    _until(lambda: not made._working)
    assert "&lt;script&gt;" in made._note.value
    made.turn("warmth", 0.5)
    _until(lambda: not made._working)
    assert "full sound" in made._note.value


def test_a_knob_wants_bounds_or_choices():
    with pytest.raises(ValueError, match="text has none"):
        knobs.Knobs(Speaker(), Toy(), ("text",))
    made = knobs.Knobs(Speaker(), Toy(), ("text",), {"text": ("가", "나")})
    assert made.values == {"text": "가"}
    assert "What is &lt;b&gt;said" in made._repr_mimebundle_()["text/html"]
