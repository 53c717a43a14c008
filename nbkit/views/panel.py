"""The parameters of a notebook as a panel: set them, use them here, run them in the background, or copy the command.

Text fields hold the truth and are checked as one types; a slider beside a number only moves it. The panel is made of
widgets that ipywidgets 7.7 and 8 both have. Where no kernel is behind an output, a table stands there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbkit.base import colab, record
from nbkit.base.params import Field, Params, ParamsError, Value
from nbkit.views import background, summary
from nbkit.views.page import output
from nbkit.views.panel_jobs import Jobs

if TYPE_CHECKING:
    from ipywidgets import VBox, Widget

VIEW = "application/vnd.jupyter.widget-view+json"
_DECADES = 2  # that a slider of a rate reaches below and above its default


class Panel:
    """The parameters that a person sets, and the ones that the next cells use.

    config    the notebook's parameters; `panel.config` stays as it is until somebody presses "Use here"
    notebook  its name in notebooks/, or its path
    task      of its runs, whose newest one tells what was set the last time
    raises    ValueError where config is not an instance of a Params class
    """

    def __init__(self, config: Params, notebook: str, *, task: str = ""):
        if not isinstance(config, Params):
            raise ValueError(
                f"a panel wants an instance of a Params class, got {config!r}; pass from_notebook(globals())"
            )
        self.config, self.notebook = config, notebook
        self.last = _last(task, type(config)) if task else {}
        self._fields = {field.name: field for field in config.fields()}
        self._inputs: dict[str, _Input] = {}
        self._widget: VBox | None = None

    def draft(self) -> Params:
        """The parameters as they stand in the fields; raises ParamsError."""
        if self._widget is None:
            return self.config
        return type(self.config).from_dict({name: one.value() for name, one in self._inputs.items()})

    def command(self) -> str:
        """The line of a shell that runs the notebook with what stands in the fields; raises ParamsError."""
        return background.command(self.notebook, self.draft())

    def set(self, values: dict[str, Value]) -> None:
        """Put values into the fields; raises ParamsError for an unknown name."""
        self.widget()
        for name, value in values.items():
            type(self.config).field(name)
            self._inputs[name].put(value)
        self._check()

    def table(self) -> summary.Table:
        """The parameters with their values, as far as they differ from the default and the last run, and their help."""
        rows = []
        for name, field in self._fields.items():
            value, last = getattr(self.config, name), self.last.get(name, field.default)
            different = [_shown(other) if other != value else "" for other in (field.default, last)]
            rows.append((name, _shown(value), *different[: 1 + bool(self.last)], _help(field)))
        return summary.table(rows, ("name", "value", "default", *["last run"][: bool(self.last)], "what it is"))

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        table = self.table()
        return bundle(None if colab.headless() else self.widget, table._repr_html_(), repr(table))

    # --- what the buttons do

    def use(self) -> None:
        """Give what stands in the fields to the next cells; raises ParamsError."""
        self.config = self.draft()
        self._check()

    def run(self) -> background.Job:
        """Start the notebook with what stands in the fields; the one that runs already, where it does.

        raises  ParamsError; RunBusyError where another kernel starts the same at this moment
        """
        job = background.start(self.notebook, self.draft())
        if self._widget is not None:
            self._jobs.look()
        return job

    # --- the widgets

    def widget(self) -> VBox:
        """The panel. It is made once; shown in two places, both show the same."""
        if self._widget is None:
            self._build()
        assert self._widget is not None
        return self._widget

    def _build(self) -> None:
        import ipywidgets as widgets

        self._inputs = {name: _Input(field, self._check) for name, field in self._fields.items()}
        for name, one in self._inputs.items():
            one.put(getattr(self.config, name))
        naming = [self._inputs[f.name].row for f in self._fields.values() if f.identity]
        others = [self._inputs[f.name].row for f in self._fields.values() if not f.identity]
        folded = widgets.Accordion(children=[widgets.VBox(others)], selected_index=None)
        folded.set_title(0, "What does not change the result")
        plain = {field.name: field.default for field in self._fields.values()}
        known = {f"{name} preset": plain | dict(values) for name, values in type(self.config).PRESETS.items()}
        starts = {"defaults": plain, **known, **({"last run": plain | self.last} if self.last else {})}
        self._actions = [
            _button("Use here", self.use, "primary"),
            _button("Run in the background", self._start),
            _button("As command", self._show_command),
        ]
        self._note, self._line = widgets.HTML(), widgets.HTML()
        self._jobs = Jobs(self.notebook)
        self._widget = widgets.VBox(
            [
                _wrapped([_button(name, lambda values=values: self.set(values)) for name, values in starts.items()]),
                widgets.VBox(naming, layout=widgets.Layout(margin="6px 0")),
                *([folded] if others else []),
                _wrapped(self._actions, margin="8px 0 0"),
                self._note,
                self._line,
                self._jobs.widget,
            ],
            layout=widgets.Layout(max_width="900px", padding="4px"),
        )
        self._check()
        self._jobs.look()

    def _start(self) -> None:
        try:
            self.run()
        except (record.RunBusyError, OSError) as error:
            self._note.value = output("panel_row.html", help="", unit="", marks=[], error=str(error))

    def _show_command(self) -> None:
        self._line.value = output("panel_command.html", command=self.command())

    def _check(self) -> None:
        """Look at all fields: what is wrong under each, what differs beside it, whether the buttons may be pressed."""
        if self._widget is None:
            return
        wrong = [name for name, one in self._inputs.items() if not one.look(self.last)]
        for button in self._actions:
            button.disabled = bool(wrong)
        self._line.value = ""
        if wrong:
            told = f"The buttons wait for {', '.join(wrong)}."
        else:
            differs = [n for n, value in self.draft().as_dict().items() if value != getattr(self.config, n)]
            told = f"Not in use here yet: {', '.join(differs)}." if differs else "The next cells use what is set here."
        self._note.value = output("panel_row.html", help=told, unit="", marks=[], error="")


class _Input:
    """One parameter: a field, perhaps a slider that moves it, and what is to be said of it."""

    def __init__(self, field: Field, changed: Callable[[], None]):
        import ipywidgets as widgets

        self.field, self._changed, self._moving = field, changed, False
        style = {"description_width": "130px"}
        wide = widgets.Layout(width="290px", flex="0 0 auto")
        if field.choices:
            self.entry: Any = widgets.Dropdown(
                options=[(str(choice), choice) for choice in field.choices],
                description=field.name, style=style, layout=wide,
            )  # fmt: skip
        elif field.type is bool:
            beside = widgets.Layout(width="154px", margin="2px 2px 2px 138px", flex="0 0 auto")
            self.entry = widgets.Checkbox(description=field.name, layout=beside, indent=False)
        else:
            self.entry = widgets.Text(description=field.name, style=style, layout=wide)
        self.entry.observe(self._on_entry, "value")
        self.slider: Any = slider(field)
        self._words = widgets.HTML(layout=widgets.Layout(flex="1 1 240px", min_width="0"))
        parts: list[Widget] = [self.entry, self._words]
        if self.slider is not None:
            self.slider.observe(self._on_slider, "value")
            parts.append(self.slider)
        self._said = None
        self.row = _wrapped(parts, margin="2px 0", align_items="center")

    def value(self) -> Value:
        """What stands in the field; raises ParamsError."""
        if isinstance(self.entry.value, str) and not self.field.choices:
            return self.field.parse(
                self.entry.value.strip() if self.field.type is not str else self.entry.value, "this"
            )
        return self.field.check(self.entry.value, "this")

    def put(self, value: Value) -> None:
        """Set the field."""
        self.entry.value = value if self.field.choices or self.field.type is bool else str(value)

    def look(self, last: dict[str, Value]) -> bool:
        """Say what is wrong or differs; returns whether the value can be used."""
        marks, error = [], ""
        try:
            value = self.value()
            if value != self.field.default:
                marks.append(f"default {_shown(self.field.default)}")
            if self.field.name in last and value != last[self.field.name]:
                marks.append(f"last run {_shown(last[self.field.name])}")
        except ParamsError as told:
            error = str(told).removeprefix("this.")
        said = (tuple(marks), error)
        if said != self._said:  # only what changes goes to the page
            self._said = said
            self._words.value = output(
                "panel_row.html", help=self.field.help, unit=self.field.unit, marks=marks, error=error
            )
        return not error

    def _on_entry(self, _: object) -> None:
        if self.slider is not None and not self._moving:
            try:
                value = self.value()
            except ParamsError:
                value = None
            # a logarithmic slider has no zero
            if isinstance(value, int | float) and (value > 0 or not hasattr(self.slider, "base")):
                self._moving = True
                self.slider.value = value  # where it lies beyond the slider's reach, the slider stops at its end
                self._moving = False
        self._changed()

    def _last_good(self) -> float:
        try:
            return float(self.value())
        except ParamsError:
            return math.inf  # any move of the slider mends it

    def _on_slider(self, change: Any) -> None:
        if not self._moving and moved(self.slider, self._last_good(), change["new"]):
            self._moving = True
            self.entry.value = str(change["new"] if self.field.type is int else float(f"{change['new']:.3g}"))
            self._moving = False


def moved(slider: Any, before: float, new: float) -> bool:
    """Whether a person moved a slider: a page rounds to the slider's steps by itself as soon as it shows it."""
    if hasattr(slider, "base"):
        return before <= 0 or math.isinf(before) or abs(math.log10(new / before)) > slider.step / 2 + 1e-9
    return abs(new - before) > slider.step / 2 + 1e-9


