"""What all fuzz tests share: the number of examples, and ways to damage bytes.

At night there are more examples, and other ones every time; DPNET_TEST_EXAMPLES multiplies their number.
"""

from __future__ import annotations

import contextlib
import gc
import json
import struct
from collections.abc import Iterator
from typing import Any

from helpers.night import times
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dpnet.errors import DpnetError

MULTIPLE = times("DPNET_TEST_EXAMPLES", day=1, night=20)
LONGEST_MESSAGE = 100_000  # A message may list a hundred problems, each with the path of the file.


def examples(count: int) -> settings:
    """The settings of a fuzz test of `count` examples: the same ones every time, unless they are multiplied."""
    return settings(
        max_examples=count * MULTIPLE,
        derandomize=MULTIPLE == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """Let no garbage be collected within the block.

    What is read here may be nested to the limit of recursion. At that depth, a finalizer of some other test's objects
    can only fail; pytest would blame this test for it.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextlib.contextmanager
def only_dpnet_errors(kind: type[DpnetError] = DpnetError) -> Iterator[None]:
    """Let the block raise errors of that kind, whose message is not too long to show, and no others."""
    message = "none"
    try:
        with collector_off():
            yield
    except kind as error:
        message = str(error)
    assert 0 < len(message) < LONGEST_MESSAGE


INTEGERS = st.sampled_from([0, 1, 2, 7, 127, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
KINDS = ["flip", "delete", "insert", "truncate", "duplicate", "integer"]

mutations = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6), INTEGERS),
    min_size=1,
    max_size=4,
)


def mutate(content: bytes, changes: list[tuple[str, float, bytes, int]]) -> bytes:
    """The content after some changes; each has a kind, a place from 0 to 1, and the bytes and number to put there."""
    for kind, place, piece, number in changes:
        at = int(place * len(content))
        before, after, many = content[:at], content[at:], len(piece)
        if kind == "flip":
            content = before + bytes(a ^ b for a, b in zip(after, piece, strict=False)) + after[many:]
        elif kind == "delete":
            content = before + after[many:]
        elif kind == "insert":
            content = before + piece + after
        elif kind == "truncate":
            content = before
        elif kind == "duplicate":
            content = before + after[: 16 * many] + after
        else:
            width = 8 if many > 4 else (1, 2, 4, 4)[many - 1]
            packed = struct.pack("<Q", number)[:width]
            content = before + (packed if number % 2 else packed[::-1]) + after[width:]
    return content


def tensor_file(header: Any, data: bytes, length: int | None = None) -> bytes:
    """A file of safetensors; `length` is the size that it claims for its header, if not the true one."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def nested(depth: int) -> Any:
    """So many lists within one another."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


WILD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from([2**63, -(2**63), 10**400, -(10**400), 1e308, "\ud800", "\x1b[2J\n", "a" * 5000, "", "0.weight"])
    | st.sampled_from([4, 7, 20, 300]).map(nested),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""Any value of JSON, and often one that a reader may have forgotten."""
