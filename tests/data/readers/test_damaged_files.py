"""Random and mutated files: whatever the bytes, a reader gives samples or a DataError, and nothing else."""

from __future__ import annotations

import gzip
import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpnet.data.sources import open_source, open_split
from dpnet.errors import DataError

X = np.arange(24, dtype=np.int16).reshape(4, 6)
LABELS = np.arange(4)

mutations = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.sampled_from(["change", "delete", "insert", "cut"]), st.binary(max_size=6)
    ),
    min_size=1,
    max_size=4,
)


def mutate(content: bytes, changes) -> bytes:
    for place, kind, piece in changes:
        at = int(place * len(content))
        after = {"change": at + len(piece), "delete": at + 1 + len(piece), "insert": at, "cut": len(content)}[kind]
        content = content[:at] + (b"" if kind in ("delete", "cut") else piece) + content[after:]
    return content


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(save) -> bytes:
    stream = io.BytesIO()
    save(stream, x_train=X, y_train=LABELS)
    return stream.getvalue()


def check(folder, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    for opener in (open_split, open_source):
        with suppress(DataError):
            opener(str(folder / name))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a-idx2-ubyte", "a-idx2-ubyte.gz"])
@many
@given(content=st.binary(max_size=300))
def test_random_bytes(folder, name, content):
    check(folder, name, content)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@many
@given(changes=mutations)
def test_mutated_npz(folder, save, changes):
    check(folder, "b.npz", mutate(npz(save), changes))


@many
@given(changes=mutations)
def test_mutated_npy(folder, changes):
    check(folder, "b.npy", mutate(npy(X), changes))


@many
@given(text=st.text("{}()[],:'\"\\ <>|fiuOVSM0123456789-desrhapotn_LTue", max_size=80))
def test_any_npy_header(folder, text):
    header = text.encode() + b"\n"
    check(folder, "c.npy", b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + b"\0" * 48)


@many
@given(
    shape=st.lists(st.integers(-(2**70), 2**70) | st.integers(0, 5), max_size=4),
    descr=st.text("<>|=fiubcOVSUMm0123456789", max_size=4),
)
def test_any_shape_and_type(folder, shape, descr):
    header = repr({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode() + b"\n"
    check(folder, "d.npy", b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + b"\0" * 48)


@pytest.mark.parametrize("compressed", ["no", "inside", "outside"])
@many
@given(changes=mutations)
def test_mutated_idx(folder, to_idx, changes, compressed):
    whole = to_idx(X)
    if compressed == "no":
        check(folder, "b-idx2-short", mutate(whole, changes))
    elif compressed == "inside":
        check(folder, "b-idx2-short.gz", gzip.compress(mutate(whole, changes)))
    else:
        check(folder, "b-idx2-short.gz", mutate(gzip.compress(whole), changes))
