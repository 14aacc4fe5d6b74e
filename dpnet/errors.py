"""Every error that dpnet raises on purpose.

    DpnetError                 exit code 1
    ├── ConfigError            exit code 2: the job file, --set or the command line
    ├── DataError              a data file or its content
    ├── CheckpointError        a checkpoint that cannot be read, or does not fit the job
    ├── OutputError            something could not be written
    ├── DivergenceError        the training has left the finite numbers
    ├── Preempted              exit code 75: a signal ended the training, a checkpoint was written
    └── CommunicationError     MPI is missing, was started wrongly, or failed
        └── SharedMemoryError  a node has no memory that its ranks can share; training goes on without

A message says what was seen, what was expected, what to do, and where.

    WorkerLost                 no error of that kind: a rank is gone, and the training goes on without it
"""

from __future__ import annotations


class DpnetError(Exception):
    """Base of all errors that dpnet raises on purpose.

    Attributes:
        exit_code: exit code of the command line for this error.
        agreed: every rank of the job raises this same error, so rank 0 alone tells it and all ranks end by
            themselves. False: only this rank knows of it, so this rank tells it and aborts the others.
    """

    exit_code = 1
    agreed = False


class ConfigError(DpnetError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""

    exit_code = 2


class DataError(DpnetError):
    """A data file is missing, damaged, or holds what cannot be trained on."""


class CheckpointError(DpnetError):
    """A checkpoint is missing, damaged, or was made by a job that does not fit this one."""


class OutputError(DpnetError):
    """A file of the run directory could not be written."""


class DivergenceError(DpnetError):
    """The loss is no longer a finite number."""


class Preempted(DpnetError):
    """A signal ended the training after a step. It goes on from there when it is started again."""

    agreed = True

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class CommunicationError(DpnetError):
    """MPI is missing, was started wrongly, or failed."""


class SharedMemoryError(CommunicationError):
    """The ranks of a node cannot share memory, or not enough. dpnet then keeps a copy per rank."""


class WorkerLost(Exception):
    """A rank of the job is gone, noticed by this rank in an operation of the group.

    Only a world that survives losses raises it, and only `training.run` catches it. It is not a DpnetError: nothing on
    the way there may take it for the outcome of some work.

    Attributes:
        detect_s: seconds that this rank waited until it was told.
    """

    def __init__(self, operation: str, detect_s: float) -> None:
        super().__init__(f"a rank was lost, noticed in {operation} after {detect_s:.3f} s")
        self.detect_s = detect_s
