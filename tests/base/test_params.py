import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass

import pytest

from nbkit.base.params import Params, ParamsError, literal, param


@dataclass(frozen=True)
class Bake(Params):
    PRESETS = {"smoke": {"minutes": 1, "flour": "rye"}, "hot": {"heat": 250}}

    minutes: int = param(40, "Time in the oven.", unit="minutes", low=1)
    heat: float = param(220.0, "Heat of the oven.", unit="degrees", low=50, high=300)
    flour: str = param("wheat", "What the dough is made of.", choices=("wheat", "rye"))
    steam: bool = param(True, "Whether steam is let in.")
    folds: int = param(3, "Times the dough is folded.", low=0, high=8)
    note: str = param('빵 "하나"', "Free text, shown with the result.")
    oven: str = param("left", "Which oven to take.", identity=False)


def test_the_cell_runs_and_gives_the_same_values_back():
    config = Bake.preset("smoke", heat=180.5, steam=False)
    namespace: dict[str, object] = {}
    exec(config.cell(), namespace)
    assert Bake.from_notebook(namespace) == config


def test_the_cell_is_what_colab_and_papermill_read():
    lines = Bake().cell().splitlines()
    assert 'heat = 220.0  # @param {"type":"number"}' in lines
    assert 'flour = "wheat"  # @param ["wheat", "rye"]' in lines
    assert 'steam = True  # @param {"type":"boolean"}' in lines
    assert 'folds = 3  # @param {"type":"slider","min":0,"max":8,"step":1}' in lines
    assert "# @markdown Time in the oven. [minutes]" in lines


def test_papermill_finds_every_parameter_without_a_warning(caplog):
    import nbformat.v4
    from papermill.inspection import _infer_parameters

    cell = nbformat.v4.new_code_cell(Bake().cell(), metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"language_info": {"name": "python"}})
    found = {one.name: one.default for one in _infer_parameters(notebook, name="python3")}
    assert found == {field.name: literal(field.default) for field in Bake.fields()}
    assert not caplog.records


def test_ruff_leaves_the_cell_alone(tmp_path):
    @dataclass(frozen=True)
    class Wide(Params):
        words: str = param("말" * 150, "A long text.")
        either: str = param("a" * 40, "Long choices.", choices=("a" * 40, "b" * 60, "c" * 60))
        quoted: str = param('it\'s "so"', "Both quotes.")
        tiny: float = param(1e-8, "A small number.")

    source = tmp_path / "cell.py"
    source.write_text(Wide().cell() + "\n" + Bake().cell() + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "format", "--diff", "--line-length", "120", "--isolated", str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"minutes": 0}, "Bake.minutes wants an integer of at least 1 minutes, got 0; its default is 40"),
        ({"minutes": 1.0}, "got 1.0"),
        ({"minutes": True}, "got True"),
        ({"minutes": None}, "got None"),
        ({"heat": 301}, "wants a number from 50 to 300 degrees, got 301.0"),
        ({"heat": "hot"}, "got 'hot'"),
        ({"heat": float("nan")}, "got nan"),
        ({"flour": "spelt"}, 'wants one of "wheat", "rye", got \'spelt\''),
        ({"steam": 1}, "wants true or false, got 1"),
        ({"note": 7}, "wants a text, got 7"),
    ],
)
def test_a_bad_value_is_refused_however_it_comes(values, words):
    for make in (lambda: Bake(**values), lambda: Bake.from_dict(values), lambda: Bake.preset("smoke", **values)):
        with pytest.raises(ParamsError) as caught:
            make()
        assert words in str(caught.value)


def test_an_infinite_number_is_refused():
    @dataclass(frozen=True)
    class Free(Params):
        rate: float = param(1.0, "Any finite number.")

    with pytest.raises(ParamsError, match="got inf"):
        Free(rate=float("inf"))


def test_a_whole_number_serves_as_a_float():
    assert type(Bake(heat=200).heat) is float


def test_unknown_names_are_refused_with_the_likely_one():
    with pytest.raises(ParamsError, match="no parameter 'minute'; did you mean minutes"):
        Bake.from_dict({"minute": 3})
    with pytest.raises(ParamsError, match="no preset 'smoky'; did you mean smoke"):
        Bake.preset("smoky")


def test_a_notebook_that_lacks_a_parameter_is_told_so():
    namespace = Bake().as_dict()
    del namespace["folds"]
    with pytest.raises(ParamsError, match=r"lacks folds .*make params"):
        Bake.from_notebook(namespace)


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [("minutes", "7", 7), ("heat", "1e2", 100.0), ("steam", "False", False), ("note", "007", "007"), ("note", "", "")],
)
def test_words_of_the_command_line_become_values_of_the_declared_type(name, word, value):
    parsed = Bake.field(name).parse(word, "Bake")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(("name", "word"), [("minutes", "7.5"), ("minutes", "0"), ("heat", "x"), ("steam", "maybe")])
def test_words_that_mean_no_value_are_refused(name, word):
    with pytest.raises(ParamsError, match=f"Bake.{name} wants .*, got '?{word}"):
        Bake.field(name).parse(word, "Bake")


def test_identity_leaves_out_what_does_not_change_the_result():
    assert Bake(oven="right").identity() == Bake().identity()
    assert Bake(folds=4).identity() != Bake().identity()
    assert "oven" in Bake().as_dict()


def test_presets_are_overrides_of_the_defaults():
    assert Bake.preset("hot") == Bake(heat=250)


def test_the_help_names_units_ranges_and_presets():
    text = Bake.cli_help()
    for words in ("from 50 to 300 degrees", "Time in the oven.", 'smoke  minutes=1 flour="rye"', "default 40"):
        assert words in text


def test_parameters_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Bake().minutes = 3


def test_a_class_puts_its_own_parameters_before_those_it_inherits():
    @dataclass(frozen=True)
    class Toast(Bake):
        slices: int = param(2, "Slices to cut.")

    @dataclass(frozen=True)
    class Plain(Bake):
        pass

    assert [field.name for field in Toast.fields()] == ["slices", *(field.name for field in Bake.fields())]
    assert list(Plain.fields()) == list(Bake.fields())


def test_a_class_that_cannot_be_a_cell_is_refused():
    with pytest.raises(ParamsError, match="no '='"):
        param(1, "a = b")
    with pytest.raises(ParamsError, match="one line"):
        param("two\nlines", "Text.")

    @dataclass(frozen=True)
    class Nested(Params):
        sizes: tuple = param((1, 2), "Sizes.")  # type: ignore[arg-type]

    @dataclass(frozen=True)
    class Plain(Params):
        steps: int = 3

    @dataclass(frozen=True)
    class Hiding(Params):
        preset: str = param("smoke", "A name that is taken.")

    for cls, words in ((Nested, "bool, int, float or str"), (Plain, "has no help"), (Hiding, "hides Params.preset")):
        with pytest.raises(ParamsError, match=words):
            list(cls.fields())
