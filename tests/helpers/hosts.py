"""Hosts on one machine, for tests: each with a network, a name and shared memory of its own, all on one switch.

They are namespaces of Linux, which only root may make: `man 7 namespaces`, `man 4 veth`, `man 8 ip-link`. A sleeping
process holds each host, which ends with the process. All see the same files, as hosts of a cluster do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .vendor import vendor

AGENT = """#!/bin/sh
# In the place of ssh: [OPTION...] HOST COMMAND...
while [ "${{1#-}}" != "$1" ]; do shift; done
holder=$(cat {folder}/$1); shift
nsenter --target $holder {namespaces} --wd="$PWD" -- /bin/sh -c "$*"
code=$?
# ssh returns 255 where the other end has gone.
if [ $code -gt 128 ]; then exit 255; fi
exit $code
"""
LAUNCH = """
from dpnet.launch import attempt, escalation, linger
# An mpirun that waits for a silent host would do so for long, and so would what it has started there.
linger.LINGER_S = escalation.KILL_AFTER_S = attempt.LEFTOVERS_END_S = 1.0
from dpnet.__main__ import main
main()
"""
"""`dpnet` for `python -c`, where a host falls silent."""
BEGIN = """
hostname {name}
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /dev/shm
mount --bind {folder}/hosts /etc/hosts
ip link set lo up
echo $$ > {folder}/{name}.holder
mv {folder}/{name}.holder {folder}/{name}
exec sleep infinity
"""
NAMESPACES = ("--net", "--uts", "--ipc", "--mount")
HEAD = "head"


def obstacle() -> str:
    """Why there can be no hosts here; empty: there can."""
    missing = [name for name in ("ip", "unshare", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"there is no {missing[0]} (Debian: iproute2, util-linux)"
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    tried = subprocess.run(
        ["unshare", *NAMESPACES, "mount", "-t", "sysfs", "sysfs", "/sys"], capture_output=True, text=True, check=False
    )
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


class Hosts:
    """A head, where jobs are started, and hosts node1, node2, ... for ranks; a context.

    Args:
        folder: empty, for files about the hosts.
        number: of hosts for ranks.

    Attributes:
        names: of the hosts for ranks.
        agent: path of the program that runs a command on a host, as ssh would.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self.names = [f"node{index + 1}" for index in range(number)]
        self.agent = folder / "agent"
        self.agent.write_text(AGENT.format(folder=folder, namespaces=" ".join(NAMESPACES)))
        self.agent.chmod(0o755)
        all_names = [HEAD, *self.names]
        addresses = {name: f"10.99.0.{index + 1}" for index, name in enumerate(all_names)}
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        self._holders = {"switch": self._hold(["--net"], f"echo $$ > {folder}/switch; exec sleep infinity")}
        for name in all_names:
            self._holders[name] = self._hold(NAMESPACES, BEGIN.format(name=name, folder=folder))
        self._wait_for_holders()
        self._ip("switch", "link add bridge0 type bridge")
        self._ip("switch", "link set bridge0 up")
        for name, address in addresses.items():
            self._ip("switch", f"link add {name} type veth peer name eth0 netns {self._holders[name].pid}")
            self._ip("switch", f"link set {name} master bridge0 up")
            self._ip(name, f"addr add {address}/24 dev eth0")
            self._ip(name, "link set eth0 up")

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        for name, holder in self._holders.items():
            self.crash(name)
            holder.kill()
            holder.wait()

    def on(self, name: str, command: Sequence[str]) -> list[str]:
        """The command line that runs a command on a host."""
        return ["nsenter", "--target", str(self._holders[name].pid), *NAMESPACES, f"--wd={os.getcwd()}", "--", *command]

    def mpirun(self, ranks_each: int = 1, number: int | None = None) -> list[str]:
        """The start of a command line, for the head, that runs a command on all hosts, or on the first ones."""
        names = self.names[:number]
        start = [os.path.join(os.path.dirname(sys.executable), "mpirun"), "-n", str(ranks_each * len(names))]
        if vendor() == "Open MPI":
            listed = ",".join(f"{name}:{ranks_each}" for name in names)
            return [*start, "--bind-to", "none", "--prtemca", "plm_ssh_agent", str(self.agent), "--host", listed]
        reach = ["-launcher", "ssh", "-launcher-exec", str(self.agent)]
        return [*start, *reach, "-hosts", ",".join(names), "-ppn", str(ranks_each)]

    @contextmanager
    def put(self, name: str, source: Path, place: Path) -> Iterator[None]:
        """On this host alone, a file or folder lies in the place of another, which exists."""
        self._do(name, "mount", "--bind", str(source), str(place))
        try:
            yield
        finally:
            self._do(name, "umount", "--lazy", str(place))

    @contextmanager
    def at_start(self, name: str, folder: Path, program: str) -> Iterator[dict[str, str]]:
        """On this host alone, every Python runs a program at its start; yields the environment of the command."""
        site, other = folder / "site", folder / "other"
        for place, text in ((site, ""), (other, program)):
            place.mkdir()
            (place / "sitecustomize.py").write_text(text)
        with self.put(name, other, site):
            path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
            yield {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def cut(self, name: str) -> None:
        """Pull the cable of a host."""
        self._ip("switch", f"link set {name} down")

    def shape(self, name: str, rate: str) -> None:
        """Give the cable of a host a rate, in both directions: "100mbit", "1gbit"; "" takes it away."""
        queue = f"tbf rate {rate} burst 256kb latency 100ms" if rate else "noqueue"
        for end, device in ((name, "eth0"), ("switch", name)):
            self._run(end, "tc", f"qdisc replace dev {device} root {queue}")

    def mend(self, name: str) -> None:
        """Put the cable of a host back in."""
        self._ip("switch", f"link set {name} up")

    def crash(self, name: str) -> None:
        """Kill all that runs on a host, at once."""
        for pid in self.pids(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def pids(self, name: str) -> list[int]:
        """Processes on a host."""
        network = os.readlink(f"/proc/{self._holders[name].pid}/ns/net")
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and os.readlink(entry / "ns/net") == network:
                    found.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in found if pid != self._holders[name].pid]

    def _do(self, name: str, *command: str) -> None:
        subprocess.run(self.on(name, command), check=True)

    def _hold(self, namespaces: Sequence[str], script: str) -> subprocess.Popen[bytes]:
        command = ["unshare", *namespaces, "--", "/bin/sh", "-c", script]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def _wait_for_holders(self) -> None:
        end = time.monotonic() + 20
        while not all((self._folder / name).exists() for name in self._holders):
            assert time.monotonic() < end, "the hosts did not come up"
            time.sleep(0.01)

    def _ip(self, name: str, words: str) -> None:
        self._run(name, "ip", words)

    def _run(self, name: str, program: str, words: str) -> None:
        line = ["nsenter", "--target", str(self._holders[name].pid), "--net", "--", program, *words.split()]
        subprocess.run(line, check=True)
