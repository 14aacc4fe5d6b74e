"""Guards for reading files that may be damaged or hostile.

Two rules hold for every format. A header is never trusted: memory grows with what was read, not with what the header
promises, and both must agree to the byte. Whatever a library raises over damaged bytes becomes a DataError.
"""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from dpnet.errors import ConfigError, DataError

READ_BYTES = 1 << 20
"""Bytes that are read at a time."""
DEFLATE_RATIO = 1032
"""Most bytes that one byte of a gzip or zip file can stand for: a symbol of 2 bits stands for up to 258 bytes."""


@contextmanager
def guarded(file: str) -> Iterator[None]:
    """Turns every error of the block, which reads `file`, into a DataError that names it; ConfigError stays."""
    try:
        yield
    except (DataError, ConfigError):
        raise
    except MemoryError as error:
        raise DataError(
            f"{file} does not fit in memory; save its arrays as .npy files, which dpnet maps instead of reading."
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is truncated or damaged ({error}); copy or download it again.") from error
    except OSError as error:
        if error.errno is None:  # Of a decompressor, and not of the system.
            raise DataError(f"{file} is truncated or damaged ({error}); copy or download it again.") from error
        raise DataError(f"{file} cannot be read: {error.strerror or error}; check the path and its rights.") from error
    except Exception as error:
        # Over damaged bytes the parsers of Python and numpy raise a dozen other types, and do not document which.
        raise DataError(f"{file} is damaged ({type(error).__name__}: {error}); make or copy it again.") from error


def read_exactly(stream: IO[bytes], num_bytes: int, *, file: str) -> bytearray:
    """The rest of `stream`, which must be `num_bytes` bytes long.

    Raises:
        DataError: the stream is shorter or longer.
    """
    data = bytearray()
    while len(data) < num_bytes:
        piece = stream.read(min(READ_BYTES, num_bytes - len(data)))
        if not piece:
            raise _size_error(file, len(data), num_bytes)
        data += piece
    # Only at the very end do gzip and zip compare their checksums.
    if stream.read(1):
        raise _size_error(file, f"more than {num_bytes}", num_bytes)
    return data


def check_size(file: str, found: int, promised: int) -> None:
    """Raises DataError if the data of `file` is not as long as its header says."""
    if found != promised:
        raise _size_error(file, found, promised)


def check_ratio(file: str, compressed: int, promised: int) -> None:
    """Raises DataError if `compressed` bytes cannot hold `promised` bytes; call before allocating memory for them."""
    most = DEFLATE_RATIO * compressed
    if promised > most:
        raise _size_error(file, f"at most {most}", promised)


def memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_memory(
    file: str, num_bytes: int, what: str, way: str = "save its arrays as .npy files, which dpnet maps instead"
) -> None:
    """Raises DataError if this machine has less memory than `num_bytes`; call before they are taken.

    Args:
        file: for the message.
        num_bytes: that would be taken.
        what: would take them, as "3 samples of 5 features".
        way: what to do.
    """
    if num_bytes > memory():
        raise DataError(
            f"{file}: {what} take {num_bytes / (1 << 30):,.1f} GiB as numbers, and this machine has "
            f"{memory() / (1 << 30):,.1f} GiB of memory; {way}."
        )


def _size_error(file: str, found: int | str, promised: int) -> DataError:
    return DataError(
        f"{file} holds {found} bytes of data, but its header promises {promised}; "
        "it is truncated or damaged: copy or download it again."
    )
