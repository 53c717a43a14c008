"""What `make test-colab` installs: what the project asks for at Colab's versions, without torch and what needs it.

python tests/colab_environment.py FOLDER    writes FOLDER/wanted.txt and FOLDER/held.txt, for pip's -r and -c
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT = {"torch", "accelerate"}  # gigabytes, and nothing to say about cells, manifests and views
TOOLS = {"pytest", "pytest-socket", "pytest-timeout", "ruff"}  # of the tests, at our versions


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower()


def write(folder: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [one for one in project["dependencies"] if name_of(one) not in WITHOUT]
    wanted += [one for one in project["optional-dependencies"]["dev"] if name_of(one) in TOOLS]
    held = (ROOT / "tests" / "colab_freeze.txt").read_text(encoding="utf-8").splitlines()
    ours = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    held = [line for line in held if not line.startswith("#") and name_of(line) not in TOOLS]
    held += [line for line in ours if not line.startswith("#") and name_of(line) in TOOLS]
    (folder / "wanted.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")
    (folder / "held.txt").write_text("\n".join(held) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
