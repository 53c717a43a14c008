"""Which token looks at which: all heads of a network at a glance, one of them large, two models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import matplotlib as mpl
import numpy as np

from nbkit.views import style
from nbkit.views.heads import grid, lines, matrix, poster
from nbkit.views.page import Page, pack, render

__all__ = ["Attention", "entropy", "grid", "joined", "lines", "matrix", "measures", "page", "rollout", "written"]

TOKENS = 512
WEIGHTS = 40_000_000  # 12 x 12 x 512 x 512 and a little more; browsers unpack it in seconds
ROW_SUM = 0.02  # bfloat16 rows of 512 tokens sum to 1 within this
_ENTROPY, _BEFORE, _BEHIND, _DISTANCE = "entropy", "share on the token before", "share on the token behind", "distance"


@dataclass(frozen=True, eq=False)
class Attention:
    """The attention of one model on one input; rows of weights sum to 1, or to 0 where they are masked.

    weights  [L, H, T, S]  how much token t (from) looks at token s (to), after the softmax and without dropout
    tokens   [T]           as they are shown, such as pieces ("▁영화", "[CLS]")
    others   [S]           the tokens that are looked at where they are not the same ones (cross attention)
    title                  which model or checkpoint
    special                indices of the tokens that can be hidden, such as those of [CLS] and [SEP]
    words    [T]           number of the word that each token belongs to; negative: it stands alone
    second                 where the second text begins; 0: there is one text
    """

    weights: np.ndarray = field(repr=False)
    tokens: Sequence[str]
    others: Sequence[str] | None = None
    title: str = ""
    special: Sequence[int] = ()
    words: Sequence[int] | None = None
    second: int = 0

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights)
        looked_at = self.tokens if self.others is None else self.others
        if weights.ndim != 4 or not weights.size or weights.shape[2:] != (len(self.tokens), len(looked_at)):
            wanted = f"[layers, heads, {len(self.tokens)}, {len(looked_at)}]"
            raise ValueError(
                f"attention of these tokens wants weights {wanted}, got shape {weights.shape}; pick one text"
            )
        _check_weights(weights)
        object.__setattr__(self, "weights", weights.astype(np.float32))
        tokens = len(self.tokens)
        if any(not 0 <= place < tokens for place in self.special):
            raise ValueError(f"special wants indices from 0 to {tokens - 1}, got {list(self.special)}; count tokens")
        if self.words is not None and len(self.words) != tokens:
            raise ValueError(f"words wants a number for each of {tokens} tokens, got {len(self.words)}; -1 for no word")
        if not 0 <= self.second < tokens:
            raise ValueError(
                f"second wants a token from 0 to {tokens - 1}, got {self.second}; 0 where there is one text"
            )


def _check_weights(weights: np.ndarray) -> None:
    if not np.issubdtype(weights.dtype, np.floating):
        raise ValueError(f"attention wants float weights, got {weights.dtype}; take them after the softmax")
    if not np.isfinite(weights).all():
        broken = int((~np.isfinite(weights)).sum())
        raise ValueError(f"attention wants finite weights, got {broken} NaN or infinite; fill masked rows with 0")
    sums = weights.sum(-1, dtype=np.float64)
    if weights.min() < 0 or (np.minimum(abs(sums - 1), abs(sums)) > ROW_SUM).any():
        got = f"sums from {sums.min():.3g} to {sums.max():.3g}, smallest weight {weights.min():.3g}"
        raise ValueError(f"attention wants rows that sum to 1 (or 0), got {got}; take the softmax's, in eval mode")


def page(models: Attention | Sequence[Attention], *, layer: int = -1, head: int = 0) -> Page:
    """All heads, one of them opened; of two models of one shape on the same tokens also their difference.

    layer, head  what is open at first, from 0; negative from the end. The page counts from 1
    """
    models = [models] if isinstance(models, Attention) else list(models)
    first = _same_tokens(models)
    layers, heads = first.weights.shape[:2]
    layer, head = _place(layer, layers, "layer"), _place(head, heads, "head")
    title = " and ".join(shown(model.title) for model in models if model.title) or "attention"
    data = {
        "layer": layer,
        "head": head,
        "tokens": [shown(token) for token in first.tokens],
        "others": None if first.others is None else [shown(token) for token in first.others],
        "special": sorted(set(map(int, first.special))),
        "words": None if first.words is None else _groups(first.words),
        "names": None if first.words is None else [shown(written(names)) for names in _word_pieces(first)],
        "second": int(first.second),
        "colours": [_colours(style.MAGNITUDE), _colours(style.DIFFERENCE)],
        "models": [_packed(model, number) for number, model in enumerate(models)],
        "apart": apart(models).tolist(),
    }
    texts = [title, *data["tokens"], *(data["others"] or ())]
    font = style.font_face("".join(texts))
    document = render("attention.html", title=title, data=data, font=font)
    return Page(document, poster(models, layer, head), _height(models), title)


def _height(models: Sequence[Attention]) -> int:
    """CSS pixels that a page as wide as a notebook needs: a row a token beside the grid; two models scroll."""
    layers, _, tokens, _ = models[0].weights.shape
    return 900 if len(models) > 1 else min(840, 330 + max(15 * tokens, 20 * layers))


def _same_tokens(models: Sequence[Attention]) -> Attention:
    if not 1 <= len(models) <= 2:
        raise ValueError(f"an attention page wants one model or two, got {len(models)}; make a page for each pair")
    first, size = models[0], sum(model.weights.size for model in models)
    longest = max(first.weights.shape[2:])
    if longest > TOKENS or size > WEIGHTS:
        shape = " x ".join(map(str, first.weights.shape))
        raise ValueError(
            f"an attention page carries {TOKENS} tokens and {WEIGHTS / 1e6:.0f} million weights, got {len(models)} x "
            f"{shape} = {size / 1e6:.0f} million; show fewer layers (weights[-4:]) or a shorter text"
        )
    for other in models[1:]:
        same = _texts(other) == _texts(first)
        if other.weights.shape != first.weights.shape or not same:
            raise ValueError(
                f"two models on one page want the same layers, heads and tokens, got {first.weights.shape} and "
                f"{other.weights.shape}; read one text with one tokenizer, or make two pages"
            )
    return first


def _texts(model: Attention) -> tuple[list[str], list[str]]:
    return list(model.tokens), list(model.tokens if model.others is None else model.others)


def _place(number: int, count: int, name: str) -> int:
    if not -count <= number < count:
        raise ValueError(
            f"{name} wants a number from 0 to {count - 1}, got {number}; the page counts from 1, Python from 0"
        )
    return number % count


def apart(models: Sequence[Attention]) -> np.ndarray:
    """Which share of its attention each head of the last model gives elsewhere than that of the first, [L, H]."""
    first, last = models[0].weights, models[-1].weights
    return np.round(abs(last - first).sum(-1).mean(-1) / 2, 4)


def _packed(model: Attention, number: int) -> dict:
    square = model.others is None
    found = {"title": shown(model.title or f"model {'AB'[number]}"), "weights": _quantised(model.weights)}
    found["rollout"] = _quantised(rollout(model.weights)) if square else None
    found["measures"] = [[name, np.round(values, 4).tolist()] for name, values in measures(model).items()]
    return found


def _quantised(weights: np.ndarray) -> dict:
    """Weights [..., S] in 255 steps up to `most` of each row.

    A step is 1/255 of the largest weight of its row, but no less than 0.0015 (or a fifth of 1/S): rows that look at
    all alike would else spend the page on noise that nobody sees.
    """
    floor = 255 * min(0.0015, 0.2 / weights.shape[-1])
    most = np.round(np.maximum(weights.max(-1), floor) * 65535).clip(0, 65535).astype(np.uint16)
    steps = np.round(weights / most[..., None] * np.float32(65535 * 255)).clip(0, 255)
    return {"steps": pack(steps.astype(np.uint8)), "most": pack(most)}


def _colours(name: str) -> list[int]:
    """A colour map as 256 numbers 0xRRGGBB."""
    table = mpl.colormaps[name](np.arange(256), bytes=True).astype(int)
    return (table[:, 0] << 16 | table[:, 1] << 8 | table[:, 2]).tolist()


def measures(model: Attention) -> dict[str, np.ndarray]:
    """What heads can be sorted by, [L, H] each: entropy in nats; means over all rows of shares and of tokens walked."""
    weights, found = model.weights, {_ENTROPY: entropy(model.weights)}
    if model.others is not None:
        return found
    tokens = len(model.tokens)
    kinds = {shown(model.tokens[place]): [] for place in model.special}
    for place in model.special:
        kinds[shown(model.tokens[place])].append(place)
    for name, places in kinds.items():
        found[f"share on {name[:12]}"] = weights[..., places].sum(-1).mean(-1)
    for name, step in ((_BEFORE, -1), (_BEHIND, 1)):
        found[name] = np.trace(weights, step, 2, 3) / max(tokens - 1, 1)
    apart = np.abs(np.arange(tokens)[:, None] - np.arange(tokens))
    found[_DISTANCE] = (weights * apart).sum(-1).mean(-1)
    return found


def entropy(weights: np.ndarray) -> np.ndarray:
    """How evenly each head looks, in nats: the entropy of its rows, a mean over those that are not masked.

    weights  [L, H, T, S]
    returns  [L, H]        0 where every token looks at one, ln S where all look at all alike
    """
    weights = np.asarray(weights, np.float32)
    rows = -(weights * np.log(np.maximum(weights, 1e-30))).sum(-1)
    seen = (weights > 0).any(-1)
    return np.maximum(rows.sum(-1) / np.maximum(seen.sum(-1), 1), 0)


def rollout(weights: np.ndarray) -> np.ndarray:
    """How much of each token reaches each other one up to a layer, were attention all that moves it.

    Half of the mean over heads and half of the token itself, which goes on beside attention, rows brought to 1,
    multiplied up from the first layer. Source: Abnar and Zuidema 2020, Quantifying attention flow in transformers.

    weights  [L, H, T, T]
    returns  [L, T, T]
    """
    weights = np.asarray(weights, np.float32)
    if weights.ndim != 4 or weights.shape[2] != weights.shape[3]:
        raise ValueError(f"rollout wants weights [L, H, T, T], got shape {weights.shape}; it has no sense across texts")
    own = np.eye(weights.shape[-1], dtype=np.float32)
    found, flow = [], own
    for layer in weights.mean(1):
        mixed = 0.5 * layer + 0.5 * own
        flow = (mixed / mixed.sum(-1, keepdims=True)) @ flow
        found.append(flow)
    return np.array(found)


def joined(model: Attention) -> Attention:
    """The same attention among words: a mean over the pieces that look, a sum over the pieces looked at."""
    if model.words is None:
        raise ValueError("joining wants Attention(words=...), the number of the word of each token, got None")
    groups = np.array(_groups(model.words))
    count = int(groups.max()) + 1
    member = (groups == np.arange(count)[:, None]).astype(np.float32)  # [W, T]
    weights = np.einsum("wt,lhts->lhws", member / member.sum(1, keepdims=True), model.weights)
    if model.others is None:
        weights = weights @ member.T
    tokens = [written(pieces) for pieces in _word_pieces(model)]
    special = sorted({int(groups[place]) for place in model.special})
    second = int(groups[model.second])
    return replace(model, weights=weights, tokens=tokens, special=special, words=None, second=second)


def _groups(words: Sequence[int]) -> list[int]:
    """Numbers from 0 in the order of the tokens; what has no word is one of its own."""
    seen: dict[tuple, int] = {}
    return [seen.setdefault(("token", i) if word < 0 else ("word", word), len(seen)) for i, word in enumerate(words)]


def _word_pieces(model: Attention) -> list[list[str]]:
    groups = _groups(() if model.words is None else model.words)
    found: list[list[str]] = [[] for _ in range(max(groups) + 1)]
    for token, group in zip(model.tokens, groups, strict=True):
        found[group].append(token)
    return found


def written(pieces: Sequence[str]) -> str:
    """The word that pieces are cut from, without the marks of SentencePiece (▁) and WordPiece (##)."""
    first, *rest = pieces
    return "".join([first.removeprefix("▁"), *(piece.removeprefix("##") for piece in rest)]) or first


def shown(token: str) -> str:
    """A token of any origin as a page can hold it: jamo composed, halves of characters as �, nothing as ␣."""
    text = style.label(token.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return text if text.strip() else "␣"
