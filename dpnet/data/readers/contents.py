"""What a file really is, by its first bytes: the name of a download is easily wrong.

A server that has moved a file sends a web page in its place, a clone without Git LFS holds pointers, a browser unpacks
what it loads. Each of these looks like damage to a parser, and is told as what it is.
"""

from __future__ import annotations

from dpnet.errors import DataError

GZIP = b"\x1f\x8b"
"""The first bytes of a file that gzip compressed."""
HEAD_BYTES = 256
"""Enough of a file to recognise it."""

_AGAIN = "the server did not send the file: check the address and download it again"
_UNPACK = "unpack it first"
_KINDS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b"<!doctype html", b"<html", b"<head", b"<body"), "a web page (HTML)", _AGAIN),
    ((b"<?xml", b"<error"), "an XML document", _AGAIN),
    ((b"version https://git-lfs",), "a pointer of Git LFS, in place of the file", "fetch the file: git lfs pull"),
    ((GZIP,), "compressed by gzip", _UNPACK),
    ((b"\xfd7zXZ\0",), "compressed by xz", _UNPACK),
    ((b"BZh",), "compressed by bzip2", _UNPACK),
    ((b"\x28\xb5\x2f\xfd",), "compressed by zstd", _UNPACK),
    ((b"7z\xbc\xaf\x27\x1c",), "a 7z archive", _UNPACK),
    ((b"PK\x03\x04", b"PK\x05\x06"), "a zip archive, as .npz files are", "unpack it, or name it .npz if it is one"),
    ((b"\x93NUMPY",), "an array of numpy", "name it .npy"),
    ((b"\x89HDF\r\n",), "an HDF5 file", "name it .h5"),
    ((b"PAR1",), "a Parquet file", "name it .parquet"),
    ((b"ARROW1", b"FEA1"), "a Feather file", "name it .feather"),
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "a picture", "save the pixels of all samples by numpy: np.savez"),
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a pickled object of Python", "save its arrays: np.savez"),
)
"""First bytes, in small letters where they are letters of HTML; what they show; and what to do."""


def refuse_foreign(file: str, head: bytes, expected: str) -> None:
    """Raises DataError if the first bytes of a file show that it is of a kind known here.

    Args:
        file: the file, for the message.
        head: its first bytes, which are not those of `expected`.
        expected: what it should have been.
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for starts, kind, advice in _KINDS:
        if head.startswith(starts) or (starts[0].startswith(b"<") and text.startswith(starts)):
            raise DataError(f"{file} is {kind}, not {expected}; {advice}.")
