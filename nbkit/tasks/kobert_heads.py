"""What the heads of KoBERT do, measured over many texts, and whether attention explains its answers.

Source: paper_notes/bert.md#what-heads-do
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nbkit.data import manifest, text_sets
from nbkit.data.tokenizer import Encoding, Tokenizer
from nbkit.evaluate import attention as measures
from nbkit.evaluate import text as statistics
from nbkit.evaluate.results import Results, Row
from nbkit.models import kobert
from nbkit.tasks.kobert_attention import KoBERTAttention, Look, Subject
from nbkit.views import attention, summary

TOGETHER = 16  # texts whose attention lies in memory at once
LEAST_WORDS = 4  # of a text, for a correlation over its words
SPECIALS = Tokenizer.cls, Tokenizer.sep
LAST, ROLLOUT, BEFORE, PIECES = "last layer", "rollout", "rollout before", "how many pieces a word has"
SHARE = "share on "  # begins the names of measures that are shares
CHANGE, CORRELATION = "change, bits", "rank correlation with the effect"


class Measured(NamedTuple):
    """Of each of N texts: where the heads look, before and after, and how far the two are apart."""

    before: dict[str, np.ndarray]  # [N, L, H] of each of views.attention.measures
    after: dict[str, np.ndarray]
    alike: dict[str, np.ndarray]  # [N] of a head that looks at all tokens alike
    change: np.ndarray  # [N, L, H] bits


def held_out(config: KoBERTAttention) -> list[tuple[str, str]]:
    """The first texts of a set that are for testing, with their pairs where it has pairs."""
    rows = text_sets.open_text_set(manifest.asked(config, "dataset"), 1).splits["test"]
    return [(row.text, row.pair) for row in rows[: config.count]]


def measure(before: Subject, after: Subject, texts: Sequence[tuple[str, str]]) -> Measured:
    """Both on the same texts; those without any letter are left out."""
    found: list[tuple] = []
    for encoding, one, two in _both(before, after, texts):
        special, alike = np.flatnonzero(np.isin(encoding.ids, SPECIALS)).tolist(), measures.alike(one.shape[-1])
        shown = (attention.Attention(w, encoding.pieces, special=special) for w in (one, two, alike))
        found.append((*map(attention.measures, shown), measures.divergence(one, two)))
    if not found:
        raise ValueError("wanted at least one text with letters to measure on, got none; choose another dataset")
    *habits, change = zip(*found)
    one, two, alike = ({name: np.array([row[name] for row in rows]) for name in rows[0]} for rows in habits)
    return Measured(one, two, {name: values[:, 0, 0] for name, values in alike.items()}, np.array(change))


def _both(
    before: Subject, after: Subject, texts: Sequence[tuple[str, str]]
) -> Iterator[tuple[Encoding, np.ndarray, np.ndarray]]:
    """Each text in tokens, and the weights of both."""
    read = [after.tokenizer.encode(text, pair, after.max_length) for text, pair in texts]
    read = [encoding for encoding in read if not np.isin(encoding.ids, SPECIALS).all()]
    for start in range(0, len(read), TOGETHER):
        part = read[start : start + TOGETHER]
        encoded = [(encoding.ids, encoding.types) for encoding in part]
        yield from zip(part, kobert.attentions(before.model, encoded), kobert.attentions(after.model, encoded))


def head(place: int, heads: int) -> str:
    """The name of a head from its number in [L, H], flattened; people count from 1."""
    return f"layer {place // heads + 1}, head {place % heads + 1}"


def most(measured: Measured) -> summary.Table:
    """Of each habit the head that has most of it; of distance and entropy also the one that has least."""
    rows = []
    for name, values in measured.after.items():
        after, before = values.mean(0), measured.before[name].mean(0)
        ends = [("", int(after.argmax()))]
        if not name.startswith(SHARE):
            ends = [(", least", int(after.argmin())), (", most", int(after.argmax()))]
        for end, place in ends:
            numbers = after.flat[place], before.flat[place], after.mean(), measured.alike[name].mean()
            rows.append((name + end, head(place, after.shape[1]), *(round(float(x), 3) for x in numbers)))
    return summary.table(rows, ("what", "most in", "that head", "the same before", "mean of heads", "if all alike"))


def moved(measured: Measured, count: int = 5) -> summary.Table:
    """The heads that changed most, with what they look at most besides single words, before and after."""
    change = measured.change.mean(0)
    rows = []
    for place in np.argsort(-change, axis=None, kind="stable")[:count]:
        layer, at = np.unravel_index(place, change.shape)
        bounds = statistics.interval(_mean, measured.change[:, layer, at])
        told = (_habit(values, layer, at) for values in (measured.before, measured.after))
        rows.append((head(int(place), change.shape[1]), _told(change[layer, at], bounds), *told))
    return summary.table(rows, ("head", CHANGE, "before, most on", "after, most on"))


def _habit(found: dict[str, np.ndarray], layer: int, at: int) -> str:
    """What a head looks at most, of the specials and its neighbours."""
    shares = {name: values[:, layer, at].mean() for name, values in found.items()}
    name = max((name for name in shares if name.startswith(SHARE)), key=shares.__getitem__)
    return f"{name.removeprefix(SHARE)}, {shares[name]:.2f}"


def by_layer(measured: Measured, results: Results) -> list[Row]:
    """How much the heads of each layer changed, and by how much more the last ones than the first, into the results."""
    layers = measured.change.mean(2).T  # [L, N]
    rows = [results.measure(f"layer {n + 1}", CHANGE, _mean, values) for n, values in enumerate(layers)]
    more = statistics.difference(_mean, (layers[-1],), (layers[0],))
    return [*rows, results.add("last less first", CHANGE, more.value, (more.low, more.high), rows=len(layers[0]))]


def crossing(before: Look, after: Look) -> summary.Table:
    """How much two texts look at each other in each layer, a mean over its heads; and the head that does most."""
    types, special = after.encoding.types, after.special
    rows, sides = [], [measures.crossing(look.weights, types, special) for look in (before, after)]
    for layer in range(len(after.weights)):
        there, back = sides[1]
        numbers = (side[layer].mean() for pair in sides for side in pair)
        rows.append(
            (
                f"layer {layer + 1}",
                *(round(float(x), 3) for x in numbers),
                f"head {int((there + back)[layer].argmax()) + 1}",
            )
        )
    flat = (round(float(side[0, 0]), 3) for side in measures.crossing(measures.alike(len(types)), types, special))
    rows.append(("if all alike", *(2 * tuple(flat)), ""))
    heads = ("before, first to second", "second to first", "after, first to second", "second to first", "most in")
    return summary.table(rows, ("", *heads))


def from_cls(look: Look) -> dict[str, np.ndarray]:
    """How much [CLS] looks at each word: in the last layer, a mean over its heads, and by rollout. [W] each

    With them how many pieces a word has, since more pieces gather more attention.
    """
    shares = {LAST: look.weights[-1].mean(0)[0], ROLLOUT: attention.rollout(look.weights)[-1][0]}
    shares[PIECES] = np.ones(len(look.owner))
    own = look.owner >= 0
    return {name: np.bincount(look.owner[own], share[own], len(look.words)) for name, share in shares.items()}


def words(look: Look, effects: np.ndarray | None = None) -> summary.Table:
    """Each word with how much [CLS] looks at it and, where they are given, what hiding it does to the answer.

    Without effects the last row is over how many words a column spreads: e to its entropy.
    """
    columns = {f"from [CLS], {name}": values for name, values in from_cls(look).items() if name != PIECES}
    last: list[tuple] = []
    if effects is None:
        last.append(("spread over so many words", *(round(_spread(values), 1) for values in columns.values())))
    else:
        columns["effect of hiding it"] = effects
    rows = [(word, *(round(float(values[n]), 3) for values in columns.values())) for n, word in enumerate(look.words)]
    return summary.table(rows + last, ("word", *columns))


def _spread(values: np.ndarray) -> float:
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def explains(before: Subject, after: Subject, texts: Sequence[tuple[str, str]], results: Results) -> list[Row]:
    """Whether words that [CLS] looks at are those that the answer hangs on, into the results.

    Within each text with LEAST_WORDS words or more: the rank correlation of attention with the size of the effect that
    hiding the word has on the answer of `after`; then the mean over the texts. Beside it what knows nothing of that
    answer: the attention of `before`, and how many pieces a word has. A text in which one of them is the same for all
    words is left out.
    raises  ValueError where fewer than two texts are left
    """
    found: dict[str, list[float]] = {}
    texts = [one for one in texts if len(one[0].split()) >= LEAST_WORDS]
    for start in range(0, len(texts), TOGETHER):
        part = texts[start : start + TOGETHER]
        looks = after.looks(part)
        for look, earlier, effect in zip(looks, before.looks(part), after.effects(looks), strict=True):
            own = from_cls(look)
            shares = {LAST: own[LAST], ROLLOUT: own[ROLLOUT], BEFORE: from_cls(earlier)[ROLLOUT], PIECES: own[PIECES]}
            if min(np.ptp(values) for values in (*shares.values(), effect)) > 0:
                for name, values in shares.items():
                    found.setdefault(name, []).append(float(statistics.spearman(values, abs(effect))))
    if len(found.get(LAST, ())) < 2:
        raise ValueError(f"wanted at least two texts of {LEAST_WORDS} words or more, got fewer; raise count")
    rows = [results.measure(name, CORRELATION, _mean, values) for name, values in found.items()]
    for other in (LAST, BEFORE):
        more = statistics.difference(_mean, (found[ROLLOUT],), (found[other],))
        name, count = f"{ROLLOUT} less {other}", len(found[other])
        rows.append(results.add(name, CORRELATION, more.value, (more.low, more.high), rows=count))
    return rows


def told(rows: Sequence[Row]) -> summary.Table:
    """Rows of the results with their intervals."""
    return summary.table([(row.system, str(row), row.rows) for row in rows], ("", rows[0].metric, "texts"))


def _mean(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).mean(-1)


def _told(value: float, bounds: tuple[float, float]) -> str:
    return f"{value:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"
