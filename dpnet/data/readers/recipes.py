"""How to convert what dpnet does not read: lines of Python for messages, which work as they stand.

They are made for the file at hand: with its name, and the names of its arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dpnet.text import listed

OTHER_TABLES = {
    ".json": "read_json({file})",
    ".jsonl": "read_json({file}, lines=True)",
    ".xlsx": "read_excel({file})",
    ".pkl": "read_pickle({file})",
}
"""How pandas reads a table that dpnet does not read, by its ending."""
READABLE = (".csv", ".tsv", ".parquet", ".feather", ".arrow")
"""Endings of tables that dpnet reads, see `data.tables`."""
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_INPUTS = {"x", "image", "images", "imgs", "data", "input", "inputs", "features", "samples", "arr_0"}
_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes", "category", "species", "arr_1"}


def conversion(path: str) -> str | None:
    """What to do with a file, or with a folder of files, that dpnet does not read; None: nothing is known of it."""
    here = Path(path)
    if here.is_dir():
        # Of Kaggle's competitions, for one: train.csv and test.csv.
        tables = sorted(file for file in here.iterdir() if _ending(file) in READABLE)
        if tables:
            first = min(tables, key=lambda file: ("train" not in file.name, file.name))
            names = listed(file.name for file in tables)
            several = " Parquet files that are one table together: in a folder of their own."
            parts = several * (sum(_ending(file) == ".parquet" for file in tables) > 2)
            return f"{path} is a folder with {names}; name one of these tables, {first} for example.{parts}"
        files = sorted(file for file in here.iterdir() if _ending(file) == ".zip")
    else:
        files = [here]
    for file in files:
        if file.name.lower().endswith(ARCHIVES):
            return f"{file} is an archive; unpack it, and give what it holds."
        if (call := OTHER_TABLES.get(_ending(file))) is not None:
            target = str(file.with_name(f"{file.name.split('.')[0]}.csv"))
            lines = [
                "import pandas as pd",
                f"pd.{call.format(file=_quoted(str(file)))}.to_csv({_quoted(target)}, index=False)",
            ]
            return (
                f"{file} is a table of a kind that dpnet does not read. Make a CSV file of it, in Python, with pandas:"
                f"\n\n{_indented(lines)}\n\nand give {target}."
            )
    return None


def renaming(file: str, keys: Sequence[str], wanted: Sequence[str]) -> str:
    """How to give the arrays of an .npz file the names that dpnet looks for.

    Args:
        file: the file.
        keys: names of its arrays.
        wanted: the names of the inputs and labels that are missed, as x_train and y_train.
    """
    names = dict.fromkeys([*wanted, "x_test", "y_test"] if "x_train" in wanted else wanted)
    found = {name: key_for(name, keys) for name in names}
    pairs = [f"    {name}=f[{_quoted(key)}]," for name, key in found.items() if key is not None]
    pairs += [f'    {name}=f["..."],' for name in wanted if found[name] is None]
    target = str(Path(file).with_name(f"{Path(file).stem}-dpnet.npz"))
    lines = ["import numpy as np", f"f = np.load({_quoted(file)})", f"np.savez({_quoted(target)},", *pairs, ")"]
    return f"name them so, in Python:\n\n{_indented(lines)}\n\nand give {target}."


def key_for(name: str, keys: Sequence[str]) -> str | None:
    """The array that seems to hold what dpnet calls `name`."""
    what, _, split = name.partition("_")
    kinds = _INPUTS if what == "x" else _LABELS
    fitting = [key for key in keys if kinds & {*re.split(r"[^a-z0-9]+", key.lower()), key.lower()}]
    if split:
        of_split = [key for key in fitting if split in key.lower()]
        without = [key for key in fitting if not re.search("train|test|val", key.lower())]
        fitting = of_split or ([] if split == "test" else without)
    return min(fitting, default=None)


def _ending(file: Path) -> str:
    return Path(file.name.lower().removesuffix(".gz")).suffix


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
