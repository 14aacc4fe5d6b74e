"""Which rank makes the others wait, and what keeps it busy."""

from types import SimpleNamespace

import numpy as np
import pytest

from dpnet.comm.local import LocalGroup
from dpnet.resilience import stragglers
from dpnet.resilience.stragglers import Pace, cause, straggler
from dpnet.whereabouts import DATA, PHASES


@pytest.mark.parametrize(
    ("rows", "slow"),
    [
        ([[10, 0]], -1),
        ([[10, 1], [10, 1.5]], -1),
        ([[10, 1], [10, 3]], 0),
        ([[10, 5], [10, 5], [10, 1]], 2),
        ([[10, 5], [10, 1], [10, 1]], -1),  # Two are slow: nobody waits for one alone.
    ],
)
def test_the_straggler_is_the_one_that_all_others_wait_for(rows, slow):
    assert straggler(np.array(rows, float)) == slow


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((10, 1, 5, 4), "data: 5.00 s, others 1.00 s"),
        ((10, 1, 1, 8), "compute: 8.00 s, others 4.00 s"),
        ((10, 1, 0.5, 8.5), "compute: 8.50 s, others 4.00 s"),
        ((10, 1, 1, 4), "neither data nor compute; writing files, perhaps"),
        ((10, 1, 0.1, 3), "neither data nor compute; writing files, perhaps"),
    ],
)
def test_what_keeps_it_busy_is_told(row, words):
    assert cause(np.array([(10, 5, 1, 4), row, (10, 5, 1, 4)], float), 1) == words


class Second(LocalGroup):
    """Rank 1 of two, of which the other has spent ten seconds, and waited in five of them."""

    rank, world_size, host = 1, 2, "node7"

    def __init__(self):
        pass

    def allgather(self, value):
        return ["node6", value]

    def allgather_into(self, vector, counts):
        assert counts == [4, 4]
        vector[:4] = 10, 5, 1, 4


def test_a_rank_is_named_once_for_as_long_as_it_is_slow(monkeypatch):
    here, now = SimpleNamespace(seconds=[0.0] * len(PHASES), waited=0.0), [0.0]
    monkeypatch.setattr(stragglers, "HERE", here)
    monkeypatch.setattr(stragglers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pace, said = Pace(Second()), []
    for waited in (0, 0, 5, 0):
        now[0], here.waited = now[0] + 10, here.waited + waited
        here.seconds[DATA] += 6 - waited
        said.append(pace.look())
    lost, busy = "the others spent 50% of the last 100 steps waiting for it", "data: 6.00 s, others 1.00 s"
    text = f"rank 1 on node7 is slow: {lost} ({busy})"
    assert said == [text, "", "", text]
