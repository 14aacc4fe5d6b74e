"""What ranks compare of their command lines."""

import os

import pytest

from dpnet.cli.given import given_to_this_rank
from dpnet.comm.alike import differences
from dpnet.errors import ConfigError

COMMAND = ["train", "job.toml"]


def given(monkeypatch, folder, text, host="a"):
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    (folder / "job.toml").write_text(text)
    return given_to_this_rank(COMMAND, "job.toml", host)


def test_a_job_file_with_other_content_is_another_job(tmp_path, monkeypatch):
    ranks = [given(monkeypatch, tmp_path, text) for text in ("[train]", "[train]", "[model]\n")]
    (text,) = differences(ranks).values()
    assert text.startswith("the content of job.toml is 7 bytes with the sha256 ")
    assert text.endswith("... on rank 2")


def test_a_job_file_that_only_rank_0_can_read_is_fine(tmp_path, monkeypatch):
    first = given(monkeypatch, tmp_path, "[train]")
    os.remove("job.toml")
    assert not differences([first, given_to_this_rank(COMMAND, "job.toml", "a")])


def test_a_job_from_a_pipe_is_left_for_rank_0(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert given_to_this_rank(COMMAND, str(tmp_path / "pipe"), "a")[f"the content of {tmp_path}/pipe"] is None


def test_directories_may_differ_between_hosts_but_not_on_one(tmp_path, monkeypatch):
    here = given(monkeypatch, tmp_path / "here", "")
    assert not differences([here, given(monkeypatch, tmp_path / "there", "", host="b")])
    assert differences([here, given(monkeypatch, tmp_path / "there", "")]) == {
        "the current directory on a": (
            f"the current directory on a is {tmp_path}/here on rank 0 and {tmp_path}/there on rank 1"
        )
    }


@pytest.mark.parametrize("path", ["/dev/stdin", "/dev/fd/63"])
def test_a_job_on_standard_input_is_refused_under_open_mpi_whose_ranks_would_wait_for_its_end(monkeypatch, path):
    given_to_this_rank(["train", path], path, "host")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=f"where the job on {path} ends; give a file"):
        given_to_this_rank(["train", path], path, "host")
