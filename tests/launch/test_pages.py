"""What mpirun prints when it fails has a sentence of dpnet's in front; what ranks print stays as it is."""

import pytest

from dpnet.launch.pages import MOST_BYTES, Pages, sentence

LINE = "-" * 74 + "\n"


def page(*lines, dashes=LINE):
    return dashes + "".join(f"{line}\n" for line in lines) + dashes


SLOTS = page(
    "There are not enough slots available in the system to satisfy the 5",
    "slots that were requested by the application:",
    "",
    "  sleep",
    "",
    'A "slot" is the PRRTE term for an allocatable unit where we can',
)
DAEMON = page(
    "A daemon failed to report back after being spawned. This could",
    "be due to several factors, including inability to find the",
    "back to prterun:",
    "",
    "  Local host:    vm",
    "  Remote host:   node7",
    "  Daemon exit status: 255",
    dashes="-" * 60 + "\n",
)
NOT_FOUND = page(
    "prterun was unable to find the specified executable file, and therefore did",
    "not launch the job.  This error was first reported for process rank",
    "",
    "   Node:       vm",
    "   Executable: train",
)
NO_ACCESS = page(
    "prterun was unable to launch the specified application as it could not",
    "access an executable:",
    "",
    "   Executable: /etc/passwd",
    "   Node: vm",
    "",
    "while attempting to start process rank 0.",
)
OPTION = page("An unrecognized option was included on the mpirun command line:", "", "  Option: --badflag")
FOLDER = page(
    "PMIx detected a call to mkdir was unable to create the desired directory:",
    "",
    "  Directory: /proc/ompi.31425",
    "  Error:     No such file or directory",
)
FAILED = page(
    "prterun detected that one or more processes exited with non-zero status,",
    "thus causing the job to be terminated. The first process to do so was:",
    "",
    "   Process name: [prterun-vm-31410@1,3]",
    "   Exit code:    3",
)
KILLED = page("prterun noticed that process rank 2 with PID 31349 on node vm exited on", "signal 9 (Killed).")
HYDRA = "[mpiexec@vm] match_arg (/args.c:166): unrecognized argument badflag\n[mpiexec@vm] main (/a.c:49): x\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SLOTS, "there are fewer slots than 5 ranks: "),
        (DAEMON, "host node7 does not start its part of mpirun: "),
        (NOT_FOUND, "train cannot be run: "),
        (NO_ACCESS, "/etc/passwd cannot be run: "),
        (OPTION, "--badflag is no option of mpirun, nor of dpnet launch; "),
        (FOLDER, "mpirun cannot make its folder /proc/ompi.31425: "),
        (page("PRTE was unable to open the hostfile:", "", "   hosts"), "the hostfile hosts cannot be read. "),
        (FAILED, "rank 3 failed, and mpirun ended the job. "),
        (KILLED, "rank 2 was killed, and mpirun ended the job. "),
        (page("MPI_ABORT was invoked on rank 1 in communicator X"), "rank 1 ended the job. "),
        (page("The mapby directive of PRRTE is new"), "Open MPI says:"),
    ],
)
def test_a_page_of_open_mpi_has_a_sentence_in_front(text, told):
    assert sentence(text).startswith(told)
    assert sentence(text).endswith("Open MPI says:")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HYDRA, "badflag is no option of mpirun"),
        (
            "[proxy:0@vm] HYDU_create_process (/a.c:73): execvp error on file nosuch (No such file)\n",
            "nosuch cannot be",
        ),
        (
            "[proxy:0:1@vm] launch_procs (/a.c:8): unable to change wdir to /nowhere (No such)\n",
            "the ranks cannot run in",
        ),
        ("[mpiexec@vm] HYDU_parse_hostfile (/a.c:3): unable to open host file: hosts\n", "the hostfile hosts cannot"),
        ("[mpiexec@vm] ui_cmd_cb (/a.c:51): Launch proxy failed.\n", "a host does not start its part of mpirun"),
        ("[mpiexec@vm] control_cb (/a.c:280): assert (!closed) failed\n", ""),
    ],
)
def test_what_mpich_lists_has_a_sentence_in_front_where_it_is_known(text, told):
    assert sentence(text).startswith(told)
    assert sentence(text).endswith("MPICH says:" if told else "")


def fed(*pieces):
    """What comes out, text for bytes and sentences in brackets; "|" where nothing more came for a while."""
    pages = Pages()
    parts = [part for piece in pieces for part in pages.feed(b"" if piece == "|" else piece.encode())]
    return "".join(f"<{part}>" if isinstance(part, str) else part.decode() for part in parts), pages.holds


def test_the_sentence_stands_right_before_the_page_and_all_else_stays():
    text = f"rank 0 warns\n{OPTION}a last word"
    told = f"<{sentence(OPTION)}>"
    expected = f"rank 0 warns\n{told}{OPTION}a last word"
    assert fed(text) == (expected, False)
    cut = text.index("unrecognized")
    assert fed(text[:cut], text[cut:]) == (expected, False)
    assert fed(text[: text.index(LINE) + len(LINE)], text[text.index(LINE) + len(LINE) :]) == (expected, False)
    assert fed(OPTION, OPTION)[0] == 2 * f"{told}{OPTION}"


def test_a_page_that_does_not_end_waits_for_a_moment_and_is_told_then():
    begun = OPTION[: -len(LINE)]
    assert fed("before\n" + begun) == ("before\n", True)
    assert fed(begun, "|") == (f"<{sentence(OPTION)}>{begun}", False)
    assert fed(HYDRA, "|") == (f"<{sentence(HYDRA)}>{HYDRA}", False)
    long = LINE + "a table\n" * (MOST_BYTES // 8)
    assert fed(long) == (long, False)


@pytest.mark.parametrize(
    "text",
    [
        page("epoch  loss", "    1   0.5"),
        f"{LINE}results\n{LINE}  1.0\n{LINE}",
        f"rank 0: {OPTION.partition('command')[0]}\n",
        f"{'-' * 70}\nmpirun is slow\n{'-' * 70}\n",
        f"{'=' * 74}\n",
    ],
)
def test_lines_of_dashes_of_a_program_stay_as_they_are(text):
    assert fed(text, "|") == (text, False)
    cut = len(text) // 2
    assert fed(text[:cut], text[cut:], "|") == (text, False)


def test_a_line_of_dashes_that_goes_on_a_line_of_before_begins_no_page():
    assert fed("loss ", OPTION, "|")[0] == f"loss {OPTION}"
