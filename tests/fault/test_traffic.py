"""Three hosts with a network of their own: what their interfaces count is what `parallel.traffic` plans."""

import json
import os
import sys

import numpy as np
import pytest
from helpers.hosts import HEAD, Hosts, obstacle
from helpers.mpirun import mpirun, run_command

from dpnet.nn.layout import Layout
from dpnet.parallel.plan import Plan
from dpnet.parallel.traffic import of_plan, ring
from dpnet.parallel.wire import WIRES

pytestmark = [pytest.mark.ranks, pytest.mark.slow, pytest.mark.timeout(300)]
NUM_HOSTS, STEPS = 3, 4
SIZES = (784, 512, 256, 10)
CASES = [(0, "float32"), (0, "bfloat16"), (5, "float32"), (8, "float32"), (64, "float32")]
"""Shards, 0 for one of each rank in no fixed order; and how numbers travel."""
MEASURE = """
import json, sys
from pathlib import Path
import numpy as np
from dpnet.comm import topology
from dpnet.comm.connect import connect
from dpnet.compute.backend import plain_backend
from dpnet.nn.layout import Layout
from dpnet.parallel.plan import Plan
from dpnet.parallel.shards import ShardReducer
from dpnet.parallel.step_sums import Sums

class Given:
    def weight_gradients(self, dweights):
        for dweight in dweights:
            dweight[:] = 1

def counted():
    folder = Path("/sys/class/net/eth0/statistics")
    return [int((folder / name).read_text()) for name in ("tx_bytes", "rx_bytes")]

sizes, cases, steps, output = json.loads(sys.argv[1])
group = connect()
layout, seen = Layout(sizes), []
for num_shards, wire in cases:
    where = topology.shared(group, wire)
    plan = Plan(256, 256, seed=0, num_shards=num_shards or group.world_size, reproducible=num_shards > 0)
    how = {"layout": layout, "dtype": np.float32, "factors": [], "backend": plain_backend()}
    reducer = ShardReducer(where, plan=plan, **how)
    for step in range(1 + steps):
        if step == 1:  # The first one opens connections.
            group.barrier()
            before = counted()
            group.barrier()
        for shard in reducer.shards:
            for dbias in reducer.dbiases:
                dbias[:] = 1
            reducer.add(shard, Given(), Sums(1, 1, 0.0, 0))
        reducer.reduce(256)
    group.barrier()
    seen.append([(after - begin) / steps for after, begin in zip(counted(), before, strict=True)])
(Path(output) / f"{group.rank}.json").write_text(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """For every host, bytes that it sent and received in a step of each case."""
    mpirun(1)
    if why := obstacle():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("hosts")
    with Hosts(folder, NUM_HOSTS) as hosts:
        argument = json.dumps([SIZES, CASES, STEPS, str(folder)])
        line = [*hosts.mpirun(), sys.executable, "-c", MEASURE, argument]
        path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
        code, text = run_command(hosts.on(HEAD, line), timeout_s=90, env={"PATH": path})
    assert code == 0, text
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(NUM_HOSTS)]


@pytest.mark.parametrize("case", CASES)
def test_three_hosts_send_and_receive_what_is_planned_and_what_a_ring_takes(counted, case):
    num_shards, wire = case
    layout, dtype = Layout(SIZES), WIRES[wire].travels_as or np.float32
    nodes = [range(rank, rank + 1) for rank in range(NUM_HOSTS)]
    plan = Plan(256, 256, seed=0, num_shards=num_shards or NUM_HOSTS, reproducible=num_shards > 0)
    for planned, seen in zip(of_plan(plan, nodes, layout, dtype), counted, strict=True):
        for expected, bytes_seen in zip(planned, seen[CASES.index(case)], strict=True):
            assert expected == pytest.approx(ring(NUM_HOSTS, layout, dtype), rel=0.001)
            assert expected <= bytes_seen <= 1.05 * expected
