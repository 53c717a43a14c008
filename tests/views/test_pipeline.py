"""A pipeline's graph and page: what stands where, and that text of any origin stays text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from nbkit.views import graph, pipeline
from nbkit.views.pipeline import Stage

BOX = (100.0, 50.0)
HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


def drawn(count: int, edges: list[graph.Edge], down: bool = True) -> graph.Drawing:
    return graph.draw(count, edges, box=BOX, gap=10, step=60, down=down)


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) < size for a, b, size in zip(one, other, BOX, strict=True))


@pytest.mark.parametrize("down", [True, False])
def test_boxes_lie_apart_and_every_arrow_goes_on_through_the_layers(down):
    edges = [(0, 2, "a"), (1, 2, "b"), (2, 3, "c"), (0, 3, ""), (1, 4, ""), (4, 5, ""), (0, 5, "")]
    found = drawn(6, edges, down)
    assert not any(overlap(a, b) for n, a in enumerate(found.boxes) for b in found.boxes[:n])
    deep = 1 if down else 0
    assert all(found.boxes[start][deep] < found.boxes[to][deep] for start, to, _ in edges)
    assert all(min(x, y) >= 0 and x + BOX[0] <= found.width and y + BOX[1] <= found.height for x, y in found.boxes)
    for (start, to, _), arrow in zip(edges, found.arrows, strict=True):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arrow.path)]
        first, last = numbers[:2], numbers[-2:]
        assert first[deep] == found.boxes[start][deep] + BOX[deep]
        assert last[deep] == found.boxes[to][deep]


def test_an_arrow_that_passes_a_layer_runs_beside_its_boxes():
    found = drawn(3, [(0, 1, ""), (1, 2, ""), (0, 2, "")])
    [straight] = re.findall(r"L([\d.]+) ", found.arrows[2].path)
    left = found.boxes[1][0]
    assert not left <= float(straight) <= left + BOX[0]


def test_crossings_that_need_not_be_are_undone():
    found = drawn(4, [(0, 3, ""), (1, 2, "")])
    assert (found.boxes[0][0] < found.boxes[1][0]) == (found.boxes[3][0] < found.boxes[2][0])


@pytest.mark.parametrize(("edges", "told"), [([(0, 1, ""), (1, 0, "")], "without a circle"), ([(0, 2, "")], "0 to 1")])
def test_a_graph_that_cannot_be_drawn_is_refused_in_words(edges, told):
    with pytest.raises(ValueError, match=told):
        drawn(2, edges)


def stages() -> list[Stage]:
    train = Stage(
        "train", "22_glow_train", "done", why=["for the first time"], seconds=75, run="glow_tts-1a2b3c4d",
        report="../../runs/glow_tts-1a2b3c4d/report.html", parameters=[("stop_at", "12")],
        numbers=[("val loss", "2.08")],
        sounds=[("sample · 가자", "../../runs/a b/audio/x.wav")], links=[("run.ipynb", "../../runs/a b/run.ipynb")],
    )  # fmt: skip
    failed = Stage(
        "speak", "speak", "failed", [("train", "source")], error="ValueError: no", log="\x1b[31mIn[3]\x1b[39m"
    )
    return [
        train,
        failed,
        Stage("report", "report", "would run", [("train", ""), ("speak", "")], ["speak is not done"]),
    ]


def test_the_page_holds_the_graph_and_what_is_known_of_each_stage():
    page = pipeline.render("speech", stages(), made="today", command="nbkit pipeline run speech.yaml")
    for told in ("1 done", "1 failed", "1 would run", "1 min 15 s", "for the first time", "stop_at", "2.08", ">In[3]<",
                 "ValueError: no", "speak is not done", "sample · 가자", "run speech.yaml", "font/woff"):  # fmt: skip
        assert told in page, told
    assert 'href="../../runs/a%20b/run.ipynb"' in page
    assert 'src="../../runs/a%20b/audio/x.wav"' in page
    assert not re.search(r"(?:src|href)=.(?:https?:)?//", page)


def test_the_graph_can_be_heard_and_walked_through_by_keyboard():
    page = pipeline.render("speech", stages())
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        root = ElementTree.fromstring(svg)
        links = {link.get("href"): link.get("aria-label") for link in root.iter("a")}
        assert links["#stage-2"] == "speak: failed; source from train"
        assert links["../../runs/glow_tts-1a2b3c4d/report.html"] == "report of train, run glow_tts-1a2b3c4d"
        assert [text.text for text in root.iter("text") if text.get("class") == "label"] == ["source"]
    assert page.count("<svg") == 2
    assert all(f'id="stage-{number}"' in page for number in (1, 2, 3))


def test_a_graph_that_is_too_wide_is_drawn_from_above_to_below_only():
    chain = [Stage(f"s{n}", "a", "done", [(f"s{n - 1}", "source")] if n else ()) for n in range(8)]
    assert pipeline.render("long", chain).count("<svg") == 1


def test_text_of_any_origin_stays_text():
    bad = Stage(
        HOSTILE, HOSTILE, "failed", why=[HOSTILE], run=HOSTILE, report=f"../{HOSTILE}", links=[(HOSTILE, HOSTILE)],
        sounds=[(HOSTILE, HOSTILE)], parameters=[(HOSTILE, HOSTILE)], numbers=[(HOSTILE, HOSTILE)], notes=[HOSTILE],
        error=HOSTILE, log=HOSTILE + "\ud800",
    )  # fmt: skip
    page = pipeline.render(HOSTILE, [bad, Stage("next", "b", "would run", [(HOSTILE, HOSTILE)])], command=HOSTILE)
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page
    page.encode("utf8")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([Stage("a", "a", "done"), Stage("a", "b", "done")], "names of their own"),
        ([Stage("a", "a", "done", [("b", "x")])], "got 'b'"),
        ([Stage("a", "a", "finished")], "got 'finished'"),
    ],
)
def test_a_page_that_makes_no_sense_is_refused_in_words(found, told):
    with pytest.raises(ValueError, match=told):
        pipeline.render("speech", found)
