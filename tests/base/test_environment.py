import json
import subprocess
import sys
from pathlib import Path

import nbkit
from nbkit.base import environment


def test_the_description_is_plain_json_and_names_the_machine():
    described = json.loads(json.dumps(environment.describe()))
    assert described["python"] == ".".join(map(str, sys.version_info[:3]))
    assert described["packages"]["numpy"]
    assert described["cpus"] >= 1


def test_git_state_follows_tracked_files(tmp_path):
    def git(*words):
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    assert environment._git(tmp_path) is None
    git("init", "-q")
    assert environment._git(tmp_path) is None, "a repository without a commit is no failure"
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "one")
    state = environment._git(tmp_path)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "untracked").write_text("1")
    assert environment._git(tmp_path) == state
    (tmp_path / "a").write_text("2")
    assert environment._git(tmp_path) == {**state, "dirty": True}


def test_a_machine_without_git_is_described(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment.describe()["git"] is None


def test_the_fingerprint_tells_which_module_changed(tmp_path, monkeypatch):
    package = tmp_path / "nbkit" / "base"
    package.mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(package / "environment.py"))
    (package / "environment.py").write_text("a = 1")
    (package / "seeds.py").write_text("b = 1")
    before = environment.code_fingerprint()
    (package / "seeds.py").write_text("b = 2")
    after = environment.code_fingerprint()
    assert {name for name in after if after[name] != before[name]} == {"nbkit/base/seeds.py"}


def test_the_fingerprint_covers_the_package():
    found = environment.code_fingerprint()
    package = Path(nbkit.__file__).parent
    assert len(found) == sum(path.suffix in (".py", ".cu") for path in package.rglob("*"))
    assert "nbkit/kernels/mas/mas.cu" in found
    assert all(len(digest) == 16 for digest in found.values())
