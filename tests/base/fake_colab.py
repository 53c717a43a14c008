"""A Colab for tests: its machine, its page, and a Drive whose mount is a folder that can be declined, drop, come back.

In this process, for one test:

    def test(tmp_path, monkeypatch):
        fake = FakeColab(tmp_path / "colab")
        fake.enter(monkeypatch)             # google.colab in sys.modules, the environment, a shell with a kernel
        fake.set(mount="declined")          # see ANSWERS
        assert drive.mirror_folder() is None

In other processes, in kernels, in `nbkit run` and in papermill: every Python that is started with `fake.environment()`
in its environment sees the same mount (PYTHONPATH has to keep what stands there), and every kernel has
google.colab in sys.modules before its first cell, as on Colab:

    command = [sys.executable, "-m", "nbkit.run", "run", "22_glow_train"]
    subprocess.run(command, env={**os.environ, **fake.environment()})

Whoever holds the object steers them all while they run: `set`, `drop`, `come_back`, `unmount`, `calls`. `cloud` is what
Drive holds; it outlives every machine, so a second FakeColab(other, cloud=first.cloud) is the next machine.
`run_cells` executes cells in one such kernel.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

ANSWERS = {
    # of drive.mount: granted | declined | failed (the mount, not the person) | unsupported (another frontend)
    "mount": "granted",
    "flush": "done",  # done | failed
    "unassign": "done",  # done | failed
    "secrets": {},  # name to value; None: this notebook has no access
    "page": True,  # False: nobody answers requests, as in a kernel that no page talks to
}
_inhabited: list[FakeColab] = []


class FakeColab:
    """A machine of Colab in a folder."""

    def __init__(self, folder: Path, cloud: Path | None = None):
        self.folder = Path(folder)
        self.cloud = cloud or self.folder / "cloud"
        self.mount_point = self.folder / "content" / "drive"
        for path in (self.cloud / "MyDrive", self.mount_point.parent):
            path.mkdir(parents=True, exist_ok=True)
        # run by every Python of the machine, and before the first cell by its kernels
        self._write(self.folder / "site" / "sitecustomize.py", kernel=False)
        self._write(self.folder / "ipython" / "profile_default" / "startup" / "00-colab.py", kernel=True)

    def _write(self, path: Path, *, kernel: bool) -> None:
        lines = [
            "import sys", f"sys.path.insert(0, {str(Path(__file__).parent)!r})", "import fake_colab", "sys.path.pop(0)",
            f"fake_colab.inhabit({str(self.folder)!r}, {str(self.cloud)!r}, kernel={kernel})", "del fake_colab, sys",
        ]  # fmt: skip
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines), encoding="utf-8")

    # --- for the test

    def set(self, **answers: Any) -> None:
        """What Colab answers from now on; names and values as in ANSWERS."""
        assert answers.keys() <= ANSWERS.keys(), answers
        (self.folder / "answers.json").write_text(json.dumps(self.answers() | answers), encoding="utf-8")

    def drop(self) -> None:
        """From now on everything below the mount point fails with errno 107."""
        (self.folder / "dropped").touch()

    def come_back(self) -> None:
        """The mount answers again."""
        (self.folder / "dropped").unlink(missing_ok=True)

    def mount(self) -> None:
        """Mount Drive, as a person does in a cell of their own."""
        self.mount_point.mkdir(exist_ok=True)
        link = self.mount_point / "MyDrive"
        if not link.is_symlink():
            link.symlink_to(self.cloud / "MyDrive", target_is_directory=True)
        self.come_back()

    def unmount(self) -> None:
        """The mount point is an empty folder again."""
        self.come_back()
        if self.is_mounted():
            (self.mount_point / "MyDrive").unlink()

    def calls(self) -> list[list[Any]]:
        """What google.colab was asked for, in any kernel: [name, arguments]."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def environment(self) -> dict[str, str]:
        """What the processes of this machine have in their environment."""
        path = [str(self.folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            "COLAB_RELEASE_TAG": "release-colab_20260819",
            "IPYTHONDIR": str(self.folder / "ipython"),
            "NBKIT_DRIVE": str(self.mount_point),
            "PYTHONPATH": os.pathsep.join(path),
        }

    def enter(self, monkeypatch: Any, *, kernel: bool = True) -> None:
        """Make this process one of the machine until the test ends: the kernel of the page, or any other process."""
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)
        for name, function in _mount_functions(self).items():
            monkeypatch.setattr(*name, function)
        if kernel:
            for name, module in _modules(self).items():
                monkeypatch.setitem(sys.modules, name, module)
            shell = types.SimpleNamespace(kernel=object())
            monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))

    # --- for the machine

    def answers(self) -> dict[str, Any]:
        path = self.folder / "answers.json"
        return ANSWERS | (json.loads(path.read_text("utf-8")) if path.exists() else {})

    def log(self, name: str, **arguments: Any) -> None:
        with open(self.folder / "calls.jsonl", "a", encoding="utf-8") as stream:
            stream.write(json.dumps([name, arguments]) + "\n")

    def dropped(self) -> bool:
        return os.access(self.folder / "dropped", os.F_OK)

    def is_mounted(self) -> bool:
        return not self.dropped() and (self.mount_point / "MyDrive").is_symlink()

    def check(self, *paths: Any) -> None:
        """OSError where one of the paths lies below a mount that has dropped."""
        for path in paths:
            below = isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(str(self.mount_point))
            if below and self.dropped():
                raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), os.fspath(path))


