"""Pages that mpirun prints when it fails: Open MPI's stand between lines of dashes, MPICH's list its functions.

They tell what mpirun saw, in the words of its runtime. A sentence in front tells what happened and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_BYTES = 8192
"""Of a page; what is longer is none."""
_BEGIN = re.compile(rb"^(?:(-{74}|-{60})|\[(?:mpiexec|proxy:[\d:]+)@[^]\n]+\] .*)\n", re.MULTILINE)
_WORDS = re.compile(r"\b(?:prte|prterun|prted|PRTE|PRRTE|PMIx|PMIX|mpirun|mpiexec|OMPI|Open MPI|MPI_[A-Z]\w+)\b")
"""One of them is in every page of Open MPI and its runtime: a program prints what else stands between dashes."""
_NO_PROGRAM = (
    "{} cannot be run: a program, Python too, lies at the same path on every host; a word in front of -- that is no "
    "option of mpirun counts as a program"
)
_NO_OPTION = "{} is no option of mpirun, nor of dpnet launch; options of the command stand behind --"
_NO_HOST = (
    "{} does not start its part of mpirun: `ssh HOST true` has to work without a password, and the same MPI has to lie "
    "there at the same path"
)
_KINDS = [
    (
        r"satisfy the (\d+) slots",
        "there are fewer slots than {} ranks: give each host some, by --host node1:4,node2:4 or slots=4 in a hostfile, "
        "or pass --oversubscribe",
    ),
    (r"unable to find the specified executable.*?Executable: (\S+)", _NO_PROGRAM),
    (r"could not access an executable:.*?Executable: (\S+)", _NO_PROGRAM),
    (r"execvp error on file (\S+)", _NO_PROGRAM),
    (r"unrecognized option.*?Option: (\S+)", _NO_OPTION),
    (r"unrecognized argument (\S+)", _NO_OPTION),
    (r"daemon failed to report back.*?Remote host: (\S+)", _NO_HOST.format("host {}")),
    (r"Launch proxy failed", _NO_HOST.format("a host")),
    (r"(?:unable to open host file: |unable to open the hostfile: )(\S+)", "the hostfile {} cannot be read"),
    (r"unable to change wdir to (\S+)", "the ranks cannot run in {} (--wdir): it has to be there on every host"),
    (
        r"mkdir was unable to create.*?Directory: (\S+)",
        "mpirun cannot make its folder {}: see whether there is room, or set TMPDIR to another place",
    ),
    (r"process rank (\d+) with PID .*?exited on signal", "rank {} was killed, and mpirun ended the job"),
    (r"exited with non-zero status.*?Process name: \[[^]]*,(\d+)\]", "rank {} failed, and mpirun ended the job"),
    (r"MPI_ABORT was invoked on rank (\d+)", "rank {} ended the job"),
]
"""What is found in a page, and the sentence, with what was found in its group."""


class Pages:
    """Finds the pages in what mpirun prints on the standard error, where what the ranks print stands between them."""

    def __init__(self) -> None:
        self._held, self._at_line_start = b"", True

    @property
    def holds(self) -> bool:
        """Whether the beginning of what may be a page was kept back."""
        return bool(self._held)

    def feed(self, data: bytes) -> Iterator[str | bytes]:
        """What is to be printed, in order: data unchanged, and a sentence, as text, in front of each page.

        Args:
            data: what mpirun has printed since the last call; empty: no more will come, or has come for long.
        """
        rest, self._held = self._held + data, b""
        while found := _BEGIN.search(rest, 0 if self._at_line_start else 1):
            end = _end(found, rest)
            if end is None and data and len(rest) - found.start() < MOST_BYTES:
                yield from self._as_it_is(rest[: found.start()])
                self._held = rest[found.start() :]
                return
            yield from self._as_it_is(rest[: found.start()])
            page, rest = rest[found.start() : end], rest[end or len(rest) :]
            if text := sentence(page.decode(errors="replace")):
                yield text
            yield from self._as_it_is(page)
        yield from self._as_it_is(rest)

    def _as_it_is(self, data: bytes) -> Iterator[bytes]:
        if data:
            self._at_line_start = data.endswith(b"\n")
            yield data


def _end(begin: re.Match[bytes], text: bytes) -> int | None:
    """Where the page ends that begins here; None: that has not come yet."""
    if begin[1] is None:
        return None
    found = re.compile(rb"^" + begin[1] + rb"\n", re.MULTILINE).search(text, begin.end())
    return found.end() if found else None


def sentence(page: str) -> str:
    """What a page means, in dpnet's words; empty: it is none of Open MPI's, nor one of MPICH's that is known."""
    says = "MPICH says:" if page.startswith("[") else "Open MPI says:"
    if page.startswith("-") and not _WORDS.search(page):
        return ""
    words = " ".join(page.split())  # It may be wrapped anywhere.
    for pattern, text in _KINDS:
        if found := re.search(pattern, words):
            return f"{text.format(*found.groups())}. {says}"
    return "" if page.startswith("[") else says
