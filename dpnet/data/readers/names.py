"""Names of the arrays of a data set: x_train, y_train, w_train and so on, in one file or as files of a folder."""

from __future__ import annotations

from collections.abc import Collection

from dpnet.data.split import NAMES
from dpnet.errors import DataError
from dpnet.text import words


def find_word(split: str, names: Collection[str], source: str) -> str | None:
    """What a split is called in the names of its arrays; None: there are none of it.

    Args:
        split: one of `split.SPLITS`.
        names: of the arrays that there are.
        source: what holds them, for messages.

    Raises:
        DataError: arrays of the split have names of two kinds, of which one would be left out; or there are weights and
            no samples that they belong to.
    """
    word = next((one for one in NAMES[split] if not {f"x_{one}", f"y_{one}"}.isdisjoint(names)), None)
    strays = [f"{array}_{one}" for one in NAMES[split] for array in "xyw" if one != word and f"{array}_{one}" in names]
    if strays and word is None:
        raise DataError(f"{source} holds {words(strays, 'and')}, but no x{strays[0][1:]}; leave the weights out.")
    if strays:
        taken = [f"{array}_{word}" for array in "xyw" if f"{array}_{word}" in names]
        raise DataError(
            f"{source} holds {words(taken, 'and')}, and {words(strays, 'and')} beside: give the arrays of one set of "
            f"samples one ending, x_{word}, y_{word}, w_{word}, and leave others out."
        )
    return word
