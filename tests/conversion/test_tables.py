"""Tables are converted in pieces, in bounded memory: the same data as read whole, whatever is in which piece."""

import errno
import gzip
import io
import os
import random
import re
import shutil
import signal
import time

import numpy as np
import pytest
from helpers.mpirun import run_ranks
from helpers.night import times

from dpnet.cli.main import run
from dpnet.comm.local import LocalGroup
from dpnet.config.data import DataConfig
from dpnet.config.job import Job
from dpnet.config.model import ModelConfig
from dpnet.conversion import tables
from dpnet.conversion.convert import convert
from dpnet.data import in_parts
from dpnet.data.converted import spool, unfinished
from dpnet.data.sources import open_source
from dpnet.data.tables.pieces import row_blocks
from dpnet.data.tables.pieces import rows as table_rows
from dpnet.errors import DataError, DpnetError, OutputError
from dpnet.training.prepare import identify, open_data

pa = pytest.importorskip("pyarrow")
csv = pytest.importorskip("pyarrow.csv")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

GROUP = LocalGroup()


def job_of(source, task="classification", **keys):
    return Job(data=DataConfig(source=str(source), **keys), model=ModelConfig(task=task))


def told(source, task, keys):
    """What a training takes of a source: its identity, to the bit, and its remarks; or why it takes nothing."""
    try:
        section = DataConfig(source=str(source), **keys)
        data = open_data(job_of(source, task, **keys), GROUP)
        found = open_source(str(source), section, task=task)
        return identify(section, data, GROUP, measure=True).identity, found.train.remarks
    except DpnetError as error:
        return str(error)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


CELLS = {
    "integer": lambda r: str(r.randint(-50, 50)),
    "one": lambda r: str(r.randint(0, 1)),
    "boolean": lambda r: r.choice(["True", "False", "true"]),
    "real": lambda r: repr(r.choice([1.5, -2.25, 1e3, 3.0, 0.1])),
    "text": lambda r: r.choice(["a", "b", "c c", "é", "x,y", 'q"t', "new\nline"]),
    "missing": lambda r: r.choice(["", "NA", "NaN"]),
    "plus": lambda r: f"+{r.randint(0, 9)}",
    "code": lambda r: "0x1F",
    "wide": lambda r: str(2**53 + r.randint(0, 9)),
    "date": lambda r: f"2020-01-0{r.randint(1, 9)}",
}
USUAL = ("integer", "one", "boolean", "real", "text")


def written(r):
    """A table of text of random cells, most of a column alike; in the last column stand the labels."""
    rows = r.randint(3, 40)
    columns = []
    for _ in range(r.randint(1, 4)):
        kind, other, share = r.choice(USUAL), r.choice([*CELLS]), r.choice([0, 0, 0.05, 0.3])
        columns.append([CELLS[other if r.random() < share else kind](r) for _ in range(rows)])
    labels = r.choice([["a", "b"], ["1", "2"], ["1", "2.0"], ["01", "1"], ["True", "False"]])
    columns.append([r.choice(labels) for _ in range(rows)])
    names = [*(f"c{place}" for place in range(len(columns) - 1)), "y"]

    def cell(text):
        quotes = r.random() < 0.1 or set(text) & set(',"\n')
        return '"' + text.replace('"', '""') + '"' if quotes else text

    lines = [",".join(names), *(",".join(map(cell, row)) for row in zip(*columns, strict=True))]
    end = r.choice(["\n", "\r\n"])
    return (r.choice(["", "\ufeff"]) + end.join(lines) + end).encode()


def saved(r, folder, text):
    """The table in some format."""
    kind = r.choice(["csv", "csv", "csv.gz", "parquet", "feather", "arrow", "folder"])
    path = folder / f"d.{kind}"
    if kind in ("csv", "csv.gz"):
        path.write_bytes(text if kind == "csv" else gzip.compress(text))
        return path
    options = csv.ParseOptions(newlines_in_values=True)
    table, rows = csv.read_csv(io.BytesIO(text), parse_options=options), r.randint(1, 20)
    if kind == "parquet":
        parquet.write_table(table, str(path), row_group_size=rows)
    elif kind == "feather":
        feather.write_feather(table, str(path), chunksize=rows, compression=r.choice(["lz4", "uncompressed"]))
    elif kind == "arrow":
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=rows)
    else:
        half = table.num_rows // 2
        for place, part in enumerate((table.slice(0, half), table.slice(half))):
            (path / f"p={place}").mkdir(parents=True)
            parquet.write_table(part, str(path / f"p={place}/x.parquet"), row_group_size=rows)
    return path


