"""Every .cu file compiles for the GPUs that people have, and no kernel lacks registers there."""

from pathlib import Path

import pytest

import nbkit
from nbkit.kernels import compiler

pytestmark = pytest.mark.compiler
FILES = {path.name: (path, names) for path, names in compiler.kernels().items()}


@pytest.fixture(autouse=True)
def nvrtc():
    if compiler.library() is None:
        pytest.skip("needs NVRTC: pip install nvidia-cuda-nvrtc-cu12")


def test_no_file_is_left_out():
    found = {path.name for path in (Path(nbkit.__file__).parent / "kernels").rglob("*.cu")}
    assert found == FILES.keys()


@pytest.mark.parametrize("architecture", compiler.ARCHITECTURES)
@pytest.mark.parametrize("name", FILES)
def test_no_register_is_spilled(name, architecture):
    path, names = FILES[name]
    found = compiler.compile(path, names, architecture)
    assert {one.kernel for one in found} == set(names)
    for one in found:
        assert (one.spilled, one.stack, one.warnings) == (0, 0, ""), one
        assert 0 < one.registers <= 255
        assert one.shared <= 48 << 10


def test_spills_are_seen(tmp_path):
    path = tmp_path / "many.cu"
    path.write_text("""template <int N> __global__ void __launch_bounds__(1024) many(float* x) {
        float all[N];
        int unused;
        #pragma unroll
        for (int i = 0; i < N; ++i) all[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < N; ++i) x[i * 1024 + threadIdx.x] = all[N - 1 - i] * all[(i * 7 + 3) % N];
    }""")
    few, many = compiler.compile(path, ("many<8>", "many<150>"), 80)
    if few.kernel != "many<8>":
        few, many = many, few
    assert few.spilled == 0
    assert many.spilled > 0
    assert many.stack > 0
    assert "unused" in few.warnings


def test_what_does_not_compile_is_told(tmp_path):
    path = tmp_path / "wrong.cu"
    path.write_text('extern "C" __global__ void wrong(float* x) { x[0] = nothing; }')
    with pytest.raises(ValueError, match=r'wrong.cu wants to compile for sm_80, got:\n.*"nothing" is undefined'):
        compiler.compile(path, ("wrong",), 80)


def test_the_table(capsys, monkeypatch):
    monkeypatch.setattr(compiler, "ARCHITECTURES", (80,))
    compiler.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(compiler.ARCHITECTURES) * sum(len(names) for _, names in FILES.values())
    assert lines[0].split() == ["kernel", "sm", "registers", "spilled", "stack", "shared"]
    assert all(line.split()[-3] == "0" for line in lines[1:])


def test_without_nvrtc(monkeypatch):
    monkeypatch.setattr(compiler, "library", lambda: None)
    compiler._nvrtc.cache_clear()
    with pytest.raises(FileNotFoundError, match="wanted NVRTC, found none; pip install nvidia-cuda-nvrtc-cu12"):
        compiler.compile(*next(iter(FILES.values())), 80)
    compiler._nvrtc.cache_clear()
