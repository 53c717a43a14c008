"""Kernels run by the emulator and, where there is a GPU, by CuPy; compiled once for all tests."""

import pytest

from nbkit.kernels import emulator


@pytest.fixture(autouse=True)
def compiled_once(own_folders, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NBKIT_CACHE", str(tmp_path_factory.getbasetemp() / "compiled"))


def pytest_runtest_setup(item):
    if item.get_closest_marker("compiler") and not emulator.available():
        pytest.skip("needs g++")


def emulated(source, name, grid, block, args, *, shared_mem=0, cooperative=False, seed=0):
    """Run a kernel on numpy arrays, which hold what it has written afterwards."""
    templates = () if f"{name}(" in source else (name,)
    kernel = emulator.module(source, name_expressions=templates).kernel(name)
    kernel(grid, block, args, shared_mem=shared_mem, cooperative=cooperative, seed=seed)


def on_gpu(source, name, grid, block, args, *, shared_mem=0, cooperative=False, seed=0):
    import cupy
    import numpy as np

    templates = None if f"{name}(" in source else (name,)
    module = cupy.RawModule(code=source, name_expressions=templates, enable_cooperative_groups=cooperative)
    there = [cupy.asarray(one) if isinstance(one, np.ndarray) else one for one in args]
    module.get_function(name)(grid, block, tuple(there), shared_mem=shared_mem)
    for here, result in zip(args, there):
        if isinstance(here, np.ndarray):
            here[...] = result.get()


@pytest.fixture(
    params=[
        pytest.param(emulated, marks=pytest.mark.compiler, id="emulated"),
        pytest.param(on_gpu, marks=pytest.mark.gpu, id="cupy"),
    ]
)
def run(request):
    return request.param
