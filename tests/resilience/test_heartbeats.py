"""Work that takes long but makes progress has heartbeats: the watchdog must not take it for a hang."""

import itertools

import pytest
from helpers.jobs import metrics, train

from dpnet.whereabouts import PHASES, Whereabouts

STEPS = 12
BEAT = "beat"


@pytest.fixture
def whereabouts(monkeypatch):
    """What a training records in its whereabouts, in order: names of phases, "beat", and "step"."""
    said = []
    enter, beat, step_done = Whereabouts.enter, Whereabouts.beat, Whereabouts.step_done

    def entering(self, phase):
        said.append(PHASES[phase])
        enter(self, phase)

    def beating(self):
        said.append(BEAT)
        beat(self)

    def finishing_step(self, step):
        said.append("step")
        step_done(self, step)

    monkeypatch.setattr(Whereabouts, "enter", entering)
    monkeypatch.setattr(Whereabouts, "beat", beating)
    monkeypatch.setattr(Whereabouts, "step_done", finishing_step)
    return said


def beats_in(said, phase):
    """For each time that a phase was entered, the number of heartbeats before anything else began or ended."""
    places = [place for place, what in enumerate(said) if what == phase]
    return [len(list(itertools.takewhile(BEAT.__eq__, said[place + 1 :]))) for place in places]


def test_every_block_of_an_evaluation_is_a_heartbeat(tmp_path, whereabouts):
    settings = {"evaluate.every_steps": 6, "evaluate.batch_size": 100, "checkpoint.every_steps": 0}
    train(tmp_path, {**settings, "train.epochs": None, "train.steps": STEPS})
    (samples,) = {row["eval_samples"] for row in metrics(tmp_path) if "eval_samples" in row}
    assert samples > 2 * 100
    assert beats_in(whereabouts, "evaluation") == [-(-samples // 100)] * 2


def test_every_checkpoint_is_a_heartbeat(tmp_path, whereabouts):
    settings = {"evaluate.every_steps": 0, "checkpoint.every_steps": 5, "checkpoint.keep_best": False}
    train(tmp_path, {**settings, "train.epochs": None, "train.steps": STEPS})
    beats = beats_in(whereabouts, "checkpoint")
    assert len(beats) >= 3  # After steps 5, 10 and 12.
    assert min(beats) >= 1, beats


def test_every_step_is_a_heartbeat(tmp_path, whereabouts):
    train(
        tmp_path, {"evaluate.every_steps": 0, "checkpoint.every_steps": 0, "train.epochs": None, "train.steps": STEPS}
    )
    assert whereabouts.count("commit") == STEPS
    ended = whereabouts[whereabouts.index("commit") :]
    assert [after for what, after in itertools.pairwise(ended) if what == "commit"] == ["step"] * STEPS
