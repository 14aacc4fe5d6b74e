"""Marks by which hosts find out whether they see the run directory."""

import threading
import time
from pathlib import Path

import pytest
from comm.test_agree import ThreadGroup, play

from dpnet.comm.local import LocalGroup
from dpnet.errors import OutputError
from dpnet.output import shared
from dpnet.output.shared import check_shared, leave_mark, remove_marks, sees_mark


class Apart(ThreadGroup):
    """A rank on a host of its own."""

    node = LocalGroup()


HERE = threading.local()


def on_hosts(path, number, **named):
    def work(group):
        HERE.rank = group.rank
        check_shared(Apart(group.rank, group._shared), path, **named)

    return play(number, work)


def test_a_directory_that_all_see_is_fine_and_no_mark_is_left(tmp_path):
    (tmp_path / f"{shared.MARK}old").touch()  # Of a start that was killed.
    assert on_hosts(tmp_path, 3, expected=True) == [None] * 3
    assert not list(tmp_path.iterdir())


def test_hosts_that_do_not_see_it_are_named_by_all(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "sees_mark", lambda mark: HERE.rank != 1)
    found = on_hosts(tmp_path, 3, expected=True)
    assert {type(error) for error in found} == {OutputError}
    (text,) = {str(error) for error in found}
    assert "is not shared: host1 cannot see what host0 writes there. Started again" in text
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_for_one_host_or_where_it_is_not_expected(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "leave_mark", lambda path: pytest.fail("a mark was left"))
    check_shared(LocalGroup(), tmp_path, expected=True)
    assert on_hosts(tmp_path, 2, expected=False) == [None] * 2


def test_where_rank_0_cannot_write_the_writer_says_why(tmp_path):
    (tmp_path / "file").touch()
    assert leave_mark(tmp_path / "file/run") == ""
    assert on_hosts(tmp_path / "file/run", 2, expected=True) == [None] * 2


def test_a_mark_that_comes_late_is_seen_and_one_that_does_not_come_is_not(tmp_path):
    mark = tmp_path / "runs/digits/.mark-1"

    def come():
        mark.parent.mkdir(parents=True)
        mark.touch()

    threading.Timer(0.2, come).start()
    begin_s = time.monotonic()
    assert sees_mark(mark, 30)
    assert time.monotonic() - begin_s < 20
    remove_marks(mark.parent)
    assert not mark.exists()
    assert not sees_mark(mark, 0.05)


def test_the_mark_is_told_by_its_full_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(leave_mark(Path())).parent == tmp_path