def keys_of(r):
    keys = {"target": "y"}
    for key, values, share in (
        ("missing", ["mean", "zero", "indicator"], 0.6),
        ("categorical", [("c0",), ("c0",), ("y",)], 0.3),
        ("min_frequency", [2, 5], 0.3),
        ("test", [0.2], 0.3),
        ("validation", [0.3], 0.3),
    ):
        if r.random() < share:
            keys[key] = r.choice(values)
    return keys


def check_random(seed, folder, monkeypatch):
    """Convert a random table in pieces of a random size, and compare with the table read whole."""
    r = random.Random(seed)
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", r.choice([1, 8, 30, 100, 1 << 20]))
    monkeypatch.setattr(in_parts, "PART_BYTES", r.choice([1, 100, 1 << 20]))
    monkeypatch.setattr(table_rows, "LEAST_ROWS", r.choice([1, 3, 1024]))
    path, keys = saved(r, folder, written(r)), keys_of(r)
    task = r.choice(["classification", "classification", "regression"])
    expected, job = told(path, task, keys), job_of(path, task, **keys)
    if isinstance(expected, str):
        with pytest.raises(DpnetError, match=re.escape(expected)):
            convert(job, str(folder / "c"), GROUP)
        assert not (folder / "c").exists()
    else:
        convert(job, str(folder / "c"), GROUP)
        assert told(folder / "c", task, keys) == expected
        assert not [name for name in content(folder / "c") if name.startswith(".")]


