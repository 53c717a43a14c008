"""Attention to look at, made from real Korean pieces, and what its page costs.

    python tests/browser/measure_attention.py                     # ours
    python tests/browser/measure_attention.py bertviz FOLDER      # bertviz, with the scripts that it loads in FOLDER

FOLDER holds require.min.js, d3.min.js and jquery.min.js, which bertviz's pages ask a CDN for.
"""

from __future__ import annotations

import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from nbkit.views import attention

FIRST = "▁영화 ▁내내 ▁졸 다가 ▁나왔 습니다 ▁배우 들의 ▁연기 는 ▁좋 았지만 ▁이야기 가 ▁너무 ▁뻔 해서 ▁아쉬웠 어요 ▁."
SECOND = "▁결말 이 ▁궁금 해서 ▁끝 까지 ▁봤 는데 ▁생각 보다 ▁훨씬 ▁감동 적 이었 고 ▁음악 도 ▁오래 ▁기억 에 ▁남 는다 ▁."


def example(
    tokens: int, *, layers: int = 12, heads: int = 12, seed: int = 0, title: str = "made"
) -> attention.Attention:
    """Two texts of Korean pieces, and heads with habits as BERT's: neighbours, separators, itself, some words, all."""
    half = tokens // 2
    pieces = [
        (text.split() * 30)[: size - 2 + n] for n, (text, size) in enumerate([(FIRST, half), (SECOND, tokens - half)])
    ]
    pieces[1] = pieces[1][: tokens - half - 1]
    row = ["[CLS]", *pieces[0], "[SEP]", *pieces[1], "[SEP]"]
    special = [0, half - 1, tokens - 1]
    words, word = [], -1
    for place, piece in enumerate(row):
        word += piece.startswith("▁")
        words.append(-1 if place in special else word)
    random = np.random.default_rng(seed)
    apart = np.arange(tokens)[None] - np.arange(tokens)[:, None]
    scores = np.empty((layers, heads, tokens, tokens), np.float32)
    for place in np.ndindex(layers, heads):
        offset, sharp = random.integers(-3, 4), random.uniform(0.2, 3)
        found = -sharp * np.abs(apart - offset) * random.uniform(0, 1)
        found[:, special] += random.normal(1, 2.5)
        found += random.normal(0, 1.2, tokens) + random.normal(0, random.uniform(0.3, 1.5), (tokens, tokens))
        scores[place] = found
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return attention.Attention(weights, row, title=title, special=special, words=words, second=half)


def clicks(page, count: int) -> list[tuple[float, float]]:
    """Milliseconds that our script works after a click on a head, and until it is painted, of `count` heads."""
    return page.evaluate(
        """async (count) => {
          const cells = [...document.querySelectorAll(".head-cell")], found = [];
          const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          for (let n = 0; n < count; n++) {
            await painted();
            const start = performance.now();
            cells[(37 * n + 11) % cells.length].click();
            const worked = performance.now() - start;
            await painted();
            found.push([worked, performance.now() - start]);
          }
          return found;
        }""",
        count,
    )


# When the last change of the document was painted; a page is drawn when nothing has changed for a second after it.
WATCH = """window.last = 0;
new MutationObserver(() => {
  window.changed = performance.now();
  requestAnimationFrame(() => setTimeout(() => (window.last = performance.now())));
}).observe(document, { subtree: true, childList: true, attributes: true });"""


def opening(browser, file: Path, scripts: Path | None) -> tuple[float, float]:
    """Milliseconds until the first content is painted, and until all is."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.add_init_script(WATCH)
    if scripts:
        page.route(re.compile("^https?://"), lambda route: route.fulfill(path=scripts / Path(route.request.url).name))
    page.goto(file.as_uri())
    page.wait_for_function(
        "window.last > window.changed && performance.now() - window.last > 1000 "
        "&& performance.getEntriesByName('first-contentful-paint').length",
        timeout=180_000,
    )
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    found = first, page.evaluate("window.last")
    page.close()
    return found


def bertviz_pages(folder: Path) -> dict[str, Path]:
    """The pages that bertviz makes of example(64), without what it loads."""
    import torch
    from bertviz import head_view, model_view  # pyright: ignore[reportMissingImports]

    model = example(64)
    layers = [torch.from_numpy(layer)[None] for layer in model.weights]
    found = {}
    for view in (head_view, model_view):
        tokens, name = list(model.tokens), view.__name__
        page = view(layers, tokens, html_action="return").data
        found[name] = folder / f"{name}.html"
        found[name].write_text(f"<!doctype html><meta charset=utf-8><body>{page}", encoding="utf8")
        of_two = view(layers, tokens, sentence_b_start=model.second, html_action="return").data
        print(f"{name} with its choice between two texts: {len(of_two.encode()):,} bytes")
    return found


def main() -> None:
    from conftest import FLAGS
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp())
    scripts = Path(sys.argv[2]) if sys.argv[1:2] == ["bertviz"] else None
    if scripts:
        pages = bertviz_pages(folder)
    else:
        pages = {f"12 x 12 x {n}": attention.page(example(n)).save(folder / f"{n}.html") for n in (64, 128)}
        two = [example(64), example(64, seed=1)]
        pages["two models, 12 x 12 x 64"] = attention.page(two).save(folder / "two.html")
    with sync_playwright() as session:
        path = shutil.which("chromium") or session.chromium.executable_path
        browser = session.chromium.launch(executable_path=path, args=FLAGS)
        for name, file in pages.items():
            runs = 3 if name == "model_view" else 10  # it takes 20 seconds
            times = zip(*(opening(browser, file, scripts) for _ in range(runs)), strict=True)
            first, drawn = map(statistics.median, times)
            print(f"{name}: {file.stat().st_size:,} bytes, first paint {first:.0f} ms, drawn {drawn:.0f} ms", end="")
            if not scripts:
                page = browser.new_page(viewport={"width": 1280, "height": 1000})
                page.goto(file.as_uri())
                page.wait_for_selector("[data-ready]", state="attached")
                for what, times in zip(("our script", "painted"), zip(*clicks(page, 50), strict=True), strict=True):
                    print(f", click: {what} {statistics.median(times):.1f}, at most {max(times):.1f} ms", end="")
                page.close()
            print(flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
