"""The run directory: nothing that a training left is lost, and nothing that is not dpnet's is touched."""

import errno
import os
from pathlib import Path

import pytest

from dpnet.checkpoint.format import step_name
from dpnet.errors import OutputError
from dpnet.files import write_atomically
from dpnet.output.run_directory import RunDirectory


def checkpoints(path, *steps):
    for step in steps:
        (path / "checkpoints" / step_name(step)).mkdir(parents=True)
        (path / "checkpoints" / step_name(step) / "manifest.json").write_text(str(step))


def left(path, *steps, summary=True):
    """A run directory as a training leaves it, with a foreign file."""
    checkpoints(path, *steps)
    (path / "metrics.jsonl").write_text('{"step": 1}\n')
    (path / "config.toml").write_text("# old\n")
    if summary:
        (path / "summary.json").write_text('{"steps": 9}')
    (path / "notes.txt").write_text("mine")
    return RunDirectory(path, keep_last=2)


def tree(path):
    """Every file below a directory, with its content."""
    return {str(file.relative_to(path)): file.read_text() for file in Path(path).rglob("*") if file.is_file()}


def test_a_new_directory_is_made(tmp_path):
    RunDirectory(tmp_path / "a/b", keep_last=1).prepare("x = 1\n", step=0)
    assert tree(tmp_path / "a/b") == {"config.toml": "x = 1\n"}


def test_a_training_from_the_start_sets_all_aside(tmp_path):
    directory = left(tmp_path, 3, 9)
    before = tree(tmp_path)
    directory.prepare("# new\n", step=0)
    expected = {f"previous-1/{name}": text for name, text in before.items() if name != "notes.txt"}
    assert tree(tmp_path) == {**expected, "notes.txt": "mine", "config.toml": "# new\n"}


def test_what_was_set_aside_is_never_overwritten(tmp_path):
    for number in (1, 2, 3):
        left(tmp_path, number).prepare("# new\n", step=0)
    for number in (1, 2, 3):
        assert os.listdir(tmp_path / f"previous-{number}/checkpoints") == [step_name(number)]


def test_a_complete_training_without_checkpoints_is_set_aside(tmp_path):
    left(tmp_path).prepare("# new\n", step=0)
    assert set(os.listdir(tmp_path / "previous-1")) == {"metrics.jsonl", "config.toml", "summary.json"}


def test_a_training_that_got_nowhere_is_written_over(tmp_path):
    left(tmp_path, summary=False).prepare("# new\n", step=0)
    assert tree(tmp_path) == {"notes.txt": "mine", "config.toml": "# new\n"}


def test_going_on_keeps_all_but_the_summary(tmp_path):
    directory = left(tmp_path, 3, 9)
    before = tree(tmp_path)
    directory.prepare("# new\n", step=9)
    del before["summary.json"]
    assert tree(tmp_path) == {**before, "config.toml": "# new\n"}
    assert directory.read_summary() is None


def test_going_on_from_an_earlier_step_sets_the_later_ones_aside(tmp_path):
    directory = left(tmp_path, 3, 6, 9)
    (tmp_path / "checkpoints/latest").symlink_to(step_name(9))
    (tmp_path / "checkpoints/best").symlink_to(step_name(6))
    before = tree(tmp_path)
    directory.prepare("# new\n", step=3)
    aside = tree(tmp_path / "previous-1")
    assert sorted(aside) == [
        "config.toml",
        "metrics.jsonl",
        "step-00000006/manifest.json",
        "step-00000009/manifest.json",
        "summary.json",
    ]
    assert set(aside.values()) <= set(before.values())
    assert directory.checkpoints.steps() == [3]
    assert (tmp_path / "metrics.jsonl").read_text() == before["metrics.jsonl"]
    assert os.readlink(tmp_path / "checkpoints/latest") == step_name(3)
    assert not (tmp_path / "checkpoints/best").is_symlink()


def test_half_written_files_of_a_killed_run_go(tmp_path):
    directory = left(tmp_path, 3)
    (tmp_path / "checkpoints/.unfinished-step-00000004").mkdir()
    directory.prepare("# new\n", step=3)
    assert os.listdir(tmp_path / "checkpoints") == [step_name(3)]


def test_it_knows_its_own_checkpoints(tmp_path):
    directory = left(tmp_path / "run", 3)
    (tmp_path / "link").symlink_to("run")
    assert directory.holds(tmp_path / "link/checkpoints" / step_name(3))
    assert not directory.holds(tmp_path / "run/previous-1" / step_name(3))
    assert not directory.holds(tmp_path / "other/checkpoints" / step_name(3))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\0"])
def test_a_summary_that_cannot_be_read_is_none(tmp_path, text):
    directory = RunDirectory(tmp_path, keep_last=1)
    assert directory.read_summary() is None
    (tmp_path / "summary.json").write_text(text)
    assert directory.read_summary() is None


def test_the_summary_is_read_as_it_was_written(tmp_path):
    directory = RunDirectory(tmp_path, keep_last=1)
    directory.write_summary({"status": "finished", "eval_loss": None, "seconds": 0.1})
    assert directory.read_summary() == {"status": "finished", "eval_loss": None, "seconds": 0.1}
    assert os.listdir(tmp_path) == ["summary.json"]


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("here first")
    with pytest.raises(OutputError, match=r"file/run: Not a directory; choose another with --output DIR"):
        RunDirectory(tmp_path / "file/run", keep_last=1).prepare("", step=0)
    with pytest.raises(OutputError, match=r"the run directory .*file is a file; choose another with --output DIR"):
        RunDirectory(tmp_path / "file", keep_last=1).prepare("", step=0)
    with pytest.raises(OutputError, match=r"cannot write .*summary\.json"):
        RunDirectory(tmp_path / "file/run", keep_last=1).write_summary({})


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_file_keeps_its_old_content_when_writing_fails(tmp_path, monkeypatch, name):
    def failing(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    write_atomically(path, "old")
    monkeypatch.setattr(os, name, failing)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