def inhabit(folder: str, cloud: str, *, kernel: bool) -> None:
    """Make this process one of the machine for good; its kernels have google.colab as well."""
    fake = FakeColab(Path(folder), Path(cloud))
    if kernel:
        sys.modules.update(_modules(fake))
    if _inhabited:
        return
    _inhabited.append(fake)
    for (owner, name), function in _mount_functions(fake).items():
        setattr(owner, name, function)

    def refuse(event: str, arguments: tuple) -> None:
        # reading, writing, listing, renaming and removing tell of themselves; stat does not, and is replaced above
        if event == "open" or event.startswith("os."):
            fake.check(*arguments)

    sys.addaudithook(refuse)


def _mount_functions(fake: FakeColab) -> dict[tuple[Any, str], Any]:
    """What the operating system says of the mount point, which here is a folder."""
    ismount = os.path.ismount

    def is_mount(path: Any) -> bool:
        return fake.is_mounted() if os.fspath(path) == str(fake.mount_point) else ismount(path)

    def checked(real: Any) -> Any:
        def function(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            fake.check(path)
            return real(path, *arguments, **options)

        return function

    found = {(os, name): checked(getattr(os, name)) for name in ("stat", "lstat", "listdir", "scandir")}
    return {**found, (os.path, "ismount"): is_mount}


def _modules(fake: FakeColab) -> dict[str, types.ModuleType]:
    """google.colab as far as nbkit and its guests look at it."""
    names = ("drive", "userdata", "runtime", "output", "errors", "_message")
    found = {f"google.colab.{name}": types.ModuleType(f"google.colab.{name}") for name in names}
    package = types.ModuleType("google.colab")
    package.__path__ = []  # a package
    for name in names:
        setattr(package, name, found[f"google.colab.{name}"])
    google = types.ModuleType("google")
    google.__path__, google.colab = [], package
    errors, message = package.errors, package._message
    errors.Error = type("Error", (Exception,), {})
    errors.RuntimeManagementError = type("RuntimeManagementError", (errors.Error,), {})
    message.MessageError = type("MessageError", (errors.Error,), {})
    _drive(fake, package.drive, message)
    _userdata(fake, package.userdata, errors)
    _others(fake, package)
    modules = {"google": google, "google.colab": package, **found}
    for name, module in modules.items():
        module.__spec__ = ModuleSpec(name, None)  # which find_spec wants of a module that is imported
    return modules


def _drive(fake: FakeColab, module: Any, message: Any) -> None:
    def mount(mountpoint: str, force_remount: bool = False, timeout_ms: int = 120_000, readonly: bool = False) -> None:
        fake.log("drive.mount", mountpoint=mountpoint, force_remount=force_remount)
        answer = fake.answers()["mount"] if fake.answers()["page"] else "failed"
        if answer == "unsupported":
            raise NotImplementedError("Mounting drive is unsupported in this environment.")
        if answer == "declined":
            raise message.MessageError("Error: credential propagation was unsuccessful")
        assert mountpoint == str(fake.mount_point), f"{mountpoint} is not where this machine mounts Drive"
        if fake.is_mounted() and not force_remount:
            print(f"Drive already mounted at {mountpoint}")
            return
        fake.unmount()
        if answer == "failed":
            raise ValueError("mount failed")
        if fake.mount_point.is_dir() and any(fake.mount_point.iterdir()):
            raise ValueError("Mountpoint must not already contain files")
        fake.mount()
        print(f"Mounted at {mountpoint}")

    def flush_and_unmount(timeout_ms: int = 24 * 60 * 60 * 1000) -> None:
        fake.log("drive.flush_and_unmount", timeout_ms=timeout_ms)
        if fake.answers()["flush"] == "failed":
            raise ValueError("flush_and_unmount failed")
        fake.unmount()

    module.mount, module.flush_and_unmount = mount, flush_and_unmount


def _userdata(fake: FakeColab, module: Any, errors: Any) -> None:
    for name, base in (
        ("NotebookAccessError", Exception),
        ("SecretNotFoundError", errors.Error),
        ("TimeoutException", errors.Error),
    ):
        setattr(module, name, type(name, (base,), {}))

    def get(key: str) -> str:
        fake.log("userdata.get", key=key)
        secrets = fake.answers()["secrets"]
        if not fake.answers()["page"]:
            raise module.TimeoutException(f"Requesting secret {key} timed out.")
        if key not in secrets:
            raise module.SecretNotFoundError(f"Secret {key} does not exist.")
        if secrets[key] is None:
            raise module.NotebookAccessError(f"Notebook does not have access to secret {key}")
        return secrets[key]

    module.get = get


def _others(fake: FakeColab, package: Any) -> None:
    def unassign() -> None:
        fake.log("runtime.unassign")
        if fake.answers()["unassign"] == "failed":
            raise package.errors.RuntimeManagementError("Unable to request VM unassignment.")

    def eval_js(script: str, ignore_result: bool = False, timeout_sec: int | None = None) -> None:
        fake.log("output.eval_js", script=script)

    package.runtime.unassign = unassign
    package.output.eval_js = eval_js
    package.output.enable_custom_widget_manager = lambda: fake.log("output.enable_custom_widget_manager")


def run_cells(cells: list[str], cwd: Path, environment: dict[str, str], options: tuple[str, ...] = ()) -> list[str]:
    """What each cell printed, in one kernel with this environment; AssertionError where one fails.

    options  of the kernel's Python; with `-c` in them, they start the kernel themselves
    """
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import KernelManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            words = [sys.executable, *options, *([] if "-c" in options else ["-m", "ipykernel_launcher"])]
            return KernelSpec(argv=[*words, "-f", "{connection_file}"], display_name="Python 3", language="python")

    manager = KernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())
    manager.start_kernel(cwd=str(cwd), env=environment)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        return [_printed(client, cell) for cell in cells]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _printed(client: Any, cell: str) -> str:
    texts: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])
        elif message["msg_type"] == "error":
            texts.append("\n".join(message["content"]["traceback"]))

    reply = client.execute_interactive(cell, output_hook=hear, timeout=120)
    assert reply["content"]["status"] == "ok", "".join(texts)
    return "".join(texts)
