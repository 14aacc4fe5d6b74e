"""Which reader reads a source: the first of a table that fits."""

from __future__ import annotations

import difflib
import itertools
import os
from pathlib import Path

from dpnet.data.converted.reader import Converted
from dpnet.data.digits import NAME, Digits
from dpnet.data.readers.guards import guarded
from dpnet.data.readers.hdf5 import BareHdf5, Hdf5
from dpnet.data.readers.idx import IdxFile, IdxFolder
from dpnet.data.readers.interface import Reader
from dpnet.data.readers.npy import NpyFile, NpyFolder
from dpnet.data.readers.npz import BareNpz, Npz
from dpnet.data.readers.recipes import conversion
from dpnet.data.readers.svmlight import SvmFile
from dpnet.data.tables.files import ENDINGS, is_table
from dpnet.errors import DataError
from dpnet.files import where_from
from dpnet.text import listed

READERS: tuple[Reader, ...] = (Digits(), Converted(), IdxFolder(), NpyFolder(), Npz(), Hdf5(), SvmFile())
"""Readers of sources that can be trained on, with named splits and labels."""

SPLIT_READERS: tuple[Reader, ...] = (BareNpz(), BareHdf5(), NpyFile(), IdxFile(), SvmFile(alone=True), *READERS[:-1])
"""Readers for evaluation and prediction: of sources with a single split, and of READERS."""

MAX_FOLDERS = 100
"""Most folders that are searched for one that the user may have meant."""


def choose_reader(source: str, readers: tuple[Reader, ...], what: str = "The data source") -> tuple[str, Reader]:
    """The path of a source, and the first of the readers that fits it.

    Args:
        source: as it was given; ~ is the home folder.
        readers: to choose from.
        what: the source is, for messages.

    Raises:
        DataError: it does not exist, or is of no kind that can be used here; the message lists what can.
    """
    path = os.path.expanduser(source)
    for reader in readers:
        if reader.fits(path):
            return path, reader
    tables = f"a table: {', '.join(ENDINGS)}, or a folder of .parquet files"
    descriptions = [*(reader.description for reader in readers), tables]
    kinds = "\n".join(["What is expected, one of:", *(f"  {kind}" for kind in descriptions)])
    if not os.path.exists(path):
        hint, start = _nearby(path), where_from(path)
        lines = [f'{what} "{source}" was not found{hint}.', *([start] if start and "mean" not in hint else [])]
        raise DataError("\n".join([*lines, kinds]))
    if (way := conversion(path)) is not None:
        raise DataError(way)
    if os.path.isdir(path):
        seen = f"it holds {listed(os.listdir(path))}{_deeper(path, readers)}"
        raise DataError(f'No data in the folder "{source}" can be used here; {seen}.\n{kinds}')
    raise DataError(f'The file "{source}" is of no kind that can be used here.\n{kinds}')


def _deeper(folder: str, readers: tuple[Reader, ...]) -> str:
    """A hint at folders up to two levels within that could be meant, to end a clause with."""
    inner = itertools.chain(Path(folder).glob("*/"), Path(folder).glob("*/*/"))
    fitting = [
        path
        for path in map(str, itertools.islice(inner, MAX_FOLDERS))
        if is_table(path) or any(reader.fits(path) for reader in readers)
    ]
    return f" (did you mean {listed(fitting)}?)" if fitting else ""


def _nearby(path: str) -> str:
    """A hint at what the user may have meant by a path that does not exist, to end a clause with."""
    folder = Path(path).parent
    if not os.path.isdir(folder):
        return f' (nor was its folder "{folder}")'
    with guarded(str(folder)):
        names = os.listdir(folder)
    close = difflib.get_close_matches(Path(path).name, names, n=3, cutoff=0.7)
    paths = [os.path.join(os.path.dirname(path), name) for name in close]
    paths += difflib.get_close_matches(path, [NAME], cutoff=0.7)
    if paths:
        return f" (did you mean {listed(paths)}?)"
    return f' (the folder "{folder.absolute()}" holds {listed(names)})'
