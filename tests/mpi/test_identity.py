"""All ranks agree on the identity of the data, each having read a share of them."""

import numpy as np
import pytest

from dpnet.comm.connect import connect
from dpnet.comm.local import LocalGroup
from dpnet.config.job import Job
from dpnet.data.sources import DataSource
from dpnet.data.split import make_split
from dpnet.training.prepare import fit_scaling, identify, measure_scaling

pytestmark = pytest.mark.mpi

group = connect()


def source(rows, tests):
    generator = np.random.default_rng(2)
    train, test = (
        make_split(generator.standard_normal((n, 5)), generator.integers(0, 3, n), "x", "y") for n in (rows, tests)
    )
    return DataSource("data", train, test)


@pytest.mark.parametrize(("rows", "tests"), [(3, 1), (2000, 257)])
@pytest.mark.parametrize("measure", [True, False])
def test_the_identity_is_that_of_one_rank_and_so_is_the_scaling(rows, tests, measure):
    job, data = Job(), source(rows, tests)
    found = identify(job.data, data, group, measure=measure)
    alone = identify(job.data, data, LocalGroup(), measure=True)
    assert group.allgather(found.identity) == [alone.identity] * group.world_size
    assert sorted(found.moments) == (["test", "train"] if measure else [])
    if measure:
        scaling, expected = fit_scaling(job, data, found.moments, group), measure_scaling(job, data, LocalGroup())
        assert scaling.factor.tobytes() == expected.factor.tobytes()
