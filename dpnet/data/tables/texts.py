"""What the texts of a column look like: numbers, as programs or people write them, or dates; and as categories.

plain         -1234.5   1e3   .5
like numbers  1,234.5   5 %   $2.50   USD 5   1.5M   5 kg   7h 30m   (5)   5/10   <5 among plain numbers
like dates    31.12.2020   12/31/20   Dec 31, 2020   2020-12   8:15 pm
neither       A4   C85   1st   4WD   18-24   1.2.3   <5 among other bounds and ranges
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dpnet.data.tables.column import Column
from dpnet.data.tables.columns import Table
from dpnet.data.tables.text.head import is_plain

MAX_LENGTH = 40
"""No longer text is a number or a date."""
BOOLEANS = ("True", "TRUE", "False", "FALSE")
WHOLE = re.compile(r"-?(?:0|[1-9]\d*)\.0", re.ASCII)
_MONEY = (
    r"(?:(?:US|CA?|AU?|HK|NZ|R)?[$€£¥₹₽₩₺₴฿₫₪]|Rs\.?|kr\.?|zł|"
    r"(?i:USD|EUR|GBP|JPY|CNY|CHF|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RUB|TRY|BRL|MXN|KRW|SGD|HKD))"
)
_DIGITS = r"(?:\d{1,3}(?:[.,'’_\s]\d{2,3})+(?:[.,]\d*)?|\d[\d_]*(?:[.,]\d*)?|[.,]\d+)(?:e[-+−]?\d+)?"
_WORD = r"[^\W\d_]+\.?"
_CODES = r"(?:[KMBVWL]|[KMGTP]i?B|LBS?|KG|CM|MM|KM|FT|IN|CC|B?HP|K?HZ|K?CAL|HRS?|MINS?)"
_UNIT = (
    rf"(?:\s*(?:%|‰|°\s?[CF]?|{_MONEY}|['\"′″]{{1,2}})"  # 5 %, 5°C, 5 €, 5'
    r"|(?!(?:st|nd|rd|th|er|re|eme|ème|am|pm|a\.m|p\.m)\b)(?!(?<=\d{3}0)s\b)"  # Neither 1st nor 8am nor the 1980s.
    rf"(?:[kmgshldtxpyw]|{_CODES}|(?=\w*[^\W\d_A-Z])[^\W\d_]{{2,}})(?:(?<=[mntM])[23²³])?(?![\w])"  # 5k, 1.5M, 5kg, 5m2
    rf"|\s+(?!(?:am|pm|a\.m|p\.m)\b){_WORD}(?:[23²³](?!\w))?)"  # 5 kg, 10 years
    rf"(?:\s?/\s?{_WORD}[23²³]?)?"  # 5 km/h
)
_NUMBER = re.compile(
    rf"\s*(?P<bound>[<>≤≥]\s*=?)?\s*[=~≈±]?\s*(?P<bracket>\()?\s*[-+−–]?\s*{_MONEY}?\s*[-+−–]?\s*{_DIGITS}"
    rf"(?:\s*/\s*{_DIGITS})?(?P<more>\+)?(?:{_UNIT}(?:\s*{_DIGITS}{_UNIT}){{0,2}}(?:\s*\d+)?)?-?\s*(?(bracket)\)\s*)",
)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s*[ap]\.?m\.?)?(?:\s*(?:Z|UTC|GMT|[-+]\d{2}:?\d{2}))?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY_OR_MONTH = r"(?:0?[1-9]|[12]\d|3[01])"
_DAY = (
    rf"(?:(?:\d{{4}}(?P<a>[-/.]){_DAY_OR_MONTH}(?P=a){_DAY_OR_MONTH})"  # 2020/12/31
    rf"|(?:{_DAY_OR_MONTH}(?P<b>[-/.]){_DAY_OR_MONTH}(?P=b)(?:\d{{4}}|\d{{2}}))"  # 31.12.2020, 12/31/20
    r"|(?:(?:19|20)\d{2}[-/](?:0[1-9]|1[0-2]))|(?:(?:0?[1-9]|1[0-2])[-/.](?:19|20)\d{2})"  # 2020-12, 12/2020
    rf"|(?:(?:{_DAY_OR_MONTH}[.\s-]*)?{_MONTH}[,\s-]*(?:{_DAY_OR_MONTH},?[\s-]+)?(?:\d{{4}}|\d{{2}})))"  # Dec 31, 2020
)
_DATE = re.compile(
    rf"\s*(?:(?:[a-z]{{2,9}},?\s+)?{_DAY}(?:[T,\s]+{_CLOCK})?|{_CLOCK}|\d{{1,2}}\s?[ap]m)\s*", re.IGNORECASE
)


def as_category(text: str) -> str:
    """The category that a text means: the same for booleans and whole numbers, whatever file they come from.

    Programs write true, True or TRUE; and whole numbers are 1.0, 2.0 where one of the column is missing. Codes are left
    alone: 01, 1.10.
    """
    if text in BOOLEANS:
        return text.lower()
    return text[:-2] if WHOLE.fullmatch(text) else text


def number_like(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(texts,) Which are numbers, with or without a unit.

    Bounds such as <5 and 65+ are numbers beside other numbers; beside ranges and words they are the names of ranges.
    """
    found = [_NUMBER.fullmatch(text) if len(text) <= MAX_LENGTH else None for text in texts]
    numbers = np.array(
        [match is not None or is_plain(text) for match, text in zip(found, texts, strict=True)], np.bool_
    )
    bounds = np.array([match is not None and bool(match["bound"] or match["more"]) for match in found], np.bool_)
    return numbers if (numbers & ~bounds).any() else numbers & ~bounds


def date_like(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(texts,) Which are dates or times of day."""
    return np.array([len(text) <= MAX_LENGTH and _DATE.fullmatch(text) is not None for text in texts], np.bool_)


def stands_for(column: Column) -> tuple[str, npt.NDArray[np.bool_]]:
    """What most texts of a column, or those of most rows, stand for: "dates or times", "numbers", or themselves.

    Args:
        column: of text.

    Returns:
        that, or "", and (texts,) which of them do.
    """
    texts = [str(text) for text in column.texts]
    for kind, alike in (("dates or times", date_like(texts)), ("numbers", number_like(texts))):
        if _most(alike, column):
            return kind, alike
    return "", np.zeros(len(texts), np.bool_)


def _most(alike: npt.NDArray[np.bool_], column: Column) -> bool:
    rows = column.values[column.values >= 0]
    return 2 * int(alike.sum()) > len(alike) or 2 * int(alike[rows].sum()) > len(rows)


def first_other(name: str, table: Table, is_right: Callable[[str], bool]) -> tuple[str, str] | None:
    """Where the first text of a column stands that is not right, and the text; None: there is none in the whole file.

    What a column is follows from all rows of a file, so the text may stand in a row that is held out.

    Args:
        name: of the column, of text.
        table: some rows of the file, which are looked at first.
        is_right: says it of a text.
    """
    whole = dataclasses.replace(table, columns=table.columns.whole, numbers=None)
    for rows in (table, whole):
        column = rows.columns[name]
        row = first_row(np.array([not is_right(str(text)) for text in column.texts], np.bool_), column)
        if row is not None:
            return rows.place(row, name), str(column.texts[column.values[row]])
    return None


def first_row(which: npt.NDArray[np.bool_], column: Column) -> int | None:
    """The first row whose text is one of those; None: there is none.

    Args:
        which: (texts,) of `column.texts`.
        column: of text.
    """
    rows = np.flatnonzero(np.append(which, False)[column.values])
    return int(rows[0]) if len(rows) else None
