"""The footer fits into every terminal, and loses its least important facts first."""

import pytest

from dpnet.output.footer import LEAST_BAR, MOST_BAR, Footer, duration, footer_line

FOOTER = Footer("epoch 3/12", 0.25, ["1:05 left", "loss 0.1234", "184,213 samples/s"])


@pytest.mark.parametrize(
    ("columns", "facts"),
    [(160, FOOTER.facts), (80, FOOTER.facts), (60, FOOTER.facts[:2]), (40, FOOTER.facts[:1]), (30, [])],
)
def test_a_narrow_terminal_shows_the_most_important_facts(columns, facts):
    line = footer_line(FOOTER, columns)
    assert len(line) <= columns
    assert line.startswith("epoch 3/12 |")
    assert line.endswith("  ".join(["|  25%", *facts]))
    assert LEAST_BAR <= line.rindex("|") - line.index("|") - 1 <= MOST_BAR


@pytest.mark.parametrize("columns", range(1, 200))
def test_it_fits_into_every_width_and_cuts_no_fact(columns):
    line = footer_line(FOOTER, columns)
    assert len(line) <= columns
    facts = line.split("%  ")[1].split("  ") if "%  " in line else []
    assert facts == FOOTER.facts[: len(facts)]


def test_the_bar_is_as_full_as_the_share():
    for share, bar in (
        (0.0, "        "),
        (0.5, "████    "),
        (1.0, "████████"),
        (1.5, "████████"),
        (5 / 64, "▋       "),
    ):
        assert footer_line(Footer("", share), 16).split("|")[1] == bar
    assert footer_line(Footer("", 0.5), 16, unicode=False).split("|")[1] == "####    "


def test_without_a_share_there_is_only_the_title():
    assert footer_line(Footer("compiling loops"), 80) == "compiling loops"
    assert footer_line(Footer("compiling loops"), 9) == "compiling"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (125, "2:05"), (10925, "3:02:05"), (86399, "23:59:59"),
     (97200, "1 d 3 h")],
)  # fmt: skip
def test_a_duration_has_two_units(seconds, text):
    assert duration(seconds) == text
