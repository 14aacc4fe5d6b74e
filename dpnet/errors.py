"""Every error that dpnet raises on purpose.

    DpnetError                 exit code 1
    ├── ConfigError            exit code 2: the job file, --set or the command line
    ├── DataError              a data file or its content
    ├── CheckpointError        a checkpoint that cannot be read, or does not fit the job
    ├── OutputError            a file of the run directory that cannot be written
    ├── DivergenceError        numbers of the training that are not finite
    ├── Preempted              exit code 75: a signal ended the training, a checkpoint was written
    │   └── Interrupted        exit code 130: Ctrl-C did
    └── CommunicationError     MPI is missing, was started wrongly, or failed
        └── SharedMemoryError  a node has no memory that its ranks can share; training goes on without

A message says what was seen, what was expected, what to do, and where.

    WorkerLost                 not a DpnetError: a rank is gone, and training continues
"""

from __future__ import annotations

INTERRUPTED_EXIT_CODE = 130
"""Of a command that Ctrl-C ended: a shell's convention, 128 + SIGINT."""


class DpnetError(Exception):
    """Base of all errors that dpnet raises on purpose.

    Ranks send errors to one another: a pickled error keeps its message and its attributes.

    Args:
        message: for the user.
        agreed: every rank of the job raises this same error, so rank 0 alone prints it and all ranks end by themselves.
            False: only this rank knows of the error, so this rank prints it and aborts the others.

    Attributes:
        exit_code: of the command line.
        agreed: see above.
    """

    exit_code = 1

    def __init__(self, message: str = "", *, agreed: bool = False) -> None:
        super().__init__(message)
        self.agreed = agreed


class ConfigError(DpnetError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""

    exit_code = 2


class DataError(DpnetError):
    """A data file is missing or damaged, or a training cannot use its content."""


class CheckpointError(DpnetError):
    """A checkpoint is missing, damaged, or was made by a job that does not fit this one."""


class OutputError(DpnetError):
    """A file of the run directory could not be written."""


class DivergenceError(DpnetError):
    """A loss, a gradient or a parameter is not finite."""


class Preempted(DpnetError):
    """A signal ended the training after a step; started again, the training continues there.

    Args:
        message: for the user.
        exit_code: of the command line.
        agreed: see DpnetError; all ranks stop after the same step.
    """

    def __init__(self, message: str = "", exit_code: int = 75, *, agreed: bool = True) -> None:
        super().__init__(message, agreed=agreed)
        self.exit_code = exit_code


class Interrupted(Preempted):
    """Ctrl-C ended the training after a step; see Preempted."""


class CommunicationError(DpnetError):
    """MPI is missing, was started wrongly, or failed."""


class SharedMemoryError(CommunicationError):
    """The ranks of a node cannot share enough memory; dpnet then keeps a copy of the parameters per rank."""


class WorkerLost(Exception):
    """A rank of the job is gone, as this rank learned in an operation of the group.

    Raised only where losses are survived, and caught only by `training.run`. Not a DpnetError, so that `agree` and
    whatever else handles those lets it pass.

    Args:
        operation: of the group.
        detect_s: see below.

    Attributes:
        detect_s: seconds that this rank waited in the operation before it raised the error.
    """

    def __init__(self, operation: str, detect_s: float) -> None:
        super().__init__(f"a rank was lost, noticed in {operation} after {detect_s:.3f} s")
        self.detect_s = detect_s
