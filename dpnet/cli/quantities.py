"""Numbers, rates and times with their units, as a command line has them."""

from __future__ import annotations

import argparse
import math
import re

NUMBER = r"\d+(?:\.\d*)?|\.\d+"
PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
RATE = re.compile(rf"(?P<number>{NUMBER})\s*(?P<prefix>[kmgt]?)(?P<unit>bits?|bytes?|b)(?P<per>/s|ps)?", re.IGNORECASE)
TIME = re.compile(rf"(?P<number>{NUMBER})\s*(?P<unit>ns|us|µs|ms|s)", re.IGNORECASE)
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}


def seconds(text: str) -> float:
    """A number of seconds; raises argparse.ArgumentTypeError if it is none, or not above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return number


def positive(text: str) -> int:
    """A positive integer; raises argparse.ArgumentTypeError if it is none."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive integer")
    return int(text)


def rate(text: str) -> float:
    """Bytes a second of "25Gbit", "1 gbit/s", "100Mbps", "2.5GB" or "300MB/s".

    Bits are written out, or end with bps; bytes are written out, or have a large B: Gb may mean either.

    Raises:
        argparse.ArgumentTypeError: it is no such rate, or not above 0.
    """
    found = RATE.fullmatch(text := text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate; write it like 25Gbit (bits a second) or 3GB (bytes)")
    unit, per_second = found["unit"], found["per"] or ""
    if unit == "b" and per_second.lower() != "ps":
        clear = text[: found.start("unit")].strip()
        raise argparse.ArgumentTypeError(
            f"{text!r} may be bits or bytes; write {clear}bit for bits, {clear}B for bytes"
        )
    is_bytes = unit == "B" or unit.lower().startswith("byte")
    value = float(found["number"]) * PREFIXES[found["prefix"].lower()] / (1 if is_bytes else 8)
    return _above_0(value, text, "a rate, such as 25Gbit or 3GB")


def duration(text: str) -> float:
    """Seconds of "2us", "0.5ms" or "50 µs".

    Raises:
        argparse.ArgumentTypeError: it is no such time, or not above 0.
    """
    found = TIME.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it like 2us or 0.5ms")
    return _above_0(float(found["number"]) * SECONDS[found["unit"].lower()], text, "a time, such as 2us or 0.5ms")


def _above_0(value: float, text: str, what: str) -> float:
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0: {what}")
    return value


def rate_text(bytes_s: float) -> str:
    """A rate in bits: "25 Gbit/s"."""
    bits = 8 * bytes_s
    unit, factor = next(((u, f) for u, f in (("Gbit/s", 1e9), ("Mbit/s", 1e6)) if bits >= f), ("kbit/s", 1e3))
    return f"{bits / factor:.3g} {unit}"


def duration_text(seconds: float) -> str:
    """A short time: "2 us", "0.5 ms"."""
    return f"{1e6 * seconds:.3g} us" if seconds < 1e-4 else f"{1e3 * seconds:.3g} ms"
