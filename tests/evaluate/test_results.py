"""One table for all numbers of a run."""

import json

import numpy as np
import pytest

from nbkit.evaluate import text
from nbkit.evaluate.results import FILE, Results


def test_a_number_is_added_replaced_and_read_back(tmp_path):
    results = Results(tmp_path / "run")
    assert "no results yet" in repr(results.table())
    results.add("BM25", "recall@1", 0.25, (0.2, 0.3), seconds=1.5, rows=80)
    results.add("BM25", "MRR", 0.4)
    results.add("bi-encoder", "recall@1", 0.5)
    results.add("BM25", "recall@1", 0.26)  # from another session, in its old place
    again = Results(tmp_path / "run")
    assert [(row.system, row.metric, row.value) for row in again.all()] == [
        ("BM25", "recall@1", 0.26),
        ("BM25", "MRR", 0.4),
        ("bi-encoder", "recall@1", 0.5),
    ]
    assert again.get("BM25", "MRR").rows == 0
    with pytest.raises(KeyError, match=r"no MRR of bi-encoder.*BM25: recall@1"):
        again.get("bi-encoder", "MRR")


def test_a_measure_comes_with_its_interval(tmp_path):
    truth = np.arange(60) % 2
    row = Results(tmp_path).measure("all alike", "accuracy", text.accuracy, np.zeros(60, int), truth, seconds=2)
    assert row.value == 0.5
    assert row.low < 0.5 < row.high
    assert (row.rows, row.seconds) == (60, 2.0)
    assert Results(tmp_path).all() == [row]


def test_the_table_has_a_row_a_system_and_escapes_names(tmp_path):
    results = Results(tmp_path)
    results.add("<b>linear</b>", "accuracy", 0.8734, (0.87, 0.876), seconds=15.06, rows=50_000)
    results.add("<b>linear</b>", "F1", 0.87, rows=50_000)
    results.add("network", "accuracy", 0.9)
    table = results.table()
    assert table.heads == ("system", "accuracy", "F1", "rows", "seconds")
    assert table.rows[0] == ("<b>linear</b>", "0.873 (0.870 to 0.876)", "0.870", 50_000, "15.1")
    assert table.rows[1] == ("network", "0.900", "", "", "")
    assert "<b>linear" not in table._repr_html_()


def test_a_crash_while_writing_leaves_the_old_numbers(tmp_path, monkeypatch):
    results = Results(tmp_path)
    results.add("BM25", "MRR", 0.4)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("the machine is gone")))
    with pytest.raises(OSError, match="gone"):
        results.add("BM25", "MRR", 0.5)
    assert Results(tmp_path).get("BM25", "MRR").value == 0.4


@pytest.mark.parametrize("content", ["[{", '{"a": 1}', '[{"system": "x"}]', '[{"other": 1}]', "[1]"])
def test_a_file_that_is_no_results_is_told_of(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match="cannot be read"):
        Results(tmp_path)


def test_numbers_that_are_none_are_refused_and_the_file_is_strict_json(tmp_path):
    results = Results(tmp_path)
    with pytest.raises(ValueError, match="finite accuracy of network"):
        results.add("network", "accuracy", float("nan"))
    results.add("network", "accuracy", 1.0)
    assert "NaN" not in (tmp_path / FILE).read_text()
    json.loads((tmp_path / FILE).read_text())
