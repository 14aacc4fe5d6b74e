"""What separates the cells of a file of text: the sign that divides most of its first lines alike."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence

DELIMITERS = "\t|;,"
"""What may separate cells; the rarest within text first."""
SAID = re.compile(r'"?sep=([^"\w])"?', re.IGNORECASE)
"""A first line that is neither names nor a sample."""
FEW = 20
"""So many records are looked at for pieces of texts."""
NUMBERS = re.compile(r"-?\d+;-?\d+", re.ASCII)
"""The middle of 1,5;2,5, cut at its commas."""


def best(lines: Sequence[str], path: str) -> Records:
    """The first lines of a file, taken apart at what separates its cells most likely.

    The first line may say what that is, as Excel has it: sep=; A .tsv file is taken apart at its tabs.
    """
    if said := SAID.fullmatch(lines[0].strip("\r\n") if lines else ""):
        return Records(lines, said[1])
    made = [Records(lines, sign) for sign in DELIMITERS]
    if path.lower().endswith((".tsv", ".tsv.gz")) and made[0].width > 1:
        return made[0]
    return max(made, key=Records.likely)


class Records:
    """The first lines, taken apart at a delimiter: numbers of the lines before each record, and its cells."""

    def __init__(self, lines: Sequence[str], delimiter: str) -> None:
        self.delimiter, self.records = delimiter, list[tuple[int, list[str]]]()
        reader, before = csv.reader(lines, delimiter=delimiter), 0
        try:
            for cells in reader:
                self.records.append((before, cells))
                before = reader.line_num
        except csv.Error:  # A cell of 128 KiB: a quote that was never closed.
            pass
        filled = [len(cells) for _, cells in self.records if any(cell.strip() for cell in cells)]
        self.width, rows = Counter(filled).most_common(1)[0] if filled else (0, 0)
        self.share = rows / max(1, len(filled))

    def likely(self) -> tuple[bool, bool, float, bool, bool, int, bool]:
        """Greater for a delimiter that divides more lines alike; of lines that none divides, for the comma.

        Of several that divide all lines alike, a tab is no part of a text, and a comma before a space is.
        """
        records = self.taken()[1]
        first = bool(records) and len(records[0][1]) == self.width
        tab = self.delimiter == "\t" and self.width > 1
        clean = not any(self._is_text(cells) for _, cells in records[:FEW])
        return self.width > 1, first, self.share, tab, clean, self.width, self.width <= 1 and self.delimiter == ","

    @staticmethod
    def _is_text(cells: Sequence[str]) -> bool:
        """Whether cells look like pieces of texts: Berlin, DE, 10115;yes cut at commas, or 1,5;2,5."""
        return all(cell.startswith(" ") for cell in cells[1:]) or any(map(NUMBERS.fullmatch, cells))

    def taken(self) -> tuple[str, list[tuple[int, list[str]]]]:
        """The delimiter, and the records from the first that is not empty, `SAID` or a comment of another width."""
        for place, (_, cells) in enumerate(self.records):
            comment = cells and cells[0].startswith("#") and len(cells) != self.width
            said = place == 0 and SAID.fullmatch(self.delimiter.join(cells))
            if any(cell.strip() for cell in cells) and not comment and not said:
                return self.delimiter, self.records[place:]
        return self.delimiter, []
