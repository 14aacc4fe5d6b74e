from __future__ import annotations

import math
import pickle

import pytest

from dpnet.optim.schedules import make_schedule

OPTIONS = {
    "learning_rate": 0.5,
    "total_steps": 100,
    "warmup_steps": 0,
    "every_steps": 7,
    "factor": 0.3,
    "min_learning_rate": 0.02,
}
each_schedule = pytest.mark.parametrize("name", ["constant", "step", "cosine"])


def make(name, **options):
    return make_schedule(name, **(OPTIONS | options))


def rates_of_torch(name, num_steps):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=OPTIONS["learning_rate"])
    scheduler = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "step": lambda: torch.optim.lr_scheduler.StepLR(optimizer, OPTIONS["every_steps"], OPTIONS["factor"]),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, num_steps, OPTIONS["min_learning_rate"]
        ),
    }[name]()
    rates = []
    for _ in range(num_steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@each_schedule
@pytest.mark.parametrize("warmup_steps", [0, 1, 20])
def test_the_curve_after_the_warm_up_is_that_of_pytorch(name, warmup_steps):
    num_steps = 100 - warmup_steps
    schedule = make(name, warmup_steps=warmup_steps)
    rates = [schedule(step) for step in range(warmup_steps, 100)]
    assert rates == pytest.approx(rates_of_torch(name, num_steps), rel=1e-11)


def test_constant_stays():
    assert {make("constant")(step) for step in range(200)} == {0.5}


def test_step_drops_after_every_so_many_steps():
    schedule = make("step")
    assert [schedule(step) for step in (0, 6)] == [0.5, 0.5]
    assert [schedule(step) for step in (7, 13, 14)] == pytest.approx([0.15, 0.15, 0.045], rel=1e-15)


def test_cosine_falls_from_the_learning_rate_to_just_above_the_minimum():
    schedule = make("cosine")
    rates = [schedule(step) for step in range(100)]
    assert rates[0] == 0.5
    assert rates[50] == pytest.approx(0.26, rel=1e-15)
    assert rates == sorted(set(rates), reverse=True)
    assert 0.02 < rates[-1] < 0.0202
    assert [schedule(step) for step in (100, 101, 150, 200)] == [0.02] * 4


@each_schedule
def test_warm_up_grows_in_equal_steps_to_the_learning_rate(name):
    schedule = make(name, warmup_steps=10)
    assert [schedule(step) for step in range(10)] == pytest.approx([0.05 * (k + 1) for k in range(10)], rel=1e-15)
    assert schedule(9) == schedule(10) == 0.5


@each_schedule
def test_after_the_warm_up_a_schedule_counts_from_zero(name):
    warm = make(name, warmup_steps=10)
    cold = make(name, total_steps=90)
    assert [warm(step) for step in range(10, 100)] == [cold(step) for step in range(90)]


@each_schedule
def test_without_warm_up_the_first_step_has_the_whole_learning_rate(name):
    assert make(name, warmup_steps=0)(0) == 0.5


@each_schedule
@pytest.mark.parametrize("warmup_steps", [100, 150])
def test_a_warm_up_as_long_as_the_job_never_ends_early(name, warmup_steps):
    schedule = make(name, warmup_steps=warmup_steps)
    assert [schedule(step) for step in range(100)] == pytest.approx(
        [0.5 * (step + 1) / warmup_steps for step in range(100)], rel=1e-15
    )
    assert math.isfinite(schedule(warmup_steps))


@each_schedule
def test_a_rate_depends_on_nothing_but_the_step(name):
    schedule = make(name, warmup_steps=10)
    again = pickle.loads(pickle.dumps(schedule))
    assert [again(step) for step in reversed(range(100))] == [schedule(step) for step in range(100)][::-1]
    assert again == schedule
