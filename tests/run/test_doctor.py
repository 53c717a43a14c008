"""`nbkit doctor`: every line can fail, says what to do, and none ends the others."""

from __future__ import annotations

import errno
import json
import resource
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from nbkit.base import environment, workspace
from nbkit.base.record import Record
from nbkit.run import doctor
from nbkit.run.__main__ import main
from nbkit.run.doctor import BAD, LOOK, OK, Finding
from nbkit.train.shelf import Shelf
from nbkit.views import style

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Not this machine's mirror, limits or logs."""
    monkeypatch.setenv("NBKIT_MIRROR", "none")
    monkeypatch.setattr(doctor, "DRIVE_LOG", tmp_path / "drive_fs.txt")
    monkeypatch.setattr(doctor, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(doctor, "CARDS", tmp_path / "gpus")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100e9, 50e9, 50e9))


def only(found: Finding | list[Finding]) -> Finding:
    if isinstance(found, list):
        (found,) = found
    return found


def failed(finding: Finding, verdict: str, value: str, advice: str) -> None:
    assert (finding.verdict, value in finding.value, advice in finding.advice) == (verdict, True, True), finding


# --- the whole


def test_one_screen_and_an_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_gpu", lambda: Finding("GPU", "one"))
    monkeypatch.setattr(doctor, "_packages", lambda: Finding("packages", "all"))
    monkeypatch.setattr(doctor, "_memory", lambda: Finding("memory", "2 GB", LOOK, "close some"))
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "0 bad, 1 to look at"
    assert len(lines) <= 24
    at = next(i for i, line in enumerate(lines) if line.startswith("look"))
    assert lines[at + 1] == "      -> close some"
    monkeypatch.setattr(doctor, "_gpu", lambda: Finding("GPU", "broken", BAD, "mend it"))
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {"what": "GPU", "value": "broken", "verdict": "bad", "advice": "mend it"} in told
    assert ("GPU", "broken\n→ mend it", "✗ bad") in doctor.rows()


def test_a_check_that_fails_itself_does_not_end_the_others(monkeypatch):
    def broken():
        raise KeyError("what")

    monkeypatch.setattr(doctor, "_python", broken)
    found = doctor.check()
    failed(found[0], LOOK, "KeyError: 'what'", "a fault of")
    assert len(found) > 8


def test_what_is_not_ok_has_an_advice_and_the_rest_has_none():
    for one in doctor.check():
        assert bool(one.advice) == (one.verdict != OK), one