@pytest.mark.parametrize("first", range(0, times("DPNET_TEST_TABLES", day=80, night=3000), 20))
def test_a_table_in_pieces_is_the_table_as_a_whole(tmp_path, monkeypatch, first):
    for seed in range(first, first + 20):
        (tmp_path / str(seed)).mkdir()
        check_random(seed, tmp_path / str(seed), monkeypatch)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A table of 50 blocks."""
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 100)
    rows = (f"{row},{row % 7 / 4},{'red' if row % 3 else 'blue'},{'ab'[row % 2]}" for row in range(500))
    path = tmp_path / "d.csv"
    path.write_text("\n".join(["x,z,colour,kind", *rows]) + "\n")
    return path


def stop_after(monkeypatch, count, error=KeyboardInterrupt):
    """Let the writing of every piece after `count` raise an error; returns the numbers of those before."""
    done, write = [], spool.Spool.write

    def faked(self, number, pieces):
        if len(done) >= count:
            raise error
        done.append(number)
        return write(self, number, pieces)

    monkeypatch.setattr(spool.Spool, "write", faked)
    return done


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_reading_that_was_cut_off_goes_on(source, tmp_path, monkeypatch, count):
    job = job_of(source, target="kind", test=0.2)
    convert(job, str(tmp_path / "whole"), GROUP)
    with monkeypatch.context() as patch:
        stop_after(patch, count)
        with pytest.raises(KeyboardInterrupt):
            convert(job, str(tmp_path / "c"), GROUP)
    damaged = [] if count < 30 else [4]
    if damaged:
        path = tmp_path / "c/.unfinished-table-0-0.arrow"
        data = bytearray(path.read_bytes())
        data[4 * len(data) // 30 + 300] ^= 1
        path.write_bytes(data)
        with (tmp_path / "c/.unfinished-table-0-0.list").open("a") as stream:
            stream.write('\n[99, "x"]\n[31, "no such file", 0, 9, ""]\n[7, "d')
    again = stop_after(monkeypatch, 1000)
    convert(job, str(tmp_path / "c"), GROUP)
    assert len(again) - len(damaged) == len(set(again) | set(range(count))) - count > 30
    assert content(tmp_path / "c") == content(tmp_path / "whole")


def test_pieces_of_other_settings_or_of_a_source_as_it_was_are_read_again(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 30)
        with pytest.raises(KeyboardInterrupt):
            convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    source.write_text(source.read_text().replace("1.5", "2.5"))
    with monkeypatch.context() as patch:
        assert 0 not in stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    read = stop_after(monkeypatch, 1000)
    convert(job_of(source, target="kind", categorical=("z",)), str(tmp_path / "c"), GROUP)
    assert read[0] == 0
    assert told(tmp_path / "c", "classification", {}) == told(
        source, "classification", {"target": "kind", "categorical": ("z",)}
    )


def test_a_signal_ends_the_reading_which_goes_on_later(source, tmp_path, monkeypatch, capfd):
    done, write = [], tables._Reading._write

    def signalled(self, number, pieces):
        done.append(number)
        if len(done) == 20:
            os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.01 if len(done) >= 20 else 0)  # A thread takes the signal.
        return write(self, number, pieces)

    arguments = ["data", "convert", str(source), str(tmp_path / "c"), "--set", "data.target=kind"]
    with monkeypatch.context() as patch:
        patch.setattr(tables._Reading, "_write", signalled)
        assert run(arguments) == 75
    assert f"SIGUSR1 came: {tmp_path}/c is not complete; the same command" in capfd.readouterr().err
    again = stop_after(monkeypatch, 1000)
    assert run(arguments) == 0
    assert len(done) < 40
    assert not set(again) & set(done)


def test_a_full_disk_is_told_and_the_reading_goes_on_later(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        done = stop_after(patch, 20, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OutputError, match=r"/c: No space left on device\. What was converted so far stays: start"):
            convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    again = stop_after(monkeypatch, 1000)
    convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    assert not set(again) & set(done)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", r"line 401 has 3 cells, and the first line 4: '1,2,3'"),
        ("1,2,\udcff,a", r"line 401: the byte 0xFF in .* is not UTF-8"),
        ("5,1e999,red,a", r"line 401, column 'z': the value is inf; expected a finite number"),
        ("5,,red,a", r"line 401, column 'z': the value is missing, as in 1 row of 500"),
        ("5,1,red,", r"line 401, column 'kind': the label is missing, as in 1 row of 500"),
        ("5,one,red,a", r"line 401, column 'z': the value is 'one', in a column of numbers"),
        (
            '5,1,"red,a',
            "line 401 has 3 cells, and the first line 4: .* A quotation mark is open there, to line 501",
        ),
        ('5,1,red,"a', r"line 401, column 'kind': a quotation mark opens the cell, and never closes it"),
    ],
)
def test_what_is_wrong_in_a_piece_is_told_by_its_line(source, tmp_path, line, message):
    lines = source.read_text().splitlines()
    lines[400] = line
    source.write_bytes(("\n".join(lines) + "\n").encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=message):
        convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    assert not (tmp_path / "c").exists()


def test_a_quotation_that_swallows_rows_is_found_in_its_piece(source, tmp_path, monkeypatch):
    lines = source.read_text().splitlines()
    lines[400], lines[410] = '400,1,red,"a', '410,1,red,"a'
    source.write_text("\n".join(lines) + "\n")
    for size in (100, 400, 1 << 20):
        monkeypatch.setattr(row_blocks, "BLOCK_BYTES", size)
        message = told(source, "classification", {"target": "kind"})
        assert "line 401, column 'kind': a quotation mark opens the cell, and closes it 10 lines below" in message
        with pytest.raises(DataError) as error:
            convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
        assert str(error.value) == message


def test_no_table_is_held_in_memory(source, tmp_path, monkeypatch):
    rows, put = [], table_rows.put_columns
    monkeypatch.setattr(table_rows, "put_columns", lambda x, *more: rows.append(len(x)) or put(x, *more))
    monkeypatch.setattr(in_parts, "PART_BYTES", 10 * 8 * 4)
    monkeypatch.setattr(table_rows, "LEAST_ROWS", 1)
    sizes, make = [], spool.Spool.mapped

    def mapped(self, stored):
        sizes.extend(one.num_bytes for one in stored)
        return make(self, stored)

    monkeypatch.setattr(spool.Spool, "mapped", mapped)
    convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    assert max(rows) == 10
    assert sum(rows) >= 500
    assert len(sizes) > 60


@pytest.mark.parametrize("part_bytes", [1, 1 << 20])
def test_categories_that_look_like_numbers_stay_texts_where_no_other_text_is_near(tmp_path, monkeypatch, part_bytes):
    monkeypatch.setattr(row_blocks, "BLOCK_BYTES", 1)
    monkeypatch.setattr(in_parts, "PART_BYTES", part_bytes)
    monkeypatch.setattr(table_rows, "LEAST_ROWS", 1)
    texts = ["01", "x", "1e3", "y", "True", "z", "w", "x"]
    (tmp_path / "d.csv").write_text("c,k\n" + "".join(f"{text},{'ab'[len(text) > 1]}\n" for text in texts))
    convert(job_of(tmp_path / "d.csv", target="k"), str(tmp_path / "c"), GROUP)
    categories = sorted({*texts, "true"} - {"True"})
    inputs = np.load(tmp_path / "c/train-inputs.npy")
    assert [categories[place] for place in inputs.argmax(axis=1)] == [text.replace("T", "t") for text in texts]
    assert told(tmp_path / "c", "classification", {}) == told(tmp_path / "d.csv", "classification", {"target": "k"})


def test_test_data_are_read_as_the_training_data_were(source, tmp_path):
    """Codes that are all numbers in the one file are text where the other says so."""
    lines = source.read_text().splitlines()
    source.write_text("\n".join([line.replace("red", "r").replace("blue", "01") for line in lines]) + "\n")
    other = tmp_path / "t.csv"
    other.write_text("kind,z,colour,x\na,1,01,5\nb,2,01,6\n")
    keys = {"target": "kind", "test": str(other), "validation": str(other)}
    convert(job_of(source, **keys), str(tmp_path / "c"), GROUP)
    assert told(tmp_path / "c", "classification", {})[0] == told(source, "classification", keys)[0]
    assert np.load(tmp_path / "c/test-inputs.npy")[:, 2:].tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_test_data_of_text_follow_training_data_of_any_kind_of_text(tmp_path, kind):
    columns = {"c": ["01", "1", "red", "blue"] * 5, "x": list(range(20)), "y": ["01", "b"] * 10}
    types = pa.schema([("c", kind), ("x", pa.int64()), ("y", kind)])
    parquet.write_table(
        pa.table({name: pa.array(column) for name, column in columns.items()}).cast(types), tmp_path / "d.parquet"
    )
    (tmp_path / "t.csv").write_text("x,c,y\n5,01,01\n6,01,01\n")
    keys = {"target": "y", "test": str(tmp_path / "t.csv")}
    convert(job_of(tmp_path / "d.parquet", **keys), str(tmp_path / "c"), GROUP)
    assert told(tmp_path / "c", "classification", {}) == told(tmp_path / "d.parquet", "classification", keys)
    assert np.load(tmp_path / "c/test-inputs.npy")[:, 0].tolist() == [1, 1]


@pytest.mark.parametrize("cell", ["NA", str(2**60), "2020-01-01", "3"])
def test_numbers_that_were_read_as_text_are_numbers_of_other_data_too(tmp_path, cell):
    (tmp_path / "d.csv").write_text("x,y\n NA,a\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(9)))
    (tmp_path / "t.csv").write_text(f"x,y\n{cell},a\n{cell},b\n")
    keys = {"target": "y", "test": str(tmp_path / "t.csv"), "missing": "mean"}
    expected, job = told(tmp_path / "d.csv", "classification", keys), job_of(tmp_path / "d.csv", **keys)
    if isinstance(expected, str):
        with pytest.raises(DataError, match=re.escape(expected)):
            convert(job, str(tmp_path / "c"), GROUP)
    else:
        convert(job, str(tmp_path / "c"), GROUP)
        assert told(tmp_path / "c", "classification", {}) == expected


def test_what_the_very_end_has_left_goes_with_the_next_start(source, tmp_path, monkeypatch):
    convert(job_of(source, target="kind"), str(tmp_path / "whole"), GROUP)
    with monkeypatch.context() as patch:
        patch.setattr(unfinished, "remove_unfinished", lambda folder: None)
        convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    assert [*(tmp_path / "c").glob(".unfinished-table*")]
    assert not convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP).splits
    assert content(tmp_path / "c") == content(tmp_path / "whole")


def test_nothing_that_was_read_stays_in_a_folder_that_was_there_if_the_data_are_refused(source, tmp_path):
    source.write_text(source.read_text() + "1,1,red,\n")
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match="the label is missing"):
        convert(job_of(source, target="kind"), str(tmp_path / "c"), GROUP)
    assert set(content(tmp_path / "c")) <= {".lock"}


PROGRAM = """
import os, signal, sys
from dpnet.cli.main import run
from dpnet.data.converted import spool
from dpnet.data.tables.pieces import row_blocks
_, source, dest, kill = sys.argv
row_blocks.BLOCK_BYTES = 100
write = spool.Spool.write
def faked(self, number, tables):
    if kill == "kill" and number == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, number, tables)
spool.Spool.write = faked
sys.exit(run(["data", "convert", source, dest, "--set", "data.target=kind", "--set", "data.test=0.2"]))
"""


@pytest.mark.ranks
@pytest.mark.slow
def test_ranks_share_the_reading_also_after_one_was_killed(source, tmp_path):
    convert(job_of(source, target="kind", test=0.2), str(tmp_path / "whole"), GROUP)
    (tmp_path / "program.py").write_text(PROGRAM)
    arguments = [str(tmp_path / "program.py"), str(source), str(tmp_path / "c")]
    assert run_ranks(3, [*arguments, "kill"]).code not in (0, None)
    assert len([*(tmp_path / "c").glob(".unfinished-table-0-*.arrow")]) == 3
    shutil.copytree(tmp_path / "c", tmp_path / "two")
    for ranks, name in ((3, "c"), (2, "two")):
        result = run_ranks(ranks, [*arguments[:2], str(tmp_path / name), "live"])
        assert result.code == 0, result
        assert content(tmp_path / name) == content(tmp_path / "whole")
