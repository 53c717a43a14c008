"""The attention page in a browser: heads, tokens, order, words, two models, keys, narrow and dark."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from looks import wait_until
from measure_attention import clicks, example

from nbkit.views import attention

pytestmark = pytest.mark.browser
EVIL = '<script>document.title = "taken"</script>'


def opened(view, path: Path, models, **where):
    """The page on the disk, drawn; gives playwright's page."""
    view.page.goto(attention.page(models, **where).save(path / "attention.html").as_uri())
    view.page.wait_for_selector("[data-ready]", state="attached")
    return view.page


def pixels(page, selector: str) -> list[int]:
    """Red, green, blue and alpha of all pixels of a canvas."""
    script = "node => [...node.getContext('2d').getImageData(0, 0, node.width, node.height).data]"
    return page.locator(selector).first.evaluate(script)


def shares(readout: str) -> list[float]:
    return [float(found) for found in re.findall(r"([\d.]+)\s%", readout)]


def test_a_head_opens_and_shows_its_numbers(view, tmp_path: Path):
    model = example(40)
    page = opened(view, tmp_path, model, layer=0)
    assert page.locator(".head-cell").count() == 144
    panel = page.locator(".opened")
    assert "layer 1, head 1" in panel.inner_text()
    before = pixels(page, ".heat")
    page.get_by_label("layer 3, head 5", exact=True).click()
    assert panel.locator("h1").inner_text() == "layer 3, head 5"
    assert pixels(page, ".heat") != before
    assert f"entropy {attention.entropy(model.weights)[2, 4]:.2f} nats" in panel.inner_text()
    page.locator(".column.from .token").nth(3).hover()
    row, column = model.weights[2, 4, 3], model.weights[2, 4, :, 3]
    told = panel.locator(".readout").inner_text()
    out, into = told.split("is looked at by")
    assert shares(out) == pytest.approx(100 * np.sort(row)[::-1][:4], abs=0.6)
    assert shares(into) == pytest.approx(100 * np.sort(column)[::-1][:4], abs=0.6)
    view.screenshot("attention")
    page.locator(".heat").hover(position={"x": 5, "y": 5})
    assert shares(panel.locator(".readout").inner_text()) == pytest.approx([100 * model.weights[2, 4, 0, 0]], abs=0.6)
    view.assert_clean()


def test_a_token_that_is_clicked_stays(view, tmp_path: Path):
    page = opened(view, tmp_path, example(12, layers=2, heads=2))
    token = page.locator(".column.to .token").nth(4)
    token.click()
    page.locator("h1").hover()
    assert "is looked at by" in page.locator(".readout").inner_text()
    page.keyboard.press("Escape")
    assert "Point at a token" in page.locator(".readout").inner_text()
    token.click()
    token.click()
    page.locator("h1").hover()
    assert "Point at a token" in page.locator(".readout").inner_text()
    view.assert_clean()


def test_heads_are_sorted_and_keys_follow_the_order(view, tmp_path: Path):
    model = example(20, layers=3, heads=4)
    page = opened(view, tmp_path, model, layer=0, head=1)
    found = page.locator(".head-cell")
    first = [f"layer {layer}, head {head}" for layer in (1, 2, 3) for head in (1, 2, 3, 4)]
    names = "nodes => nodes.map((node) => node.getAttribute('aria-label'))"
    assert found.evaluate_all(names) == first
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator("h1").inner_text() == "layer 2, head 3"
    page.locator(".sort").select_option("entropy")
    order = np.argsort(-attention.entropy(model.weights).round(4), axis=None, kind="stable")
    assert found.evaluate_all(names) == [first[place] for place in order]
    found.first.click()
    page.keyboard.press("ArrowRight")
    assert page.locator("h1").inner_text() == first[order[1]]
    assert found.nth(1).evaluate("node => node === document.activeElement")
    page.locator(".sort").select_option("share on [SEP]")
    view.screenshot("attention-sorted")
    view.assert_clean()


def test_specials_go_words_join_and_rows_fill_up(view, tmp_path: Path):
    model = example(40, layers=2, heads=2)
    page = opened(view, tmp_path, model, layer=0)
    tokens = page.locator(".column.from .token")
    page.locator(".join").check()
    joined = attention.joined(model)
    assert tokens.all_inner_texts() == list(joined.tokens)
    tokens.nth(1).hover()
    told = page.locator(".readout").inner_text().split("is looked at by")[0]
    assert shares(told) == pytest.approx(100 * np.sort(joined.weights[0, 0, 1])[::-1][:4], abs=0.6)
    page.locator(".hide").check()
    kept = np.setdiff1d(np.arange(len(joined.tokens)), joined.special)
    assert tokens.all_inner_texts() == [joined.tokens[place] for place in kept]
    page.locator(".whole").check()
    tokens.nth(0).hover()
    row = joined.weights[0, 0, kept[0]][kept]
    told = page.locator(".readout").inner_text().split("is looked at by")[0]
    assert shares(told) == pytest.approx(100 * np.sort(row / row.sum())[::-1][:4], abs=0.6)
    page.locator(".way").select_option("there")
    assert page.locator(".column.from .token").count() + page.locator(".column.to .token").count() == len(kept)
    view.screenshot("attention-words")
    view.assert_clean()


