"""Memory of a node: every rank sees it, it has no name, and where there is none every rank hears so."""

import errno
import os
import tempfile

import numpy as np
import pytest

from dpnet.comm import node_memory as shared
from dpnet.comm.connect import connect
from dpnet.comm.node_memory import SharedMemory
from dpnet.errors import SharedMemoryError

pytestmark = pytest.mark.mpi

group = connect()


@pytest.fixture
def folder():
    """An empty folder that every rank sees."""
    path = group.broadcast(tempfile.mkdtemp() if group.rank == 0 else "")
    yield path
    group.barrier()  # Rank 0 removes the name after the others have gone on.
    left = os.listdir(path)
    group.barrier()
    if group.rank == 0:
        os.rmdir(path)
    assert left == []


def refuse(*_, **__):
    raise OSError(errno.EPERM, "refused")


def shares(memory):
    """Whether all ranks see what each of them writes into a new vector."""
    for dtype in (np.float32, np.float64):
        vector = memory.zeros(group.world_size, dtype)
        assert vector.dtype == dtype
        assert not vector.any()
        group.barrier()
        vector[group.rank] = group.rank + 1
        group.barrier()
        assert vector.tolist() == list(range(1, group.world_size + 1))
        group.barrier()


def test_every_rank_sees_what_the_others_write_and_no_file_has_a_name(monkeypatch):
    monkeypatch.setattr(SharedMemory, "_map_named", refuse)
    shares(SharedMemory(group))


def test_so_too_where_a_container_refuses_memory_files(monkeypatch):
    monkeypatch.setattr(SharedMemory, "_map_named", refuse)
    monkeypatch.setattr(os, "memfd_create", refuse)
    shares(SharedMemory(group))


@pytest.mark.parametrize("obstacle", ["other processes", "no /proc", "no anonymous files"])
def test_ranks_that_cannot_open_each_others_files_share_one_with_a_name(folder, monkeypatch, obstacle):
    if obstacle == "other processes":
        if group.world_size == 1:
            pytest.skip("one rank opens its own files")
        # As in a container of its own: the same numbers mean another file.
        identity = shared._identity
        monkeypatch.setattr(shared, "_identity", lambda status: (group.rank, identity(status)))
    elif obstacle == "no /proc" and group.rank == group.world_size - 1:
        monkeypatch.setattr(shared._Place, "map", lambda *_: None)
    elif obstacle == "no anonymous files" and group.rank == 0:
        monkeypatch.setattr(shared, "anonymous_file", refuse)
    memory = SharedMemory(group, folder)
    shares(memory)
    assert memory._needs_name


def test_a_full_memory_is_an_error_on_every_rank(folder, monkeypatch):
    def full(handle, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SharedMemoryError, match=r"no room in .*MiB are free, 3\.8 are needed") as caught:
        SharedMemory(group, folder).zeros(10**6, np.float32)
    assert caught.value.agreed


def test_no_folder_is_an_error_on_every_rank(monkeypatch):
    monkeypatch.setattr(shared, "anonymous_file", refuse)
    with pytest.raises(SharedMemoryError, match="cannot make a file in /no/such/folder"):
        SharedMemory(group, "/no/such/folder").zeros(1, np.float32)


def test_a_rank_that_cannot_map_it_is_named_on_every_rank(folder, monkeypatch):
    last = group.world_size - 1
    monkeypatch.setattr(shared, "anonymous_file", refuse)
    if group.rank == last:
        monkeypatch.setattr(shared.mmap, "mmap", refuse)
    with pytest.raises(SharedMemoryError, match="cannot map .*: refused" + (f".*rank {last}," if last else "")):
        SharedMemory(group, folder).zeros(1, np.float32)
