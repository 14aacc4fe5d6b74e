"""Which checkpoints of a job are kept, found and passed over."""

import errno
import os
import shutil

import numpy as np
import pytest

from dpnet.checkpoint import format as checkpoint
from dpnet.checkpoint.folder import CheckpointFolder, newest_whole, pick, resolve, steps_in
from dpnet.checkpoint.format import Checkpoint, step_name
from dpnet.errors import CheckpointError, ConfigError, OutputError


def content(step):
    manifest = {
        "step": step,
        "epoch": 0,
        "samples_of_epoch": 0,
        "sizes": [1, 1],
        "config": {},
        "data": {"samples": 4},
        "progress": {},
        "world_size": 1,
        "numerics": {"numpy": "2.0"},
        "dpnet": "0.1.0",
    }
    model = {"0.weight": np.full((1, 1), step, np.float32), "0.bias": np.zeros(1, np.float32)}
    return Checkpoint(model, {}, {}, manifest)


def saved(path, steps, *, keep_last=2, best_step=None):
    folder = CheckpointFolder(path, keep_last=keep_last)
    for step in steps:
        folder.save(content(step), best_step=best_step)
    return folder


def damage(path, step):
    file = path / step_name(step) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def names(path):
    return sorted(os.listdir(path))


@pytest.mark.parametrize("keep_last", [1, 2, 5])
def test_the_newest_are_kept(tmp_path, keep_last):
    folder = saved(tmp_path, [3, 10, 200, 4000, 100000000], keep_last=keep_last)
    assert folder.steps() == [3, 10, 200, 4000, 100000000][-keep_last:]
    assert names(tmp_path) == sorted([*map(step_name, folder.steps()), "latest"])
    assert os.readlink(tmp_path / "latest") == "step-100000000"
    assert checkpoint.read(tmp_path / "latest").step == 100000000


def test_the_best_is_kept_as_well_until_another_is_better(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_last=1)
    for step, best_step, kept in [(1, 1, [1]), (2, 1, [1, 2]), (3, 1, [1, 3]), (4, 4, [4]), (5, 4, [4, 5])]:
        folder.save(content(step), best_step=best_step)
        assert folder.steps() == kept
        assert os.readlink(tmp_path / "best") == step_name(best_step)
        assert os.readlink(tmp_path / "latest") == step_name(step)


def test_a_best_step_without_a_checkpoint_has_no_link(tmp_path):
    saved(tmp_path, [1, 2], best_step=-1)
    assert not (tmp_path / "best").is_symlink()


def test_no_link_outlives_its_checkpoint(tmp_path):
    folder = saved(tmp_path, [1], keep_last=1, best_step=1)
    folder.save(content(2), best_step=None)  # keep_best was turned off.
    assert names(tmp_path) == ["latest", "step-00000002"]


def test_links_to_what_was_moved_away_are_mended(tmp_path):
    folder = saved(tmp_path, [1, 2, 3], keep_last=3, best_step=3)
    (tmp_path / step_name(3)).rename(tmp_path / "elsewhere")
    folder.mend_links()
    assert os.readlink(tmp_path / "latest") == step_name(2)
    assert not (tmp_path / "best").is_symlink()


def test_foreign_files_are_left_alone(tmp_path):
    for name in ("step-7", "step-00000007x", "step-000000007", "notes.txt"):
        (tmp_path / name).mkdir()
    folder = saved(tmp_path, [1, 2, 3], keep_last=1)
    folder.clean()
    assert folder.steps() == [3]
    assert {"step-7", "step-00000007x", "step-000000007", "notes.txt"} <= set(names(tmp_path))


def test_clean_removes_what_a_killed_run_left(tmp_path):
    folder = saved(tmp_path, [1])
    (tmp_path / ".unfinished-step-00000002/deep").mkdir(parents=True)
    (tmp_path / ".unfinished-deleted-step-00000001").mkdir()
    (tmp_path / ".unfinished-latest").symlink_to("step-00000001")
    folder.clean()
    assert names(tmp_path) == ["latest", "step-00000001"]
    CheckpointFolder(tmp_path / "not there", keep_last=1).clean()


class Killed(BaseException):
    """Stands in for SIGKILL."""


