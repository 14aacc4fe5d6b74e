"""Ranks are killed at any moment: the others go on, and the result has the bits of a training that lost nobody."""

import random

import pytest
from helpers.faults import (
    assert_same_result,
    run_with_deeds,
    summary,
    survivable,
    train_arguments,
    undisturbed,
    write_job,
)
from helpers.jobs import metrics
from helpers.mpirun import mpirun
from helpers.night import at_night, times
from helpers.patience import PATIENCE
from helpers.vendor import vendor

pytestmark = [pytest.mark.ranks, pytest.mark.slow]
NUM_JOBS = times("DPNET_TEST_LOSSES", day=3, night=80)
PHASES = (
    "forward",
    "backward",
    "reduce",
    "update",
    "commit",
    "checkpoint",
    "evaluation",
    "recovery",
    "row",
    "data",
    "end",
    "conclusion",
)
CALLS = {"row": 40, "checkpoint": 15, "evaluation": 8, "recovery": 2, "end": 1, "conclusion": 1}
"""How often a phase is entered in a job, about; the others once a step."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    mpirun(1)
    if vendor() != "Open MPI":
        pytest.skip(f"{vendor()} does not survive the loss of a rank")
    folder = tmp_path_factory.mktemp("whole")
    job = write_job(folder)
    return job, undisturbed(folder, job)


def random_kills(chance, number):
    kills = []
    for rank in chance.sample(range(4), number):
        phase = chance.choice(PHASES)
        call = chance.randint(1, CALLS.get(phase, 280))
        # At the beginning of the phase, or somewhere in it.
        delay_s = chance.choice([0, chance.random() * 0.002])
        kills.append({"rank": rank, "phase": phase, "call": call, "delay_s": delay_s, "what": "SIGKILL"})
    return kills


def assert_survived(output, whole, least, most):
    assert_same_result(output, whole)
    ranks_lost = summary(output)["ranks_lost"]
    assert least <= ranks_lost <= most
    losses = [row for row in metrics(output) if row.get("event") == "ranks_lost"]
    assert sum(len(row["ranks"]) for row in losses) == ranks_lost
    assert all(row["recover_s"] < 2 * PATIENCE for row in losses), losses
    return losses


@pytest.mark.timeout(240 + 80 * NUM_JOBS)
@pytest.mark.parametrize("seed", range(NUM_JOBS))
def test_killed_ranks_change_no_bit(tmp_path, whole, seed, monkeypatch):
    job, undisturbed_run = whole
    chance = random.Random(seed)
    kills = random_kills(chance, chance.choice([1, 2, 3, 3]))
    monkeypatch.setenv("DPNET_RANKS_PER_NODE", "012"[seed % 3])  # 0: all ranks on one node.
    output = tmp_path / "run"
    code, text = run_with_deeds(survivable(4), tmp_path, train_arguments(job, output), kills, timeout_s=20)
    assert code == 0, f"{kills}\n{text}"
    # A rank may have come to its end, or never to the phase: then it was not lost.
    losses = assert_survived(output, undisturbed_run, 0, len(kills))
    assert text.count("going on after step") == len(losses)


@pytest.mark.parametrize(
    ("rank", "phase", "call"),
    [
        (3, "forward", 1),
        at_night(0, "commit", 300),
        (0, "checkpoint", 3),
        at_night(2, "evaluation", 2),
        at_night(1, "conclusion", 1),
        (0, "conclusion", 1),
        (0, "row", 3),
    ],
)
def test_the_loss_is_told(tmp_path, whole, rank, phase, call):
    job, undisturbed_run = whole
    kill = {"rank": rank, "phase": phase, "call": call, "what": "SIGKILL"}
    output = tmp_path / "run"
    code, text = run_with_deeds(survivable(4), tmp_path, train_arguments(job, output), [kill], timeout_s=20)
    assert code == 0, text
    (loss,) = assert_survived(output, undisturbed_run, 1, 1)
    assert loss["ranks"] == [rank]
    assert loss["world_size"] == 3
    assert f"lost rank {rank} on {loss['hosts'][0]}" in text
    assert "lost ranks are survived" in text


@pytest.mark.parametrize("phase", ["reduce", at_night("commit"), at_night("evaluation")])
def test_a_rank_dies_while_the_others_sleep(tmp_path, whole, phase):
    job, undisturbed_run = whole
    asleep_s = 1.0
    deed = {"rank": 2, "phase": phase, "call": 3}
    deeds = [{**deed, "what": "sleep", "seconds": asleep_s}, {**deed, "what": "SIGKILL"}]
    output = tmp_path / "run"
    code, text = run_with_deeds(survivable(4), tmp_path, train_arguments(job, output), deeds, timeout_s=20)
    assert code == 0, text
    (loss,) = assert_survived(output, undisturbed_run, 1, 1)
    assert loss["ranks"] == [2]
    assert asleep_s / 2 < loss["detect_s"] < asleep_s + PATIENCE, loss


def test_a_job_that_lost_nobody_says_so(tmp_path, whole):
    job, undisturbed_run = whole
    output = tmp_path / "run"
    code, text = run_with_deeds(survivable(3), tmp_path, train_arguments(job, output), [], timeout_s=20)
    assert code == 0, text
    assert_survived(output, undisturbed_run, 0, 0)
    (spent,) = [row for row in metrics(output) if row.get("event") == "time_spent"]
    assert len(spent["hosts"]) == len(spent["waiting"]) == len(spent["forward"]) == 3
    assert min(spent["forward"]) > 0


@pytest.mark.parametrize(
    ("reducer", "phase", "ranks_per_node"),
    [("auto", "update", "0"), at_night("allreduce", "reduce", "0"), ("allreduce", "commit", "2")],
)
def test_a_training_with_one_shard_a_rank_goes_on_too(tmp_path, whole, monkeypatch, reducer, phase, ranks_per_node):
    job, _ = whole
    monkeypatch.setenv("DPNET_RANKS_PER_NODE", ranks_per_node)
    kills = [{"rank": rank, "phase": phase, "call": call, "what": "SIGKILL"} for rank, call in ((1, 40), (0, 90))]
    output = tmp_path / "run"
    arguments = train_arguments(job, output, "train.reproducible_shards=0", f'train.reducer="{reducer}"')
    code, text = run_with_deeds(survivable(4), tmp_path, arguments, kills, timeout_s=20)
    assert code == 0, text
    assert summary(output)["ranks_lost"] == 2
    assert summary(output)["eval_accuracy"] > 0.9


def test_several_nodes_lose_ranks(tmp_path, whole, monkeypatch):
    job, undisturbed_run = whole
    monkeypatch.setenv("DPNET_RANKS_PER_NODE", "2")
    kills = [{"rank": rank, "phase": "reduce", "call": call, "what": "SIGKILL"} for rank, call in ((2, 40), (3, 90))]
    output = tmp_path / "run"
    code, text = run_with_deeds(survivable(4), tmp_path, train_arguments(job, output), kills, timeout_s=20)
    assert code == 0, text
    assert_survived(output, undisturbed_run, 2, 2)


def test_after_a_loss_the_job_may_ask_for_all_ranks_again(tmp_path, whole):
    job, undisturbed_run = whole
    output = tmp_path / "run"
    arguments = train_arguments(job, output, 'resilience.after_loss="restart"')
    kill = {"rank": 2, "phase": "update", "call": 50, "what": "SIGKILL"}
    code, text = run_with_deeds(survivable(4), tmp_path, arguments, [kill], timeout_s=20)
    assert code == 75, text
    assert "stopped after step 60 of 300" in text
    code, text = run_with_deeds(survivable(4), tmp_path, arguments, [], timeout_s=20)
    assert code == 0, text
    assert_survived_with_all = summary(output)
    assert assert_survived_with_all["digest"] == summary(undisturbed_run)["digest"]
    assert assert_survived_with_all["world_size"] == 4


def test_without_fault_tolerance_the_job_says_that_it_would_not_survive(tmp_path, whole):
    job, _ = whole
    output = tmp_path / "run"
    code, text = run_with_deeds(mpirun(2), tmp_path, train_arguments(job, output), [], timeout_s=20)
    assert code == 0, text
    assert "a lost rank ends the job: mpirun was started without fault tolerance; dpnet launch turns it on" in text
