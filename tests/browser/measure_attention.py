"""Attention to look at, made from real Korean pieces, and what its page costs."""

from __future__ import annotations

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


def clicks(page, count: int) -> list[float]:
    """Milliseconds from a click on a head to the frame after the one that shows it, of `count` heads."""
    return page.evaluate(
        """async (count) => {
          const cells = [...document.querySelectorAll(".head-cell")], found = [];
          const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          for (let n = 0; n < count; n++) {
            await painted();
            const start = performance.now();
            cells[(37 * n + 11) % cells.length].click();
            await painted();
            found.push(performance.now() - start);
          }
          return found;
        }""",
        count,
    )
