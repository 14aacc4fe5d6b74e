"""What a training prints before it starts."""

import pytest
from helpers.jobs import make_job

from dpnet.comm.local import LocalGroup
from dpnet.compute.backend import plain_backend
from dpnet.training.announce import training_text
from dpnet.training.build import build_parts
from dpnet.training.prepare import open_data, prepare


@pytest.mark.parametrize(
    ("world_size", "share"), [(1, "128 on each rank"), (2, "64 on each rank"), (5, "25 or 26 on each rank")]
)
def test_what_is_trained_is_told(tmp_path, world_size, share):
    job, group = make_job(tmp_path), LocalGroup()
    source = open_data(job.data, group)
    setup = prepare(job, group, source, backend=plain_backend())
    parts = build_parts(setup, source)
    lines = training_text(setup, source, parts, world_size, 1).splitlines()
    assert f": {world_size} rank{'s' * (world_size > 1)} on 1 host, 1 thread a rank; " in lines[0]
    memory = "memory a copy of the parameters for each rank: there is one rank"
    assert lines[1:] == [
        "network 64-12-10, relu, 910 parameters; adamw",
        *([memory] if world_size > 1 else []),
        "data digits: 1,437 training samples, 360 test samples",
        f"36 steps of 128 samples, {share}; {tmp_path}",
    ]
