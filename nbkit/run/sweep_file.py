"""A sweep as it is written in a YAML file: which points it has, and where what is known of them lies."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.base import workspace
from nbkit.base.params import Params
from nbkit.run import points
from nbkit.run.notebook import BEFORE, find, from_yaml, params_class

WAYS = ("grid", "list", "random")
_KNOWN = ("name", "notebook", "preset", "fixed", "retries", "minutes", "best", *BEFORE, *WAYS)


class SweepError(ValueError):
    """A sweep that cannot be run as it is written: wanted, got, remedy."""


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: its folder, and what each point changes and takes.

    best   the column of the table of runs that tells which point is best, the least; with "-" before it the greatest
    said   hypothesis and expectation, which each of its runs carries from its start on
    """

    folder: Path
    notebook: Path
    points: tuple[Params, ...]
    varied: tuple[str, ...]
    retries: int = 0
    minutes: float = 0.0
    best: str = "best_val_loss"
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    def key(self, number: int) -> str:
        """What a point is called in the folder: it hangs on its parameters, so other points may come before it."""
        text = json.dumps(self.points[number].as_dict(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def states(self) -> list[dict[str, Any]]:
        """What is known of each point."""
        return [points.read(self.folder, self.key(number)) for number in range(len(self.points))]

    def told(self, number: int) -> str:
        """A point in words: 003 (seed 7, size small)."""
        changed = ", ".join(f"{name} {getattr(self.points[number], name)}" for name in self.varied)
        return f"{number:03d} ({changed})" if changed else f"{number:03d}"


def read(file: str | Path | Mapping[str, Any]) -> Sweep:
    """A sweep from a YAML file, or from what such a file holds; every point's parameters are checked.

    Its folder hangs on its name, its notebook, `preset` and `fixed`: points that are added later join those that there
    are.
    raises SweepError, and ParamsError for a parameter that the notebook does not take
    """
    spec = dict(file) if isinstance(file, Mapping) else _loaded(Path(file))
    for name in spec:
        if name not in _KNOWN:
            raise SweepError(f"a sweep has {', '.join(_KNOWN)}; got {name!r}")
    ways = [way for way in WAYS if way in spec]
    if not isinstance(spec.get("notebook"), str) or len(ways) != 1:
        got = ", ".join(f"{name}: {spec[name]!r}"[:60] for name in spec) or "nothing"
        raise SweepError(f"a sweep wants the name of a notebook and one of {', '.join(WAYS)}, got {got}")
    notebook = find(spec["notebook"])
    name = str(spec.get("name") or notebook.stem)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise SweepError(f"the name of a sweep has letters, digits, '-', '_' and '.', got {name!r}; rename the file")
    cls, fixed = params_class(notebook), spec.get("fixed") or {}
    if not isinstance(fixed, Mapping):
        raise SweepError(f"fixed wants names and values, as {{stop_at: 60}}, got {fixed!r}")
    changes = list({"grid": _grid, "list": _list, "random": _random}[ways[0]](spec[ways[0]]))
    varied = tuple(dict.fromkeys(name for change in changes for name in change))
    if twice := [name for name in fixed if name in varied]:
        raise SweepError(f"{twice[0]} stands in fixed and in {ways[0]}; take it out of one of them")
    configs = tuple(_configs(cls, spec.get("preset"), fixed, changes))
    asked = json.dumps([notebook.name, spec.get("preset"), fixed], sort_keys=True, ensure_ascii=False, default=str)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    return Sweep(
        workspace.outputs() / "sweeps" / f"{name}-{digest}", notebook, configs, varied,
        int(_number(spec, "retries")), _number(spec, "minutes"), str(spec.get("best") or Sweep.best),
        {name: str(spec[name]) for name in BEFORE if spec.get(name)},
    )  # fmt: skip


def _loaded(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        raise SweepError(f"wanted a YAML file of a sweep, got {path}; `nbkit sweep --help` shows one")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf8")) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise SweepError(f"{path} is not YAML: {error}") from error
    if not isinstance(found, Mapping):
        raise SweepError(f"{path} wants names and values, as notebook: 22_glow_train, got {str(found)[:60]!r}")
    return {"name": path.stem, **found}


def _number(spec: Mapping[str, Any], name: str) -> float:
    value = spec.get(name) or 0
    whole = name == "retries"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 <= value < math.inf:
        raise SweepError(f"{name} wants {'an integer' if whole else 'a number'} of at least 0, got {value!r}")
    return float(value)


def _configs(
    cls: type[Params], preset: str | None, fixed: Mapping[str, Any], changes: list[dict[str, Any]]
) -> Iterator[Params]:
    if not changes:
        raise SweepError("a sweep wants at least one point, got none")
    seen: dict[str, int] = {}
    for number, change in enumerate(changes):
        config = from_yaml(cls, preset, {**fixed, **change})
        key = json.dumps(config.identity(), sort_keys=True)
        if key in seen:
            raise SweepError(
                f"points {seen[key]} and {number} would be one run: they differ in nothing that changes the result. "
                "Take one out, or vary seed or repeat"
            )
        seen[key] = number
        yield config


def _grid(axes: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(axes, Mapping) or not all(isinstance(values, list) and values for values in axes.values()):
        raise SweepError(f"grid wants a list of values for each parameter, as size: [tiny, small], got {axes!r}")
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values))


def _list(found: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise SweepError(f"list wants points as [{{seed: 0}}, {{seed: 1}}], got {found!r}")
    yield from map(dict, found)


def _random(axes: Any) -> Iterator[dict[str, Any]]:
    """Draws that depend on seed and number alone: a greater count adds points and keeps those that there are."""
    axes = dict(axes) if isinstance(axes, Mapping) else {}
    # a seed of its own is the seed of the draws; {low, high} or a list varies the parameter of that name
    seed = axes.pop("seed") if isinstance(axes.get("seed"), int) else 0
    count = axes.pop("count", 0)
    if not isinstance(count, int) or count < 1 or not axes:
        raise SweepError("random wants a count of at least 1, and a list or {low, high} for each parameter")
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        yield {name: _drawn(name, axis, draw) for name, axis in axes.items()}


def _drawn(name: str, axis: Any, draw: random.Random) -> Any:
    if isinstance(axis, list) and axis:
        return draw.choice(axis)
    if isinstance(axis, Mapping) and {"low", "high"} <= axis.keys() <= {"low", "high", "log"}:
        low, high = (_end(axis[end]) for end in ("low", "high"))
        if low <= high and (low > 0 or not axis.get("log")):
            if axis.get("log"):
                return float(f"{math.exp(draw.uniform(math.log(low), math.log(high))):.4g}")
            if isinstance(low, int) and isinstance(high, int):
                return draw.randint(low, high)
            return float(f"{draw.uniform(low, high):.4g}")
    raise SweepError(f"random wants a list, or {{low, high}} (above 0 with log: true), for {name}, got {axis!r}")


def _end(value: Any) -> float:
    """An end of a range; YAML takes 1e-4 for a text. What is no number compares with nothing."""
    try:
        return value if isinstance(value, int | float) else float(value)
    except (TypeError, ValueError):
        return math.nan