@pytest.mark.slow
def test_it_takes_less_than_five_seconds_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "mirror"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([sys.executable, "-m", "nbkit.run", "doctor"], capture_output=True, text=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Korean font" in result.stdout, result.stderr
    # of the processor, since others may use the machine; there is nothing that it waits for
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 5
    assert not workspace.runs().exists(), "looking makes no folder of runs"


# --- Python, package, versions


@pytest.mark.parametrize(
    ("version", "system", "verdict"),
    [
        ((3, 10, 4), "linux", BAD),
        ((3, 11, 0), "linux", OK),
        ((3, 13, 9), "linux", OK),
        ((3, 14, 0), "linux", LOOK),
        ((3, 12, 0), "darwin", LOOK),
    ],
)
def test_python(version, system, verdict):
    assert doctor._python(version, system).verdict == verdict


def test_a_package_without_its_project(monkeypatch, tmp_path):
    assert doctor._nbkit().verdict == OK
    monkeypatch.setenv("NBKIT_HOME", str(tmp_path))
    failed(doctor._nbkit(), BAD, "0.1.0", "set NBKIT_HOME to a clone")


@pytest.mark.torch  # without it a package is missing
def test_versions(monkeypatch):
    assert doctor._packages().verdict == OK
    real = environment.installed
    for version, verdict, value, advice in (
        (None, BAD, "papermill is missing (wanted >=2.7)", "pip install 'papermill>=2.7'"),
        ("2.6.0", BAD, "papermill 2.6.0 (wanted >=2.7)", "pip install 'papermill>=2.7'"),
        ("2.8.1", LOOK, "papermill 2.8.1 (tested 2.7.0)", "pip install -c constraints.txt"),
        ("2.7.99+local", OK, "none newer", ""),
    ):
        monkeypatch.setattr(environment, "installed", lambda name, v=version: v if name == "papermill" else real(name))
        failed(doctor._packages(), verdict, value, advice)


def test_extras(monkeypatch):
    known = {"snakemake": "9.15.0", "cupy-cuda12x": None, "pocketsphinx": "4.0"}
    monkeypatch.setattr(environment, "installed", lambda name: known.get(name, "9999.0"))
    failed(doctor._extras(), LOOK, "pocketsphinx 4.0 (wanted >=5.0 for english)", "pip install")
    known["pocketsphinx"] = "5.0"
    found = doctor._extras()
    assert found.verdict == OK
    assert "pipelines" in found.value.partition("; not ")[0]
    assert "; not gpu; `pip install" in found.value


# --- GPU


def fake_torch(capability=(7, 5), free=14e9, total=15e9, reserved=0.0, broken: str = "", wrong: str = "", cuda=True):
    """As much of torch as the check asks for."""

    class Ones:
        def __init__(self, dtype):
            self.dtype = dtype

        def __matmul__(self, other):
            if broken:
                raise RuntimeError(broken)
            return {(0, 0): 0.0 if self.dtype == wrong else 64.0}

    return SimpleNamespace(
        __version__="2.11.0",
        float16="float16", bfloat16="bfloat16", float32="float32",
        ones=lambda *shape, device, dtype: Ones(dtype),
        cuda=SimpleNamespace(
            is_available=lambda: cuda,
            current_device=lambda: 0,
            get_device_properties=lambda n: SimpleNamespace(name="Tesla T4", major=capability[0], minor=capability[1]),
            mem_get_info=lambda: (free, total),
            memory_reserved=lambda: reserved,
        ),
    )  # fmt: skip


def card(monkeypatch, **values) -> dict[str, Finding]:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(**values))
    found = doctor._gpu()
    return {one.what: one for one in (found if isinstance(found, list) else [found])}


def test_no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    failed(only(doctor._gpu()), BAD, "cannot be imported", "pip install")


def test_no_gpu(monkeypatch):
    assert card(monkeypatch, cuda=False)["GPU"].verdict == OK
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    failed(card(monkeypatch, cuda=False)["GPU"], LOOK, "none", "Change runtime type")
    (doctor.CARDS / "0000:00:04.0").mkdir(parents=True)
    failed(card(monkeypatch, cuda=False)["GPU"], BAD, "torch 2.11.0 cannot use it", "built for CUDA")


def test_a_gpu_and_its_precisions(monkeypatch):
    found = card(monkeypatch)
    assert [one.verdict for one in found.values()] == [OK, OK, OK]
    assert found["GPU"].value == "Tesla T4, capability 7.5, torch 2.11.0"
    assert found["GPU memory"].value == "14 GB of 15 GB free"
    assert found["precision"].value == "fp16, fp32; bf16 only in software"
    assert card(monkeypatch, capability=(8, 0))["precision"].value == "bf16, fp16, fp32"
    failed(card(monkeypatch, wrong="float16")["precision"], BAD, "wrong results in fp16", "driver")


def test_a_gpu_that_does_not_compute(monkeypatch):
    words = "CUDA error: no kernel image is available for execution on the device\nCompile with ..."
    found = card(monkeypatch, broken=words)
    assert list(found) == ["GPU"]
    failed(found["GPU"], BAD, "does not compute (CUDA error: no kernel image", "built for it")


def test_gpu_memory_that_others_hold(monkeypatch):
    failed(card(monkeypatch, free=6e9)["GPU memory"], LOOK, "6 GB of 15 GB", "others hold 9 GB")
    failed(card(monkeypatch, free=0.2e9)["GPU memory"], BAD, "200 MB", "nvidia-smi")
    assert card(monkeypatch, free=6e9, reserved=9e9)["GPU memory"].verdict == OK, "this kernel holds it itself"


@pytest.mark.gpu
def test_the_gpu_of_this_machine():
    found = doctor._gpu()
    assert isinstance(found, list)
    assert found[0].verdict == found[2].verdict == OK


