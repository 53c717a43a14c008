"""A KoBERT of a few thousand weights, and folders that the tests of a file share."""

import pytest


@pytest.fixture(scope="module")
def small_kobert():
    """The size tiny is smaller; one thread."""
    import torch

    from nbkit.models import kobert

    before, kobert.SIZES["tiny"] = kobert.SIZES["tiny"], {"hidden": 32, "layers": 2, "heads": 2, "filter": 64}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    kobert.SIZES["tiny"] = before
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Outputs and cache of a whole file, in force for its fixtures; its tests ask for shared_folders."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBKIT_OUTPUTS", str(folder / "outputs"))
        patch.setenv("NBKIT_CACHE", str(folder / "cache"))
        patch.delenv("NBKIT_DATA", raising=False)
        yield folder


@pytest.fixture
def shared_folders(own_folders, folders, monkeypatch):
    """What was trained and cut into tokens before is there."""
    monkeypatch.setenv("NBKIT_OUTPUTS", str(folders / "outputs"))
    monkeypatch.setenv("NBKIT_CACHE", str(folders / "cache"))
