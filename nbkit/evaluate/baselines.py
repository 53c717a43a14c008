"""The base camp: what one has in half a minute without a network, and what a network has to beat.

scikit-learn and bm25s do the work. Texts go in, numbers come out; a text is cut into runs of characters, which needs
no analyser of Korean and sees the stem behind any ending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer


class TextClassifier:
    """TF-IDF of 1 to 3 characters and a linear support vector machine (C 0.5, chosen on a tenth of NSMC's train).

    Of two texts a row, what they share (the product of their features) and what they do not (the difference) is added
    to what each of them holds.
    """

    def fit(self, texts: Sequence[str], labels: Sequence[Any], pairs: Sequence[str] = ()) -> Self:
        """Learn from N texts, or pairs of texts; raises ValueError where there is nothing to tell apart."""
        from sklearn.svm import LinearSVC

        _check_lengths(texts=texts, labels=labels, **({"pairs": pairs} if len(pairs) else {}))
        if len(set(labels)) < 2:
            raise ValueError(f"wanted at least two labels to tell apart, got only {labels[0]!r} on {len(labels)} rows")
        self._tfidf = _tfidf([*texts, *pairs])
        self._svm = LinearSVC(C=0.5, random_state=0).fit(self._features(texts, pairs), np.asarray(labels))
        return self

    def predict(self, texts: Sequence[str], pairs: Sequence[str] = ()) -> np.ndarray:
        """The label of each text. [N]"""
        return np.asarray(self._svm.predict(self._features(texts, pairs)))

    def _features(self, texts: Sequence[str], pairs: Sequence[str]) -> csr_matrix:
        from scipy.sparse import csr_matrix, hstack

        first = self._tfidf.transform(texts)
        if not len(pairs):
            return csr_matrix(first)
        second = self._tfidf.transform(pairs)
        return csr_matrix(hstack([first, second, first.multiply(second), abs(first - second)]))


class PairRegressor:
    """How alike two texts are: a line through the cosines of their characters (1, 2, 3 together) and their lengths.

    mean    what it would guess without looking, which is the other thing to compare with
    """

    def fit(self, texts: Sequence[str], pairs: Sequence[str], scores: Sequence[float]) -> Self:
        """Learn from N pairs of texts and their scores; raises ValueError for scores that are not finite."""
        from sklearn.linear_model import LinearRegression

        _check_lengths(texts=texts, pairs=pairs, scores=scores)
        wanted = np.asarray(scores, dtype=np.float64)
        if not np.isfinite(wanted).all():
            raise ValueError(f"wanted a score for each pair, {int((~np.isfinite(wanted)).sum())} of them have none")
        self._tfidfs = [_tfidf([*texts, *pairs], (n, n)) for n in (1, 2, 3)]
        self._line = LinearRegression().fit(self._features(texts, pairs), wanted)
        self.mean = float(wanted.mean())
        return self

    def predict(self, texts: Sequence[str], pairs: Sequence[str]) -> np.ndarray:
        """The score of each pair. [N]"""
        return np.asarray(self._line.predict(self._features(texts, pairs)))

    def _features(self, texts: Sequence[str], pairs: Sequence[str]) -> np.ndarray:
        """[N, 5]: three cosines, the share of the shorter length in the longer one, the logarithm of both."""
        _check_lengths(texts=texts, pairs=pairs)
        cosines = [
            np.asarray(tfidf.transform(texts).multiply(tfidf.transform(pairs)).sum(1)).ravel() for tfidf in self._tfidfs
        ]
        lengths = np.array([[1 + len(a), 1 + len(b)] for a, b in zip(texts, pairs)], dtype=np.float64)
        return np.column_stack([*cosines, lengths.min(1) / lengths.max(1), np.log(lengths.sum(1))])


class TfidfSearch:
    """Cosine of TF-IDF vectors of 1 to 3 characters between a query and each of N texts."""

    def __init__(self, texts: Sequence[str]):
        _check_lengths(texts=texts)
        self._tfidf = _tfidf(texts)
        self._index = self._tfidf.transform(texts).T.tocsr()

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Greater is nearer, 0 where no character is shared. [Q, N] float32"""
        return np.asarray((self._tfidf.transform(queries) @ self._index).toarray(), dtype=np.float32)


class Bm25Search:
    """BM25 between a query and each of N texts.

    tokens  "characters", runs of 1 and 2 within a word, or "words", what stands between spaces. Characters find more
            in Korean: of 100 answers to a held-out chatbot question they rank the true one first in .208, words
            in .059, and .514 to .356 where the known questions of each answer are searched too.
    """

    def __init__(self, texts: Sequence[str], tokens: str = "characters"):
        import bm25s

        _check_lengths(texts=texts)
        self._cut = _cutter(tokens)
        cut = [self._cut(text) for text in texts]
        if not any(cut):
            raise ValueError(f"wanted texts to search in, none of the {len(texts)} has a token")
        self.size = len(texts)
        self._index = bm25s.BM25()
        self._index.index(cut, show_progress=False)
        self._known = frozenset(token for tokens in cut for token in tokens)

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Greater is nearer, 0 where no token is shared. [Q, N] float32"""
        found = np.zeros((len(queries), self.size), dtype=np.float32)
        for row, query in zip(found, queries):
            tokens = [token for token in self._cut(query) if token in self._known]
            if tokens:
                row[:] = self._index.get_scores(tokens)
        return found


def _cutter(tokens: str) -> Callable[[str], list[str]]:
    from sklearn.feature_extraction.text import CountVectorizer

    if tokens == "words":
        return lambda text: text.lower().split()
    if tokens == "characters":
        runs = CountVectorizer(analyzer="char_wb", ngram_range=(1, 2)).build_analyzer()
        return lambda text: [run for run in runs(text) if run != " "]
    raise ValueError(f"wanted tokens 'characters' or 'words', got {tokens!r}")


def _tfidf(texts: Sequence[str], runs: tuple[int, int] = (1, 3)) -> TfidfVectorizer:
    """Fitted on texts; a run of characters counts where two texts have it, or in one where so few are alike."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    for least in (2, 1):
        vectoriser = TfidfVectorizer(
            analyzer="char",
            ngram_range=runs,
            min_df=least,
            sublinear_tf=True,
            dtype=np.float32,  # type: ignore[arg-type]
        )
        try:
            return vectoriser.fit(texts)
        except ValueError as error:  # scikit-learn's word for an empty vocabulary
            if least == 1:
                raise ValueError(f"wanted texts of at least {runs[0]} characters, got {len(texts)} without") from error
    raise AssertionError


def _check_lengths(**columns: Sequence[Any]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        got = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise ValueError(f"wanted at least one row and as many of each, got {got}")