# --- the machine


def test_processors_and_the_limit_of_a_container(monkeypatch):
    monkeypatch.setattr(environment, "describe", lambda: {"cpus": 8})
    assert doctor._processors() == Finding("processors", "8")
    doctor.CGROUP.mkdir()
    (doctor.CGROUP / "cpu.max").write_text("max 100000\n")
    assert doctor._processors().value == "8"
    (doctor.CGROUP / "cpu.max").write_text("150000 100000\n")
    failed(doctor._processors(), LOOK, "1.5", "`workers` at 0")


def test_memory_and_the_limit_of_a_container(monkeypatch):
    import psutil

    memory = SimpleNamespace(total=16e9, available=8e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert doctor._memory().value == "8 GB of 16 GB free"
    doctor.CGROUP.mkdir()
    (doctor.CGROUP / "memory.max").write_text("4000000000\n")
    (doctor.CGROUP / "memory.current").write_text("2000000000\n")
    failed(doctor._memory(), LOOK, "2 GB of 4 GB free", "batch_size")
    memory.available = 0.1e9
    failed(doctor._memory(), BAD, "100 MB", "batch_size")


def test_disks(monkeypatch, tmp_path):
    for look, variable in ((doctor._runs_disk, "NBKIT_OUTPUTS"), (doctor._cache_disk, "NBKIT_CACHE")):
        assert look().verdict == OK
        for free, verdict in ((4e9, LOOK), (0.5e9, BAD)):
            monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Disk(100e9, 0, free))
            failed(look(), verdict, "B free", variable)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100e9, 0, 50e9))
        monkeypatch.setattr(Shelf, "is_mount_of_its_own", lambda self: True)
        failed(look(), LOOK, "a mount that may drop", variable)
        monkeypatch.undo()
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100e9, 0, 50e9))
        (tmp_path / "file").write_text("no folder")
        monkeypatch.setenv(variable, str(tmp_path / "file" / "below"))
        failed(look(), BAD, "cannot be written to", variable)
        monkeypatch.undo()
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100e9, 0, 50e9))


def test_a_font_that_is_missing_damaged_or_not_taken(monkeypatch, tmp_path):
    assert "syllables" in doctor._font().value
    for content in (None, b"no font", style.FONT.read_bytes()[:5000]):
        broken = tmp_path / "broken.ttf"
        if content is not None:
            broken.write_bytes(content)
        monkeypatch.setattr(style, "FONT", broken)
        failed(doctor._font(), BAD, "broken.ttf", "anew")
    monkeypatch.undo()
    monkeypatch.setattr(style, "FAMILIES", ["DejaVu Sans", "DejaVu Sans"])
    failed(doctor._font(), BAD, "instead", "anew")


def test_espeak_that_does_not_load_or_is_silent(monkeypatch):
    import numpy as np

    from nbkit.data import espeak

    assert doctor._espeak().value == "speaks at 22,050 Hz"

    def missing(*_):
        raise OSError("libespeak-ng.so: cannot open shared object file")

    monkeypatch.setattr(espeak, "speak", missing)
    failed(doctor._espeak(), BAD, "cannot open shared object", "espeakng-loader")
    monkeypatch.setattr(espeak, "speak", lambda *_: SimpleNamespace(wave=np.zeros(9), rate=22050))
    failed(doctor._espeak(), BAD, "silent", "espeakng-loader")


# --- the mirror


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "drive" / "nbkit"))
    (tmp_path / "drive").mkdir()
    return tmp_path / "drive" / "nbkit"


def test_no_mirror(monkeypatch):
    assert only(doctor._mirror()).verdict == OK
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    failed(only(doctor._mirror()), LOOK, "this machine only", "mount Drive")


def test_a_mirror_that_works(place, monkeypatch):
    found, backlog = doctor._mirror()
    assert [found.verdict, backlog.verdict] == [OK, OK]
    assert "MB/s" in found.value
    assert "read back" in found.value
    assert [path.name for path in place.iterdir()] == ["nbkit-mirror"], "nothing of the probe stays"
    monkeypatch.setattr(Shelf, "is_mount_of_its_own", lambda self: True)
    assert "after 5 later ones" in doctor._mirror()[0].value
    monkeypatch.setattr(Shelf, "sent", lambda self, name: False)
    assert "Drive tells" in doctor._mirror()[0].value