def test_who_is_killed_between_the_old_one_and_the_new_one_keeps_the_old(tmp_path, monkeypatch):
    def rename(old, new):
        if os.path.basename(old) == ".unfinished-step-00000001":
            raise Killed
        return original(old, new)

    folder = saved(tmp_path, [1])
    original = os.rename
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(Killed):
            folder.save(content(1), best_step=None)
    assert folder.steps() == []
    folder.restore()
    assert newest_whole(tmp_path, pytest.fail).step == 1
    folder.clean()
    assert names(tmp_path) == ["latest", "step-00000001"]


def test_what_was_replaced_does_not_come_back(tmp_path):
    folder = saved(tmp_path, [1])
    (tmp_path / ".unfinished-replaced-step-00000001/deep").mkdir(parents=True)
    folder.restore()
    folder.clean()
    assert names(tmp_path) == ["latest", "step-00000001"]
    CheckpointFolder(tmp_path / "not there", keep_last=1).restore()


@pytest.mark.parametrize(("module", "name"), [(os, "symlink"), (os, "replace"), (os, "rename"), (shutil, "rmtree")])
def test_the_newest_is_whole_whatever_fails(tmp_path, monkeypatch, module, name):
    folder = saved(tmp_path, [1], keep_last=1)
    original = getattr(module, name)

    def failing(path, *arguments, **named):
        if named.get("ignore_errors") or path == tmp_path / ".unfinished-step-00000002":
            return original(path, *arguments, **named)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(module, name, failing)
        with pytest.raises(OutputError, match=r"cannot write .* Input/output error"):
            folder.save(content(2), best_step=None)
    assert newest_whole(tmp_path, pytest.fail).step == 2
    folder.clean()
    folder.save(content(3), best_step=None)
    assert names(tmp_path) == ["latest", step_name(3)]


def test_one_that_is_half_deleted_has_lost_its_name(tmp_path, monkeypatch):
    folder = saved(tmp_path, [1], keep_last=1)

    def half(path, *arguments, **named):
        if not named.get("ignore_errors"):
            (path / "manifest.json").unlink()
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half)
        with pytest.raises(OutputError):
            folder.save(content(2), best_step=None)
    assert folder.steps() == [2]
    folder.clean()
    assert names(tmp_path) == ["latest", step_name(2)]


def test_there_is_no_newest_where_there_is_none(tmp_path):
    assert newest_whole(tmp_path, pytest.fail) is None
    assert newest_whole(tmp_path / "not there", pytest.fail) is None


def test_damaged_checkpoints_are_passed_over_and_told(tmp_path):
    saved(tmp_path, [1, 2, 3], keep_last=3)
    damage(tmp_path, 3)
    (tmp_path / step_name(2) / "manifest.json").unlink()
    told = []
    assert newest_whole(tmp_path, told.append).step == 1
    assert len(told) == 2
    assert f"{tmp_path / step_name(3)}/model.safetensors is damaged" in told[0]
    assert f"{tmp_path / step_name(2)} is no checkpoint" in told[1]


def test_nothing_but_damaged_checkpoints_is_an_error(tmp_path):
    saved(tmp_path, [1, 2])
    for step in (1, 2):
        damage(tmp_path, step)
    with pytest.raises(CheckpointError, match=r"none of the 2 checkpoints .* is whole; start anew with --resume never"):
        newest_whole(tmp_path, lambda text: None)


def test_a_folder_that_cannot_be_listed_does_not_pass_for_empty(tmp_path, monkeypatch):
    def stale(path):
        raise OSError(errno.ESTALE, "Stale file handle")

    saved(tmp_path, [1])
    monkeypatch.setattr(os, "listdir", stale)
    with pytest.raises(CheckpointError, match="Stale file handle"):
        steps_in(tmp_path)


@pytest.mark.parametrize("path", ["run", "run/checkpoints", "run/checkpoints/latest", "run/checkpoints/step-00000005"])
def test_a_path_means_the_newest_checkpoint_in_it(tmp_path, path):
    saved(tmp_path / "run/checkpoints", [3, 5])
    assert resolve(tmp_path / path) == tmp_path / "run/checkpoints/step-00000005"


def test_a_path_means_the_checkpoint_that_it_is(tmp_path):
    saved(tmp_path, [3, 5], best_step=3)
    for name in ("step-00000003", "best"):
        assert resolve(tmp_path / name) == tmp_path / "step-00000003"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "holds no checkpoint"),
        ("not there", "does not exist"),
        ("file", "holds no checkpoint"),
        ("file/deeper", "does not exist"),
        ("n" * 300, "does not exist"),
    ],
)
def test_a_path_without_a_checkpoint_is_an_error(tmp_path, name, message):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=message):
        resolve(tmp_path / name)


