from pathlib import Path

import pytest
from fake_colab import FakeColab

import nbkit
from nbkit.base import workspace


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    (tmp_path / "home" / "data_manifests").mkdir(parents=True)
    monkeypatch.setenv("NBKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_without_settings_the_project_is_the_folder_above_the_package():
    assert workspace.root() == Path(nbkit.__file__).resolve().parents[1]
    assert workspace.manifests().is_dir()


def test_the_named_home_wins(home, monkeypatch):
    monkeypatch.delenv("NBKIT_OUTPUTS")
    assert workspace.root() == home
    assert workspace.runs() == home / "outputs" / "runs"
    assert workspace.manifests() == home / "data_manifests"


def test_a_home_without_manifests_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("NBKIT_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"NBKIT_HOME names .*nowhere.*set NBKIT_HOME to a clone"):
        workspace.root()


def test_outputs_go_where_they_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("NBKIT_OUTPUTS", str(tmp_path / "elsewhere"))
    assert workspace.runs() == tmp_path / "elsewhere" / "runs"


def test_the_cache_is_named_or_the_users_own(tmp_path, monkeypatch):
    assert workspace.cache() == tmp_path / "cache"
    monkeypatch.delenv("NBKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert workspace.cache() == tmp_path / "xdg" / "nbkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    assert workspace.cache() == tmp_path / "person" / ".cache" / "nbkit"


def test_on_colab_the_cache_stays_on_the_machine(monkeypatch):
    monkeypatch.delenv("NBKIT_CACHE")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20260819")
    assert workspace.cache() == Path("/content/nbkit-cache")


def test_real_data_has_no_default(tmp_path, monkeypatch):
    monkeypatch.delenv("NBKIT_DATA", raising=False)
    assert workspace.real_data() is None
    monkeypatch.setenv("NBKIT_DATA", str(tmp_path))
    assert workspace.real_data() == tmp_path


def test_checkpoints_are_copied_only_where_somebody_says_so(tmp_path, monkeypatch):
    for name in ("NBKIT_MIRROR", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    assert workspace.mirror() is None
    monkeypatch.setenv("NBKIT_MIRROR", str(tmp_path / "backup"))
    assert workspace.mirror() == tmp_path / "backup"
    monkeypatch.setenv("NBKIT_MIRROR", "none")
    assert workspace.mirror() is None


def test_on_colab_checkpoints_are_copied_to_a_mounted_drive(tmp_path, monkeypatch):
    monkeypatch.delenv("NBKIT_MIRROR", raising=False)
    fake = FakeColab(tmp_path / "colab")
    fake.enter(monkeypatch, kernel=False)
    assert workspace.mirror() is None
    fake.mount()
    assert workspace.mirror() == fake.mount_point / "MyDrive" / "nbkit"
    monkeypatch.setenv("NBKIT_MIRROR", "none")
    assert workspace.mirror() is None
