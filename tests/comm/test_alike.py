"""Ranks that were given different things all raise the same error, with the values and their ranks."""

import pytest
from comm.test_agree import play

from dpnet.comm import alike
from dpnet.comm.alike import check_alike, differences
from dpnet.comm.local import LocalGroup
from dpnet.errors import ConfigError


def errors(*given):
    return play(len(given), lambda group: check_alike(group, given[group.rank]))


def test_the_same_on_all_ranks_is_fine():
    assert errors({"a": "1"}, {"a": "1"}, {"a": "1"}) == [None] * 3
    assert isinstance(errors({"a": "1"}, {"a": "2"}, {"a": "1"})[0], ConfigError)
    check_alike(LocalGroup(), {"a": "1"})


def test_both_values_are_told_with_their_ranks_on_every_rank():
    found = errors({"a": "1", "b": "x"}, {"a": "2", "b": "x"}, {"a": "2", "b": "x"})
    assert all(isinstance(error, ConfigError) and error.agreed for error in found)
    assert len({str(error) for error in found}) == 1
    assert str(found[0]).startswith("the ranks disagree: a is 1 on rank 0 and 2 on ranks 1, 2; all ranks of a job")


def test_a_value_that_a_rank_does_not_know_fits_any():
    assert errors({"a": "1"}, {"a": None}) == [None] * 2
    assert errors({"a on host 0": "1"}, {"a on host 1": "2"}) == [None] * 2
    assert "a is 1 on rank 0 and 2 on rank 2" in str(errors({"a": "1"}, {"a": None}, {"a": "2"})[1])


def test_another_version_is_told():
    def work(group):
        check_alike(group, {alike.VERSION: f"0.{group.rank}"})

    assert "the version of dpnet is 0.0 on host0 and 0.1 on host1" in str(play(2, work)[0])


def test_a_thousand_ranks_make_one_line():
    given = [{"a": str(rank % 500), "b": "x" * 1000 + str(rank % 2), "c": "1", "d": str(rank)} for rank in range(1000)]
    found = [*differences(given).values()]
    assert found[0] == "a is 0 on ranks 0, 500, 1 on ranks 1, 501, 2 on ranks 2, 502 and 497 more values"
    assert len(found) == 3
    assert max(map(len, found)) < 700


def test_more_differences_than_fit_are_counted():
    given = [{name: str(rank) for name in "abcde"} for rank in range(2)]
    assert "; and 2 more; all ranks" in str(errors(*given)[0])


@pytest.mark.parametrize("names", [("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE")])
def test_the_way_to_a_training_of_its_own_is_told_under_a_launcher(monkeypatch, names):
    for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert "env -u" not in str(errors({"a": "1"}, {"a": "2"})[0])
    monkeypatch.setenv(names[0], "0")
    monkeypatch.setenv(names[1], "2")
    assert f"start it with: env -u {names[1]} dpnet ..." in str(errors({"a": "1"}, {"a": "2"})[0])