@pytest.mark.parametrize("has_links", [True, False])
def test_a_run_means_its_best_checkpoint_and_last_its_newest(tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.setattr(os, "symlink", refuse_links)
        monkeypatch.setattr("pathlib.Path.symlink_to", refuse_links)
    folder = tmp_path / "checkpoints"
    saved(folder, [1000, 2000, 3000], best_step=1000)
    for path in (tmp_path, folder):
        assert pick(path) == (
            folder / step_name(1000),
            "best",
            f"{path}: the best checkpoint, step 1,000; --last takes the newest, step 3,000",
        )
        assert pick(path, last=True) == (
            folder / step_name(3000),
            "newest",
            f"{path}: the newest checkpoint, step 3,000",
        )
    for name, step in [(step_name(2000), 2000), ("latest", 3000), ("best", 1000)]:
        assert pick(folder / name) == ((folder / step_name(step)).resolve(), "", "")
        with pytest.raises(ConfigError, match="is one checkpoint; the last one can be asked of a run: give "):
            pick(folder / name, last=True)


def refuse_links(*_, **__):
    raise OSError(errno.ENOTSUP, "no links here")


def test_a_run_without_a_best_checkpoint_means_its_newest(tmp_path):
    saved(tmp_path, [1, 2])
    assert pick(tmp_path) == (
        tmp_path / step_name(2),
        "newest",
        f"{tmp_path}: the newest checkpoint, step 2; none is kept as the best",
    )
    saved(tmp_path, [3], best_step=3)
    assert pick(tmp_path).text == f"{tmp_path}: the best checkpoint, step 3; the newest too"
    saved(tmp_path, [4])  # What was the best is that no more.
    assert not os.path.lexists(tmp_path / "best")


def copied(path, copy, *, links):
    """Copy a folder as `scp -r` does, which follows links, or as `rsync -r`, which leaves them out."""
    ignore = None if links else shutil.ignore_patterns("latest", "best")
    shutil.copytree(path, copy, symlinks=False, ignore=ignore)
    return CheckpointFolder(copy, keep_last=1)


def test_a_run_that_scp_has_copied_has_its_best_checkpoint_and_trains_on(tmp_path):
    saved(tmp_path / "run", [1, 2], best_step=1)
    folder = copied(tmp_path / "run", tmp_path / "copy", links=True)
    assert (folder.path / "best").is_dir()
    assert not (folder.path / "best").is_symlink()
    assert pick(folder.path)[0] == folder.path / step_name(1)
    assert resolve(folder.path / "best") == folder.path / step_name(1)
    assert resolve(folder.path / "latest") == folder.path / step_name(2)
    folder.clean()  # As every training begins.
    assert os.readlink(folder.path / "latest") == step_name(2)
    folder.save(content(3), best_step=1)
    assert names(folder.path) == ["best", "latest", step_name(1), step_name(3)]
    assert os.readlink(folder.path / "best") == step_name(1)
    assert os.readlink(folder.path / "latest") == step_name(3)


def test_a_copy_whose_checkpoint_is_gone_is_one_itself(tmp_path):
    saved(tmp_path / "run", [1, 2], best_step=1)
    folder = copied(tmp_path / "run", tmp_path / "copy", links=True)
    for step in (1, 2):
        shutil.rmtree(folder.path / step_name(step))
    assert checkpoint.read(resolve(folder.path / "best")).step == 1
    folder.clean()
    assert folder.steps() == [1, 2]
    assert [checkpoint.read(folder.path / step_name(step)).step for step in (1, 2)] == [1, 2]


def test_a_folder_of_the_users_own_that_is_called_best_is_not_deleted(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_last=1)
    (tmp_path / "best").mkdir()
    (tmp_path / "best/notes.txt").touch()
    folder.clean()
    with pytest.raises(OutputError, match="cannot write"):
        folder.save(content(1), best_step=1)
    assert names(tmp_path / "best") == ["notes.txt"]


def test_the_best_checkpoint_is_known_where_the_links_were_left_out(tmp_path):
    folder = CheckpointFolder(tmp_path / "run", keep_last=2)
    for step in (1, 2):
        of_step = content(step)
        of_step.manifest["progress"]["best_step"] = 1
        folder.save(of_step, best_step=1)
    folder = copied(tmp_path / "run", tmp_path / "copy", links=False)
    assert names(folder.path) == [step_name(1), step_name(2)]
    assert pick(folder.path)[0] == folder.path / step_name(1)
