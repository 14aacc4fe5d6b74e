"""Steps of one rank on each of several hosts, over links of several speeds: dpnet and PyTorch DDP on gloo.

    python -m benchmarks.nodes [WORKLOAD ...] [--hosts 2 4] [--links 100mbit 1gbit off] [--out nodes.png]

The hosts are network namespaces of this machine, which only root may make; their links are shaped by `tc` (tbf). All
hosts share the cores of the machine. All programs take turns, round by round, with the same batch; times are medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import ROOT
from benchmarks.picture import picture
from benchmarks.results import keep, machine, summary
from benchmarks.workloads import WORKLOADS, workload_parser
from dpnet.compute.threads import VARIABLES
from tests.helpers.hosts import HEAD, Hosts, obstacle
from tests.helpers.vendor import vendor

TIMEOUT_S = 300
PORT = 29_571
Times = dict[tuple[int, str], dict[str, list[float]]]
"""Milliseconds of a step, of every round, by number of hosts and link, and by program."""


@dataclass(frozen=True)
class Program:
    """A program that takes steps on several hosts.

    Attributes:
        name: for tables.
        module: in benchmarks.peers.
        options: of its command line.
    """

    name: str
    module: str
    options: tuple[str, ...] = ()


PROGRAMS = [
    Program("dpnet", "dpnet_train"),
    Program("dpnet, gradients", "dpnet_train", ("--exchange", "gradients")),
    Program("PyTorch DDP", "torch_ddp"),
    Program("PyTorch DDP, fp16", "torch_ddp", ("--hook", "fp16")),
]


class Race:
    """Runs programs on hosts.

    Args:
        hosts: to run on.
        number: how many of them.
        options: of the command line.
    """

    def __init__(self, hosts: Hosts, number: int, options: argparse.Namespace) -> None:
        self._hosts, self._names, self._options = hosts, hosts.names[:number], options

    def step_ms(self, program: Program, workload: str) -> tuple[float, str]:
        """Milliseconds of a step, and what dpnet said of its exchange."""
        batch = WORKLOADS[workload].rows * len(self._names)
        line = [
            *(sys.executable, "-m", f"benchmarks.peers.{program.module}", workload, "--batch", str(batch)),
            *("--ranks", str(len(self._names)), "--seconds", str(self._options.seconds)),
            *("--least", str(self._options.least), "--optimizer", self._options.optimizer, *program.options),
        ]
        run = self.mpirun if program.module == "dpnet_train" else self._torchrun
        result = run(line)
        try:
            return 1e3 * batch / float(result.stdout.split()[-1]), result.stderr.strip()
        except (IndexError, ValueError):
            raise RuntimeError(f"{program.name} failed with {result.returncode}: {result.stderr[-2000:]}") from None

    def mpirun(self, line: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command on every host, one rank each."""
        passed_on = ["-x", "PYTHONPATH"] if vendor() == "Open MPI" else []  # Others pass on the whole environment.
        command = self._hosts.on(HEAD, [*self._hosts.mpirun(number=len(self._names)), *passed_on, *line])
        return subprocess.run(
            command, env=_environ(), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )

    def _torchrun(self, line: list[str]) -> subprocess.CompletedProcess[str]:
        environ = {**_environ(), "MASTER_ADDR": self._names[0], "MASTER_PORT": str(PORT), "GLOO_SOCKET_IFNAME": "eth0"}
        environ["WORLD_SIZE"] = str(len(self._names))
        ranks = [
            subprocess.Popen(
                self._hosts.on(name, line),
                env={**environ, "RANK": str(rank)},
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank, name in enumerate(self._names)
        ]
        try:
            outputs = [rank.communicate(timeout=TIMEOUT_S) for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()
        return subprocess.CompletedProcess(line, ranks[0].returncode, *outputs[0])


def _environ() -> dict[str, str]:
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **dict.fromkeys(VARIABLES, "1"), **as_root, "PYTHONPATH": str(ROOT)}


def measure(workload: str, options: argparse.Namespace) -> Times:
    """Measure all programs on all numbers of hosts and links."""
    times: Times = {}
    with tempfile.TemporaryDirectory() as folder, Hosts(Path(folder), max(options.hosts)) as hosts:
        for number in options.hosts:
            race = Race(hosts, number, options)
            for link in options.links:
                for name in hosts.names:
                    hosts.shape(name, "" if link == "off" else link)
                times[number, link] = _measured(race, workload, options.rounds)
    return times


def _measured(race: Race, workload: str, rounds: int) -> dict[str, list[float]]:
    measured: dict[str, list[float]] = {program.name: [] for program in PROGRAMS}
    for number in range(rounds):
        for program in PROGRAMS:
            milliseconds, told = race.step_ms(program, workload)
            measured[program.name].append(milliseconds)
            if told and number == 0 and program.module == "dpnet_train":
                print(f"    {program.name}: {told}", flush=True)
    return measured


def draw(results: dict[str, Times], path: str) -> None:
    """Draw a picture with one panel for each workload."""
    with picture(results, path, width=5, xlabel="hosts, link", ylabel="milliseconds a step") as panels:
        for workload, times in results.items():
            panel = panels[workload]
            for number, program in enumerate(PROGRAMS):
                medians = [statistics.median(measured[program.name]) for measured in times.values()]
                places = [place + 0.2 * number - 0.3 for place in range(len(times))]
                panel.bar(places, medians, width=0.2, label=program.name)
            panel.set_yscale("log")
            panel.set_xticks(range(len(times)), [f"{hosts}\n{link}" for hosts, link in times])


def main() -> None:
    """Measure, print, draw, and keep the rows."""
    parser = workload_parser(__doc__, seconds=1.0, rounds=5)
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--links", nargs="+", default=["100mbit", "1gbit", "off"])
    parser.add_argument("--least", type=int, default=3, help="fewest steps that are timed")
    parser.add_argument("--out", default="nodes.png")
    options = parser.parse_args()
    if why := obstacle():
        parser.error(why)
    results, rows = {}, []
    for workload in options.workloads or ["small", "wide"]:
        results[workload] = measure(workload, options)
        for (hosts, link), measured in results[workload].items():
            for name, values in measured.items():
                print(f"{workload:6} {hosts} hosts {link:8} {name:18} {statistics.median(values):9.1f} ms", flush=True)
                what = {"workload": workload, "hosts": hosts, "link": link, "program": name}
                rows.append({**what, "optimizer": options.optimizer, "step_ms": summary(values)})
    draw(results, options.out)
    print(f"{machine()}; kept in {keep('nodes', rows)}; picture in {options.out}")


if __name__ == "__main__":
    main()