def test_mean_and_rollout(view, tmp_path: Path):
    model = example(20, layers=3, heads=4)
    page = opened(view, tmp_path, model, layer=1)
    for button, expected in [
        ("mean of the layer", model.weights.mean(1)[1, 2]),
        ("rollout", attention.rollout(model.weights)[1, 2]),
    ]:
        page.get_by_role("button", name=button).click()
        page.locator(".column.from .token").nth(2).hover()
        told = page.locator(".readout").inner_text().split("is looked at by")[0]
        assert shares(told) == pytest.approx(100 * np.sort(expected)[::-1][:4], abs=0.6)
    assert page.locator("h1").inner_text() == "rollout, layers 1 to 2"
    view.assert_clean()


def test_two_models_side_by_side(view, tmp_path: Path):
    models = [example(64, seed=seed, title=title) for seed, title in enumerate(["이전 KoBERT", "이후 KoBERT"])]
    page = opened(view, tmp_path, models, layer=2, head=4)
    assert page.locator("figure").count() == 3
    assert page.locator("figcaption b").all_inner_texts() == ["이전 KoBERT", "이후 KoBERT", "difference"]
    one, two = (model.weights[2, 4, 0, 0] for model in models)
    page.locator(".heat").nth(2).hover(position={"x": 1, "y": 1})
    told = page.locator(".readout").nth(2).inner_text()
    assert shares(told) == pytest.approx([100 * abs(two - one)], abs=0.6)
    assert told.startswith("+" if two > one else "−")
    before = pixels(page, ".head-cell canvas")
    page.get_by_role("button", name="difference").click()
    assert pixels(page, ".head-cell canvas") != before
    page.locator(".sort").select_option("apart")
    largest = np.unravel_index(attention.apart(models).argmax(), (12, 12))
    names = "node => node.getAttribute('aria-label')"
    assert page.locator(".head-cell").first.evaluate(names) == f"layer {largest[0] + 1}, head {largest[1] + 1}"
    page.locator(".column.from .token").nth(3).hover()
    view.screenshot("attention-two")
    view.assert_clean()


def test_two_different_sides(view, tmp_path: Path):
    weights = example(20, layers=1, heads=2).weights[..., :7]
    weights = weights / weights.sum(-1, keepdims=True)
    cross = attention.Attention(weights, [f"f{n}" for n in range(20)], others=list("가나다라마바사"))
    page = opened(view, tmp_path, cross)
    assert page.locator(".column.to .token").all_inner_texts() == list("가나다라마바사")
    assert page.get_by_role("button", name="rollout").count() == 0
    page.locator(".column.to .token").nth(2).hover()
    assert "looks at" not in page.locator(".readout").inner_text()
    view.assert_clean()


def test_hostile_tokens_stay_text(view, tmp_path: Path):
    tokens = [EVIL, "\u202e▁뒤", "가" * 300, "\ud800", "🙂", "\"'>", "", "\n"]
    weights = np.full((1, 1, 8, 8), 1 / 8)
    model = attention.Attention(weights, tokens, title=EVIL, special=[0], words=[0, 1, 2, 2, 3, 3, 4, 5])
    page = opened(view, tmp_path, model)
    assert page.title() == EVIL
    assert page.locator(".column.from .token").first.inner_text() == EVIL
    page.locator(".column.from .token").nth(2).hover()
    page.locator(".sort").select_option("entropy")
    page.locator(".join").check()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    view.screenshot("attention-hostile")
    view.assert_clean()


@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (1000, "dark")])
def test_narrow_and_dark(view, tmp_path: Path, width: int, scheme: str):
    view.page.set_viewport_size({"width": width, "height": 800})
    view.page.emulate_media(color_scheme=scheme)
    page = opened(view, tmp_path, example(40), layer=2, head=4)
    page.locator(".column.from .token").nth(3).click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    view.screenshot(f"attention-{width}-{scheme}")
    view.assert_clean()


def test_it_works_in_the_frame_of_a_notebook(view, tmp_path: Path):
    found = attention.page(example(20, layers=2, heads=3), layer=0)
    path = tmp_path / "cell.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{found._repr_html_()}", encoding="utf8")
    view.page.goto(path.as_uri())
    frame = view.page.frame_locator("iframe")
    frame.get_by_label("layer 2, head 3", exact=True).click()
    wait_until(lambda: frame.locator(".opened h1").inner_text() == "layer 2, head 3")
    view.assert_clean()


def test_a_large_page_is_small_and_answers_within_a_frame(view, tmp_path: Path):
    page = opened(view, tmp_path, example(128))
    assert (tmp_path / "attention.html").stat().st_size < 2_000_000
    worked = sorted(work for work, _ in clicks(page, 20))
    assert worked[10] < 16, "of a frame; the machine of the tests may have other work, so not each of them"
    view.assert_clean()
