"""Rates and times on the command line."""

import argparse

import pytest

from dpnet.cli.quantities import duration, duration_text, rate, rate_text


@pytest.mark.parametrize(
    ("text", "bytes_s"),
    [
        ("100Mbit", 12.5e6),
        ("1Gbit", 125e6),
        ("1 gbit/s", 125e6),
        ("25GBIT/S", 3125e6),
        (".5Tbits", 62.5e9),
        ("10Gbps", 1250e6),
        ("10gbps", 1250e6),
        ("2.5GB", 2.5e9),
        ("300MB/s", 300e6),
        ("300MBps", 300e6),
        ("300 mbytes/s", 300e6),
        ("8000bit", 1000),
    ],
)
def test_a_rate_is_read(text, bytes_s):
    assert rate(text) == pytest.approx(bytes_s)


@pytest.mark.parametrize("text", ["25Gb", "25gb", "25Gb/s"])
def test_what_may_be_bits_or_bytes_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"may be bits or bytes; write 25[gG]bit for bits, 25[gG]B"):
        rate(text)


@pytest.mark.parametrize("text", ["", "25", "Gbit", "-1Gbit", "25Gbit/s/s", "25Gbit/m", "1e3Mbit", "nanGbit", "5GiB"])
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(argparse.ArgumentTypeError, match="write it like 25Gbit"):
        rate(text)


def test_a_rate_or_a_time_of_0_or_beyond_all_numbers_is_refused():
    for read, text in ((rate, "0Gbit"), (rate, f"{'9' * 400}Gbit"), (duration, "0us"), (duration, f"{'9' * 400}s")):
        with pytest.raises(argparse.ArgumentTypeError, match="must be above 0"):
            read(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("2us", 2e-6), ("50 µs", 50e-6), ("0.5ms", 5e-4), ("800NS", 8e-7), ("1s", 1)]
)
def test_a_time_is_read(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["2", "us", "-2us", "2 minutes", "nan"])
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(argparse.ArgumentTypeError, match="write it like 2us"):
        duration(text)


def test_what_is_told_can_be_given():
    for text in ("100 Mbit/s", "1 Gbit/s", "25 Gbit/s", "56 kbit/s"):
        assert rate_text(rate(text)) == text
    for text in ("2 us", "50 us", "0.5 ms", "20 ms"):
        assert duration_text(duration(text)) == text
