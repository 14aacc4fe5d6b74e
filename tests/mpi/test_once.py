"""One rank of each node reads for all: the others see what it read in the memory of the node, or read it themselves."""

import gzip
import math
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from dpnet.comm import once
from dpnet.comm.connect import connect
from dpnet.comm.once import once_per_node
from dpnet.config.file import from_dict
from dpnet.errors import DataError, SharedMemoryError
from dpnet.training.prepare import open_data

pytestmark = pytest.mark.mpi

group = connect()
ROWS, FEATURES = 60_000, 784


@pytest.fixture
def folder():
    """A folder that every rank sees."""
    path = group.broadcast(tempfile.mkdtemp() if group.rank == 0 else "")
    yield Path(path)
    group.barrier()
    if group.rank == 0:
        for entry in os.scandir(path):
            os.unlink(entry)
        os.rmdir(path)


class Work:
    """Counts how often it is done on this rank."""

    def __init__(self, make):
        self._make, self.done = make, 0

    def __call__(self):
        self.done += 1
        return self._make()


def arrays():
    chance = np.random.default_rng(0)
    empty, text = np.zeros((0, 3), np.float32), np.array(["a", "bc"], object)
    return {"x": chance.standard_normal((1000, 7)), "odd": np.arange(5, dtype=np.int8), "empty": empty, "text": text}


def same(found, expected):
    return found.keys() == expected.keys() and all(
        found[key].dtype == value.dtype and np.array_equal(found[key], value) for key, value in expected.items()
    )


def mapping(array):
    """The mapped file that an array lies in, as the kernel tells it."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop, _, _, device, inode = re.match(r"(\w+)-(\w+) (\S+) (\S+) (\S+) (\d+)", line).groups()
        if int(start, 16) <= address < int(stop, 16):
            return device, int(inode)
    return None


def test_the_first_rank_works_and_all_see_its_arrays_in_the_same_memory():
    work = Work(arrays)
    found = once_per_node(group, work)
    assert same(found, arrays())
    assert work.done == (1 if group.node.rank == 0 else 0)
    if group.node.world_size > 1:
        places = group.node.allgather(mapping(found["x"]))
        assert len(set(places)) == 1
        assert places[0] is not None
        assert places[0][1] > 0
        assert not found["x"].flags.writeable


@pytest.mark.parametrize("why", ["no memory", "not wanted", "not packed"])
def test_where_that_cannot_be_every_rank_works(monkeypatch, why):
    def no_room(*_):
        raise SharedMemoryError("no room", agreed=True)

    if why == "no memory":
        monkeypatch.setattr(once.SharedMemory, "zeros", no_room)
    work = Work((lambda: {**arrays(), "x": lambda: 1}) if why == "not packed" else arrays)
    found = once_per_node(group, work, shares_memory=why != "not wanted")
    if why == "not packed":
        assert found.pop("x")() == 1
    assert same(found, {key: value for key, value in arrays().items() if key in found})
    assert work.done == 1


def test_an_error_is_that_of_every_rank():
    def refuse():
        raise DataError("x.npy is damaged.")

    work = Work(refuse)
    with pytest.raises(DataError, match=r"^x\.npy is damaged\.$") as caught:
        once_per_node(group, work)
    assert caught.value.agreed
    assert work.done == (1 if group.node.rank == 0 else 0)


def test_an_array_in_a_file_is_mapped_by_every_rank(folder):
    path = folder / "x.npy"
    rows = np.arange(2000, dtype=np.float32).reshape(100, 20)
    if group.rank == 0:
        np.save(path, rows)
    group.barrier()

    def read():
        whole = np.load(path, mmap_mode="r")
        return whole, np.asarray(whole)[3:50], whole[:, 1]

    whole, part, column = once_per_node(group, read)
    assert isinstance(whole, np.memmap)
    assert type(part) is np.ndarray
    assert mapping(whole)[1] == mapping(part)[1] == path.stat().st_ino
    assert whole.tobytes() == rows.tobytes()
    assert part.tobytes() == rows[3:50].tobytes()
    assert column.tobytes() == rows[:, 1].tobytes()  # In a file, but not in one piece there.


def own_memory():
    """Bytes of memory that this process shares with no other."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * int(re.search(r"^Anonymous:\s+(\d+) kB", text, re.MULTILINE)[1])


def test_data_lie_in_the_memory_of_a_node_once(folder):
    if group.rank == 0:
        for name, shape in (("images-idx3", (ROWS, 28, 28)), ("labels-idx1", (ROWS,))):
            head = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
            with gzip.open(folder / f"train-{name}-ubyte.gz", "wb", compresslevel=1) as file:
                file.write(head + b"\0\1" * (math.prod(shape) // 2))
    group.barrier()
    job = from_dict({"data": {"source": str(folder)}}, where="test")
    open_data(job, group)  # Imports what reads.
    before = own_memory()
    source = open_data(job, group)
    grown = own_memory() - before
    assert source.train.inputs.shape == (ROWS, FEATURES)
    assert source.train.inputs.sum(dtype=np.int64) == ROWS * FEATURES // 2
    if group.node.world_size > 1:
        assert grown < ROWS * FEATURES / 4, grown