def slider(field: Field) -> Any:
    """A slider for a number whose bounds are known, a logarithmic one for a rate; None for what has no sensible one."""
    import ipywidgets as widgets

    layout = widgets.Layout(width="170px", flex="0 0 auto")
    if field.choices or field.type not in (int, float):
        return None
    if field.type is float and "rate" in field.name and isinstance(field.default, float) and field.default > 0:
        decade = round(math.log10(field.default))
        low, high = decade - _DECADES, decade + _DECADES
        return widgets.FloatLogSlider(
            value=field.default, base=10, min=low, max=high, step=0.05, readout=False, layout=layout
        )
    if field.low is None or field.high is None:
        return None
    if field.type is int:
        return widgets.IntSlider(
            value=field.default, min=int(field.low), max=int(field.high), readout=False, layout=layout
        )
    step = 10.0 ** math.floor(math.log10((field.high - field.low) / 100))
    return widgets.FloatSlider(
        value=field.default, min=field.low, max=field.high, step=step, readout=False, layout=layout
    )


def bundle(widget: Callable[[], Any] | None, html: str, plain: str) -> dict[str, Any]:
    """A notebook output of both kinds: the widget where a kernel is behind it, the page where not."""
    found: dict[str, Any] = {"text/plain": plain, "text/html": html}
    if widget is not None:
        found[VIEW] = {"version_major": 2, "version_minor": 0, "model_id": widget().model_id}
    return found


def _last(task: str, cls: type[Params]) -> dict[str, Value]:
    """The parameters of the newest run of a task, as far as they are parameters today."""
    newest = next(iter(record.runs(task)), None)
    kept = newest.config.get("parameters", {}) if newest else {}
    return {field.name: kept[field.name] for field in cls.fields() if field.name in kept}


def _button(words: str, call: Callable[[], Any], look: str = "") -> Any:
    import ipywidgets as widgets

    made = widgets.Button(description=words, button_style=look, layout=widgets.Layout(width="auto"))
    made.on_click(lambda _: call())
    return made


def _wrapped(parts: list[Any], **layout: str) -> Any:
    import ipywidgets as widgets

    return widgets.Box(parts, layout=widgets.Layout(display="flex", flex_flow="row wrap", **layout))


def _shown(value: Value) -> str:
    return '""' if value == "" else str(value).lower() if isinstance(value, bool) else str(value)


def _help(field: Field) -> str:
    return f"{field.help} [{field.unit}]" if field.unit else field.help