def test_a_mirror_that_is_not_mounted(place):
    place.parent.rmdir()
    failed(only(doctor._mirror()), BAD, "cannot be used", "mount it again")


@pytest.mark.parametrize("method", ["open", "put", "get"])
def test_a_mirror_that_answers_with_an_error(place, monkeypatch, method):
    def fail(*_):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(Shelf, method, fail)
    failed(only(doctor._mirror()), BAD, "Transport endpoint", "mount it again")
    assert not list(place.glob("doctor/*"))


def test_a_mirror_that_hangs(place, monkeypatch):
    monkeypatch.setattr(doctor, "PATIENCE", 0.1)
    monkeypatch.setattr(Shelf, "put", lambda *_: time.sleep(1))
    failed(only(doctor._mirror()), BAD, "no answer within 0.1 seconds", "mount it again")


def test_a_mirror_that_gives_back_something_else(place, monkeypatch):
    get = Shelf.get
    monkeypatch.setattr(Shelf, "get", lambda self, name: (b"else", get(self, name)[1]))
    failed(doctor._mirror()[0], BAD, "not what was written", "another folder")


def test_a_mirror_that_is_slow_or_nearly_full(place, monkeypatch):
    put = Shelf.put

    def slow(self, name, source):
        time.sleep(0.3)
        put(self, name, source)

    monkeypatch.setattr(doctor, "PROBE", 100_000)
    monkeypatch.setattr(Shelf, "put", slow)
    failed(doctor._mirror()[0], LOOK, "MB/s", "343 MB (the size `paper`)")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100e9, 0, 1e9))
    failed(doctor._mirror()[0], LOOK, "1 GB free", "prune --mirror")


def test_what_is_not_on_the_mirror_yet(place, monkeypatch):
    folder = workspace.runs() / "toy-12345678"
    (folder / "checkpoints" / "step-000000500").mkdir(parents=True)
    (folder / "config.json").write_text('{"task": "toy"}')
    run = Record(folder, {}, writer=True)
    run.status("paused", step=500)
    failed(doctor._mirror()[1], LOOK, "toy-12345678 (step 500, safe none)", "run the others again")
    run.status("paused", step=500, confirmed=500)
    failed(doctor._mirror()[1], LOOK, "toy-12345678: confirmed once, and not on this mirror now", "nbkit runs")
    monkeypatch.setattr(Shelf, "folders", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    failed(doctor._mirror()[1], LOOK, "cannot be read", "nbkit runs")


def test_signs_of_a_full_quota(tmp_path):
    log = tmp_path / "drive_fs.txt"
    now = lambda: datetime(2026, 11, 21, 12, tzinfo=UTC)  # noqa: E731
    assert doctor._drive_log(log, now) == [], "no Drive, no line"
    log.write_text("2026-11-21T10:00:00.1Z [1:2] all is well\n")
    assert only(doctor._drive_log(log, now)).verdict == OK
    log.write_text("2026-11-21T10:00:00.1Z [1:2] upload: QUOTA_EXCEEDED\n" * 3)
    failed(only(doctor._drive_log(log, now)), BAD, "3 times, the last on 2026-11-21 at 10:00:00", "empty its trash")
    log.write_text("2026-11-01T10:00:00.1Z [1:2] upload: QUOTA_EXCEEDED\n")
    assert only(doctor._drive_log(log, now)).verdict == LOOK, "that was weeks ago"
    log.write_text("a line without a time: storageQuotaExceeded\n" + "x" * 1_000_000)
    assert only(doctor._drive_log(log, now)).verdict == BAD
    log.write_text("2026-11-21T10:00:00.1Z QUOTA_EXCEEDED\n" + "x\n" * 1_500_000)
    assert only(doctor._drive_log(log, now)).verdict == OK, "only the end is read"
    log.unlink()
    log.mkdir()
    assert only(doctor._drive_log(log, now)).verdict == LOOK
