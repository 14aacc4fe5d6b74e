"""How to convert what dpnet does not read: lines of Python for messages, which work as they stand.

They are made for the file at hand: with its name, the names of its arrays, and the column that seems to hold the
classes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TABLES = {
    ".csv": "pd.read_csv({file})",
    ".tsv": 'pd.read_csv({file}, sep="\\t")',
    ".json": "pd.read_json({file})",
    ".jsonl": "pd.read_json({file}, lines=True)",
    ".parquet": "pd.read_parquet({file})",
    ".feather": "pd.read_feather({file})",
    ".xlsx": "pd.read_excel({file})",
    ".pkl": "pd.read_pickle({file})",
}
"""How pandas reads a file, by its ending."""
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
HEAD_CHARACTERS = 1 << 16
"""Most that is read of a table, for the names of its columns."""
_PANDAS = "import numpy as np, pandas as pd  # pip install pandas"
_INPUTS = {"x", "image", "images", "imgs", "data", "input", "inputs", "features", "samples", "arr_0"}
_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes", "category", "species", "arr_1"}


def conversion(path: str, *, for_training: bool) -> str | None:
    """What to do with a file, or with a folder of files, that dpnet does not read; None: nothing is known of it.

    Args:
        path: of the file or folder.
        for_training: with labels and a test set; else one set of inputs.
    """
    here, files = Path(path), [Path(path)]
    if here.is_dir():
        # Of Kaggle's competitions, for one: train.csv and test.csv. Files of JSON may mean anything in a folder.
        files = [file for file in here.iterdir() if _ending(file) in (".csv", ".tsv", ".parquet", ".zip")]
        files.sort(key=lambda file: ("train" not in file.name, file.name))
    for file in files:
        if file.name.lower().endswith(ARCHIVES):
            return f"{file} is an archive; unpack it, and give what it holds."
        if _ending(file) in TABLES:
            make = _training_table if for_training else _table
            return (
                f"{file} is a table, which dpnet does not read yet. Convert it once, in Python:\n\n"
                f"{_indented(make(file))}\n\nand give {_target(file)}."
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
    found = {name: _key_for(name, keys) for name in names}
    pairs = [f"    {name}=f[{_quoted(key)}]," for name, key in found.items() if key is not None]
    pairs += [f'    {name}=f["..."],' for name in wanted if found[name] is None]
    target = str(Path(file).with_name(f"{Path(file).stem}-dpnet.npz"))
    lines = ["import numpy as np", f"f = np.load({_quoted(file)})", f"np.savez({_quoted(target)},", *pairs, ")"]
    return f"name them so, in Python:\n\n{_indented(lines)}\n\nand give {target}."


def _training_table(file: Path) -> list[str]:
    columns = _columns(file)
    save = [
        "n = len(x) // 5  # a fifth to test with",
        f"np.savez({_quoted(_target(file))},",
        "    x_train=x[n:], y_train=y[n:], x_test=x[:n], y_test=y[:n],",
        ")",
    ]
    if not columns:
        return [
            "import numpy as np",
            "label = 0  # the column of the classes, from 0: change it if it is another",
            f"table = {_numbers(file)}",
            "table = np.random.default_rng(0).permutation(table)",
            "y = np.unique(table[:, label], return_inverse=True)[1]",
            'x = np.delete(table, label, axis=1).astype("float32")',
            *save,
        ]
    label = next((name for name in columns if name.lower() in _LABELS), columns[-1])
    return [
        _PANDAS,
        f"label = {_quoted(label)}  # the column of the classes: change it if it is another",
        f"table = {_read(file)}.sample(frac=1, random_state=0)",
        "y = np.unique(table.pop(label), return_inverse=True)[1]",
        'x = pd.get_dummies(table).to_numpy("float32")',
        *save,
    ]


def _table(file: Path) -> list[str]:
    comment = "# Keep the columns of the training, without that of the classes."
    if not _columns(file):
        return ["import numpy as np", f"x = {_numbers(file)}", comment, f"np.savez({_quoted(_target(file))}, x=x)"]
    save = f'np.savez({_quoted(_target(file))}, x=pd.get_dummies(table).to_numpy("float32"))'
    return [_PANDAS, f"table = {_read(file)}", comment, save]


def _read(file: Path) -> str:
    return TABLES[_ending(file)].format(file=_quoted(str(file)))


def _numbers(file: Path) -> str:
    """How numpy reads a table of numbers without names of columns."""
    delimiter = "\\t" if _ending(file) == ".tsv" else ","
    return f'np.loadtxt({_quoted(str(file))}, delimiter="{delimiter}", ndmin=2)'


def _columns(file: Path) -> list[str]:
    """Names in the first line of a table; none if numbers stand there. Of other kinds of files, what to replace."""
    if _ending(file) not in (".csv", ".tsv"):
        return ["label"]
    with suppress(OSError, ValueError, csv.Error), file.open(encoding="utf-8-sig") as stream:
        line = stream.readline(HEAD_CHARACTERS)
        names = next(csv.reader([line], delimiter="\t" if _ending(file) == ".tsv" else ","), [])
        return [] if all(re.fullmatch(r"\s*[-+.\deE]*\s*", name) for name in names) else names
    return ["label"]


def _key_for(name: str, keys: Sequence[str]) -> str | None:
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


def _target(file: Path) -> str:
    return str(file.with_name(f"{file.name.split('.')[0]}.npz"))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
