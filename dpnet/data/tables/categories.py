"""Which texts of a column are categories: those that are frequent enough. Rarer ones share an input, `unknown`.

    Berlin   812 rows   a category
    Paris    360 rows   a category
    Ulm       12 rows   unknown             with data.min_frequency = 50
    Jena       3 rows   unknown

What is counted are rows of the training data, whatever they weigh. scikit-learn's OneHotEncoder does the same with
min_frequency and handle_unknown="infrequent_if_exist".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dpnet.data.tables.column import Column
from dpnet.data.tables.texts import as_category

MAX_DETECTED = 100
"""A column of text with more categories is taken for free text, unless data.categorical names it."""
MAX_CATEGORIES = 10_000
"""Most categories of a column."""
LEAST_SHARE = 0.1
"""Where there are more different texts than MAX_DETECTED, a smaller share of the rows with categories is that of some
words that recur in free text."""
PROPOSED_SHARE = 0.5
"""A frequency is proposed that leaves a category to so many of the rows."""
PROPOSED = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Frequencies that are proposed."""


@dataclass(frozen=True, eq=False)
class Counts:
    """The different texts of a column.

    Attributes:
        rows: that have each of them.
    """

    rows: Counter[str]

    def frequent(self, min_frequency: int) -> tuple[str, ...]:
        """Those that are in so many rows, sorted."""
        return tuple(sorted(text for text, rows in self.rows.items() if rows >= min_frequency))

    def share(self, min_frequency: int) -> float:
        """Share of the rows with a text whose text is in so many rows, from 0 to 1."""
        return sum(rows for rows in self.rows.values() if rows >= min_frequency) / max(self.rows.total(), 1)

    def are_free(self, min_frequency: int, *, forced: bool = False) -> bool:
        """Whether they look like free text or names; if they are `forced` to be categories, whether they are too many.

        A single text that is in so many rows does not make categories of the others.
        """
        if len(self.frequent(min_frequency)) > (MAX_CATEGORIES if forced else MAX_DETECTED):
            return True
        return not forced and len(self.rows) > MAX_DETECTED and self.share(min_frequency) < LEAST_SHARE

    def proposed(self, *, forced: bool = False) -> int | None:
        """The least of some frequencies with which most rows keep a category, and not too many; None: there is none."""
        fitting = (
            one for one in PROPOSED if not self.are_free(one, forced=forced) and self.share(one) >= PROPOSED_SHARE
        )
        return next(fitting, None)


def counts_of(column: Column) -> Counts:
    """The different texts of a column of text; true and True, and 1 and 1.0, are one. What is missing is none."""
    rows = np.bincount(column.values[column.values >= 0], minlength=len(column.texts)).tolist()
    counts = Counter[str]()
    for text, number in zip(column.texts, rows, strict=True):
        counts[as_category(str(text))] += number
    return Counts(counts)
