"""What the sections of a configuration are made of: limits of values, and defaults that follow from other keys.

Every rank imports the configuration, but only the rank that reads the job file checks it. So limits are classes of our
own, and no library is imported here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from dpnet.errors import ConfigError

INT64_MAX = 2**63 - 1
"""Greatest integer of TOML."""


@dataclass(frozen=True)
class Range:
    """Limits of a number, or of every number of a list.

    Attributes:
        low: the least value.
        high: the greatest value; None: no limit but that of TOML's integers.
        above: `low` itself is not allowed.
        below: `high` itself is not allowed.
    """

    low: float
    high: float | None = None
    above: bool = False
    below: bool = False

    def __str__(self) -> str:
        """Say it in words."""
        low = f"{'above' if self.above else 'at least'} {self.low}"
        return low if self.high is None else f"{low} and {'below' if self.below else 'at most'} {self.high}"

    def check(self, value: Any) -> Any:
        """Return `value`, a number or a tuple of numbers.

        Raises:
            ValueError: it is outside the range; the message states the range.
        """
        for number in value if isinstance(value, tuple) else (value,):
            if number < self.low or (self.above and number == self.low):
                raise ValueError(self)
            if self.high is not None and (number > self.high or (self.below and number == self.high)):
                raise ValueError(self)
            if isinstance(number, int) and number > INT64_MAX:
                raise ValueError(f"at most {INT64_MAX}")
        return value


@dataclass(frozen=True)
class Text:
    """Limits of a string, or of every string of a list. A number that may stand in its place has none.

    Attributes:
        words: what it must be.
    """

    words: str = "not empty and fit for a path"

    def __str__(self) -> str:
        """Say it in words."""
        return self.words

    def check(self, value: Any) -> Any:
        """Return `value`.

        Raises:
            ValueError: a string is empty, has a zero byte, or cannot be written as UTF-8.
        """
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and (
                not text or "\0" in text or any("\ud800" <= char <= "\udfff" for char in text)
            ):
                raise ValueError(self)
        return value


@dataclass(frozen=True)
class Among:
    """Limits of a list of names."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in words."""
        return f"one of {', '.join(self.names)}"

    def check(self, value: tuple[str, ...]) -> tuple[str, ...]:
        """Return `value`.

        Raises:
            ValueError: a name is none of these.
        """
        if not set(value) <= set(self.names):
            raise ValueError(self)
        return value


@dataclass(frozen=True)
class PathOrShare:
    """Limits of a string that is a path, or of a number that is a share of something.

    Attributes:
        what: the path is of.
    """

    what: str

    def __str__(self) -> str:
        """Say it in words."""
        return f"the path of {self.what}, or a number above 0 and below 1"

    def check(self, value: str | float) -> str | float:
        """Return `value`.

        Raises:
            ValueError: it is neither.
        """
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError(self)
        try:
            return Text().check(value)  # type: ignore[no-any-return]
        except ValueError:
            raise ValueError(self) from None


@dataclass(frozen=True)
class ClassWeights:
    """Limits of what classes weigh: "balanced", or a number for each label."""

    def __str__(self) -> str:
        """Say it in words."""
        return '"balanced", or a table of labels with numbers from 0 to 1e6, { cat = 2.0, dog = 1.0 }'

    def check(self, value: str | dict[str, float]) -> str | dict[str, float]:
        """Return `value`.

        Raises:
            ValueError: it is neither.
        """
        if value != "balanced" and (isinstance(value, str) or not value):
            raise ValueError(self)
        if isinstance(value, dict):
            for label, weight in value.items():
                if not 0 <= weight <= 1e6:
                    raise ValueError(f"{self}; that of {label!r} is {weight:g}")
        return value


@dataclass(frozen=True)
class OnlyFor:
    """Marks a key that has an effect only with these values of the key `of`; empty: of the section's `name`."""

    names: tuple[str, ...]
    of: str = ""


class Governs(Enum):
    """What a key governs, and so whether it may change in a run that has begun.

    A section says it for all its keys, `class ModelConfig(Section, governs=Governs.RESULT)`; a key that differs has a
    mark of its own.
    """

    RESULT = "result"
    """What comes out: with another value it is another run."""
    LENGTH = "length"
    """When the training ends: a run can go on to a later end, and not back to an earlier one."""
    OPERATION = "operation"
    """How the work is done, watched and kept. At most rounding depends on it, as it does on the number of ranks."""


def follows(text: str, example: Any = None) -> Any:
    """A default that follows from other keys, as `text` says.

    Args:
        text: how it follows.
        example: a value; for keys that stay None, and are filled in where they are used.
    """
    return field(default=None, metadata={"follows": text, "example": example})


def fill(section: object, name: str, value: Any) -> None:
    """Set a field of a frozen object; for its `__post_init__` only."""
    object.__setattr__(section, name, value)


_RECIPE = """\
of type {kind}; a job holds no arrays. Give them to the training, or save them, and give the path:

    dpnet.train(job, data=(x, y))  # or a dictionary of x_train, y_train, x_test, ..., or a data frame
    np.savez("data.npz", x_train=x, y_train=y)  # and x_test=..., y_test=...
    table.to_csv("data.csv", index=False)  # of a data frame; data.target is the column of the labels"""


def _holds_arrays(value: object) -> bool:
    """Whether a value is an array, a data frame, or a group of them."""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
    return any(getattr(item, "shape", ()) != () for item in values)


class Section:
    """Base of the sections. A path is kept as a string; arrays are refused.

    Raises:
        ConfigError: a value holds arrays.

    Attributes:
        one_of: keys of which exactly one holds; the others are None. If none is given the first holds, with the value
            here; the values of the others are examples.
        governs: what its keys govern, but for those that say otherwise.
    """

    one_of: ClassVar[dict[str, float]] = {}
    governs: ClassVar[Governs]

    def __init_subclass__(cls, governs: Governs | None = None) -> None:
        if governs is not None:
            cls.governs = governs

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, os.PathLike):
                fill(self, name, os.fspath(value))
            elif _holds_arrays(value):
                section = type(self).__name__.removesuffix("Config").lower()
                raise ConfigError(f"{section}.{name} is {_RECIPE.format(kind=type(value).__name__)}")
        if self.one_of and all(getattr(self, name) is None for name in self.one_of):
            fill(self, *next(iter(self.one_of.items())))


class Periodic(Section):
    """A section with an interval: how often something happens."""

    every_epochs: int | None
    every_steps: int | None

    def interval_steps(self, steps_per_epoch: int) -> int:
        """Steps from one time to the next; 0: never, or not counted in steps."""
        return self.every_steps or (self.every_epochs or 0) * steps_per_epoch
