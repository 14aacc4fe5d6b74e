"""Breaks dpnet on purpose, one line at a time, and tells which breakages no test notices: `python tests/mutations.py`.

Every entry of mutations.toml is a mistake that a person might make. Each is made in a copy of the repository, where the
tests that should notice it are run; then the copy is mended, and the next one is made. First the tests must pass in the
copy as it is. It is run by hand and every night, where there is an MPI: all entries take some minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LIMIT_S = 180
"""Seconds after which the tests of a mutation are ended: they wait for something that will not come."""
GRACE_S = 20
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Mutation:
    """One mistake: `new` instead of `old`, which occurs once in the file; and the tests that should notice."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.file}: {old}  ->  {new}"

    def applied(self, text: str) -> str:
        """The text of the file with the mistake; a ValueError if the entry is stale."""
        if text.count(self.old) != 1:
            raise ValueError(f"stale: {self.file} holds {self.old!r} {text.count(self.old)} times; expected once")
        return text.replace(self.old, self.new)


def load() -> list[Mutation]:
    """All entries. One without `tests` is for the tests of its folder: those of dpnet/nn are in tests/nn."""
    entries = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["mutation"]
    folders = ["tests" / Path(entry["file"]).parent.relative_to("dpnet") for entry in entries]
    return [
        Mutation(entry["file"], entry["old"], entry["new"], tuple(entry.get("tests", [str(folder)])))
        for entry, folder in zip(entries, folders, strict=True)
    ]


def copy_to(folder: Path) -> None:
    """Copy the files that git knows, as they are now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(os.path.isfile, (ROOT / name for name in names.split("\0") if name)):
        target = folder / Path(name).relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)


def run(tests: list[str], folder: Path, limit_s: float | None) -> tuple[int | None, str]:
    """Run tests in a copy, up to the first that fails; returns the exit code, None at the limit, and the output."""
    # Without bytecode: a file that is changed within a second, and keeps its size, would pass for unchanged.
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end(process)
        output.seek(0)
        return code, output.read()


def end(process: subprocess.Popen[bytes]) -> None:
    """End pytest, if it is still running, and what its tests have started: it ends that itself when interrupted."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def verdict(mutation: Mutation, folder: Path) -> tuple[str, str]:
    """Whether a mutation is noticed, and by which test. The copy is as before afterwards."""
    path = folder / mutation.file
    original = path.read_text()
    path.write_text(mutation.applied(original))
    try:
        code, output = run(list(mutation.tests), folder, LIMIT_S)
    finally:
        path.write_text(original)
    if code == 0:
        return "NOT NOTICED", "nobody"
    if code is None:
        return "timed out", "the time limit"
    found = FAILED.search(output)
    return "noticed", found[1] if found else f"pytest, exit code {code}"


def main() -> int:
    """Make all mutations, or those of `--only`; returns how many are not noticed, 1 at most."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="TEXT", default="", help="only mutations in whose file or text this occurs")
    only = parser.parse_args().only
    chosen = [mutation for mutation in load() if only in str(mutation)]
    if not chosen:
        sys.exit(f"no mutation holds {only!r}")
    try:
        for mutation in chosen:
            mutation.applied((ROOT / mutation.file).read_text())
    except ValueError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory(prefix="dpnet-mutations-") as name:
        folder = Path(name)
        copy_to(folder)
        code, output = run(sorted({test for mutation in chosen for test in mutation.tests}), folder, None)
        if code != 0:
            sys.exit(f"{output}\nThe tests must pass before anything is broken.")
        counts: Counter[str] = Counter()
        for mutation in chosen:
            begin_s = time.monotonic()
            outcome, by = verdict(mutation, folder)
            counts[outcome] += 1
            print(f"{outcome}  {mutation}  [{by}, {time.monotonic() - begin_s:.0f} s]", flush=True)
    print(f"{len(chosen)} mutations:", ", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    return int(counts["NOT NOTICED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
