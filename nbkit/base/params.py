"""One dataclass a notebook: its parameters cell, its Colab form, its command line, its checks.

    @dataclass(frozen=True)
    class Train(Params):
        PRESETS = {"smoke": {"steps": 40}}
        steps: int = param(20_000, "Optimiser steps in all, also after a resume.", unit="steps", low=1)

The fields are flat: bool, int, float or str. Values are checked whenever an instance is made, wherever they come from.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast, get_type_hints

Value = bool | int | float | str

_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
_WIDEST_SLIDER = 128  # a slider of more steps than this cannot be set by hand


class ParamsError(ValueError):
    """A parameter that cannot be used: what was wanted, what came, what to do."""


def param(
    default: Value,
    help: str,
    *,
    unit: str = "",
    choices: tuple[Value, ...] = (),
    low: float | None = None,
    high: float | None = None,
    identity: bool = True,
    auto: tuple[str, ...] = (),
) -> Any:
    """One field of a Params class.

    help      one line, shown in the form, the panel and the command line
    unit      of the value, as "Hz" or "steps"
    choices   the only values allowed; empty means any
    low, high inclusive bounds of a number
    identity  False for what does not change the result of a run: paths, workers, device, `stop_at`
    auto      data sets; the value "auto" takes the first that is on this machine, see data.manifest.asked
    """
    for text in (help, unit, *(value for value in (default, *choices) if isinstance(value, str))):
        if "=" in text or "\n" in text:
            # papermill passes over a line of the parameters cell that holds a second "="
            raise ParamsError(f"the texts of a parameter stand on one line and hold no '=', got {text!r}; rephrase it")
    metadata = {"help": help, "unit": unit, "choices": tuple(choices), "low": low, "high": high, "identity": identity,
                "auto": auto}  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Field:
    """What is known of one parameter."""

    name: str
    type: type
    default: Value
    help: str
    unit: str
    choices: tuple[Value, ...]
    low: float | None
    high: float | None
    identity: bool
    auto: tuple[str, ...]

    def wanted(self) -> str:
        """The values that are allowed, in words."""
        if self.choices:
            return "one of " + ", ".join(literal(choice) for choice in self.choices)
        bounds = {
            (True, True): f" from {self.low} to {self.high}",
            (True, False): f" of at least {self.low}",
            (False, True): f" of at most {self.high}",
            (False, False): "",
        }[self.low is not None, self.high is not None]
        unit = f" {self.unit}" if self.unit else ""
        return f"{_WORDS[self.type]}{bounds}{unit}"

    def check(self, value: object, owner: str) -> Value:
        """The value, an int made a float where a float is wanted; raises ParamsError for any other mismatch."""
        if self.type is float and type(value) is int:
            value = float(value)
        allowed = type(value) is self.type and (not self.choices or value in self.choices)
        if allowed and isinstance(value, float):
            allowed = math.isfinite(value)
        if allowed and isinstance(value, int | float) and not isinstance(value, bool):
            allowed = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        if not allowed:
            raise ParamsError(
                f"{owner}.{self.name} wants {self.wanted()}, got {value!r}; its default is {literal(self.default)}"
            )
        return value  # type: ignore[return-value]

    def parse(self, text: str, owner: str) -> Value:
        """The value that a word of the command line stands for; raises ParamsError."""
        try:
            if self.type is bool:
                return {"true": True, "false": False}[text.lower()]
            return self.check(self.type(text), owner)
        except (KeyError, ValueError) as error:
            if isinstance(error, ParamsError):
                raise
            return self.check(text, owner)

    def _width(self) -> float:
        return math.inf if self.low is None or self.high is None else self.high - self.low

    def form(self) -> str:
        """The comment that makes a Colab form of the assignment before it."""
        if self.choices:
            return f"# @param {json.dumps(list(self.choices), ensure_ascii=False)}"
        kind: dict[str, Any] = {"type": {bool: "boolean", int: "integer", float: "number", str: "string"}[self.type]}
        if self.type is int and self._width() <= _WIDEST_SLIDER:
            kind = {"type": "slider", "min": self.low, "max": self.high, "step": 1}
        return f"# @param {json.dumps(kind, separators=(',', ':'))}"


@dataclass(frozen=True)
class Params:
    """Base of the frozen, flat dataclasses of parameters. PRESETS are named overrides of the defaults."""

    PRESETS: ClassVar[Mapping[str, Mapping[str, Value]]] = {}

    def __post_init__(self) -> None:
        for field in self.fields():
            value = field.check(getattr(self, field.name), type(self).__name__)
            object.__setattr__(self, field.name, value)

    @classmethod
    def fields(cls) -> Iterator[Field]:
        """The parameters in the order of the cell."""
        return iter(_fields(cls))

    @classmethod
    def field(cls, name: str) -> Field:
        """The parameter of that name; raises ParamsError that says which one may have been meant."""
        for field in cls.fields():
            if field.name == name:
                return field
        raise ParamsError(_unknown(f"{cls.__name__} has no parameter {name!r}", name, [f.name for f in cls.fields()]))

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, object]) -> Self:
        """From the variables of a notebook's parameters cell: `Train.from_notebook(globals())`."""
        for field in cls.fields():
            if field.name not in namespace:
                raise ParamsError(
                    f"the parameters cell lacks {field.name} ({field.help}), wanted by {cls.__name__}; run the "
                    "parameters cell first, and if it is older than the class run `make params`"
                )
        return cls(**{field.name: namespace[field.name] for field in cls.fields()})

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """From named values; what is not named takes its default, what is unknown is an error."""
        for name in values:
            cls.field(name)
        return cls(**values)

    @classmethod
    def preset(cls, name: str, **overrides: object) -> Self:
        """The named preset with single values changed; raises ParamsError for an unknown preset or parameter."""
        if name not in cls.PRESETS:
            raise ParamsError(_unknown(f"{cls.__name__} has no preset {name!r}", name, list(cls.PRESETS)))
        return cls.from_dict({**cls.PRESETS[name], **overrides})

    def as_dict(self) -> dict[str, Any]:
        """Every parameter with its value."""
        return {field.name: getattr(self, field.name) for field in self.fields()}

    def identity(self) -> dict[str, Any]:
        """The parameters that change the result: what names a run."""
        return {field.name: getattr(self, field.name) for field in self.fields() if field.identity}

    def cell(self) -> str:
        """Source of the cell tagged `parameters`: literals that papermill replaces and Colab shows as a form."""
        lines = ["# @title Parameters"]
        for field in self.fields():
            unit = f" [{field.unit}]" if field.unit else ""
            lines.append(f"# @markdown {field.help}{unit}")
            lines.append(f"{field.name} = {literal(getattr(self, field.name))}  {field.form()}")
        return "\n".join(lines)

    @classmethod
    def cli_help(cls) -> str:
        """The parameters and presets for `nbkit run NOTEBOOK --help`."""
        lines = ["parameters, set with -p NAME VALUE:"]
        for field in cls.fields():
            lines.append(f"  {field.name}  {field.wanted()}; default {literal(field.default)}")
            lines.append(f"      {field.help}")
        lines.append("presets, taken with --preset NAME:" if cls.PRESETS else "no presets")
        for name, values in cls.PRESETS.items():
            lines.append(f"  {name}  " + " ".join(f"{key}={literal(value)}" for key, value in values.items()))
        return "\n".join(lines)


def literal(value: Value) -> str:
    """Python source of a value, in the quotes that ruff keeps."""
    if isinstance(value, str) and '"' not in value:
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


@functools.cache
def _fields(cls: type[Params]) -> tuple[Field, ...]:
    hints = get_type_hints(cls)
    found = []
    own = vars(cls).get("__annotations__", {})  # they come before those that it inherits
    for field in sorted(dataclasses.fields(cls), key=lambda field: field.name not in own):
        if hints[field.name] not in _WORDS:
            raise ParamsError(
                f"{cls.__name__}.{field.name} wants type bool, int, float or str, got {hints[field.name]}"
            )
        if hasattr(Params, field.name):
            raise ParamsError(f"{cls.__name__}.{field.name} hides Params.{field.name}; give the parameter another name")
        if "help" not in field.metadata:
            raise ParamsError(f"{cls.__name__}.{field.name} has no help; write it as param(default, help)")
        found.append(Field(field.name, hints[field.name], cast(Value, field.default), **field.metadata))
    return tuple(found)


def _unknown(problem: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]}? It" if near else "it"
    return f"{problem}; {meant} has {', '.join(known) or 'none'}"
