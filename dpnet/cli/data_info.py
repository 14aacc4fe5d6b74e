"""What `dpnet data info` prints: lines and tables that fit a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dpnet.config.keys import setting
from dpnet.conversion.facts import ColumnInfo, Info
from dpnet.data.classes import label_text
from dpnet.data.parts.of_table import DOES
from dpnet.text import counted, listed, words

SHOWN = 40
"""Most columns, or classes, that are listed."""
MANY_INPUTS = 12
"""More inputs of arrays than this are told together."""
NAME, VALUES = 20, 28
"""Most characters of a name, and of what a column holds."""


def info_text(info: Info) -> str:
    """What data are, in tables of at most 80 characters, and sentences."""
    return "\n".join(_lines(info))


def _lines(info: Info) -> Iterator[str]:
    yield f"{info.source}: {_kind(info)}"
    if info.is_table or len(info.columns) <= MANY_INPUTS:
        yield from ("", *_columns(info.columns, "column" if info.is_table else "input"))
    else:
        yield _together(info.columns)
    if info.refused:
        yield from ("", f"dpnet would refuse to train on it: {info.refused}")
        return
    yield from ("", *_labels(info), "", *_odd(info), *_would(info))


def _kind(info: Info) -> str:
    if not info.is_table:
        parts = [f"{split.samples:,} {name}" for name, split in info.splits.items()]
        return f"{words(parts, 'and')} samples of {counted(info.inputs, 'input')}, {info.dtype}"
    columns, rows = counted(len(info.columns), "column"), sum(split.samples for split in info.splits.values())
    return f"{counted(rows, 'row')}, {columns}" if rows else columns


def _columns(columns: Sequence[ColumnInfo], what: str) -> Iterator[str]:
    header = (what, "holds", "values", "missing", "becomes" if any(one.becomes for one in columns) else "")
    rows = [
        (
            _cut(label_text(one.name), NAME),
            _cut(one.kind.partition(" (")[0], 9),
            _values(one),
            f"{one.missing:,}",
            one.becomes,
        )
        for one in columns[:SHOWN]
    ]
    yield from _aligned(header, rows, right=(3,))
    if len(columns) > SHOWN:
        yield f"and {len(columns) - SHOWN:,} more (--json has them)"


def _values(column: ColumnInfo) -> str:
    if column.minimum is not None and column.maximum is not None:
        same = column.minimum == column.maximum
        return f"all {column.minimum:.6g}" if same else f"{column.minimum:.6g} to {column.maximum:.6g}"
    if column.different is None or not column.examples:
        return "-"
    more = ", ..." if column.different > len(column.examples) else ""
    return _cut(f"{column.different:,}: {', '.join(map(label_text, column.examples))}{more}", VALUES)


def _together(columns: Sequence[ColumnInfo]) -> str:
    low = [one.minimum for one in columns if one.minimum is not None]
    high = [one.maximum for one in columns if one.maximum is not None]
    bad = sum(one.missing for one in columns)
    seen = f"training inputs {min(low):g} to {max(high):g}" if low and high else "no finite training input"
    return f"{seen}; {bad:,} are NaN or infinite" if bad else seen


def _labels(info: Info) -> Iterator[str]:
    if info.task == "regression":
        rows = [
            (f"target {place}" if info.outputs > 1 else "target", name, *(f"{value:.5g}" for value in values))
            for name, split in info.splits.items()
            for place, values in enumerate(split.targets[:SHOWN])
        ]
        yield from _aligned(("", "samples", "minimum", "maximum", "mean", "deviation"), rows, right=(2, 3, 4, 5))
        return
    one, several = ("class", "classes") if info.task == "classification" else ("label", "labels")
    order = sorted(range(len(info.classes)), key=lambda place: -info.splits["train"].counts[place])
    shown = order if len(order) <= SHOWN else [*order[: SHOWN // 2], *order[-SHOWN // 2 :]]
    rows = [
        (
            _cut(label_text(info.classes[place]), NAME),
            *(f"{split.counts[place]:,}" if split.counts else "" for split in info.splits.values()),
        )
        for place in sorted(shown)
    ]
    yield from _aligned((one, *info.splits), rows, right=(1, 2, 3))
    if len(order) > SHOWN:
        yield f"the most and the least frequent of {len(order):,} {several} (--json has them all)"


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> Iterator[str]:
    """Columns as wide as their widest cell; those of numbers at the right."""
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _odd(info: Info) -> Iterator[str]:
    for name, split in info.splits.items():
        if split.again:
            seen = f"{split.again:,} of {split.samples:,} {name} samples have the inputs of training samples"
            yield f"note: {seen}: their scores say nothing of other samples"
        if split.unknown:
            yield f"note: {counted(split.unknown, f'{name} sample')} of classes without a training sample"
    if info.constant:
        verb = "has" if len(info.constant) == 1 else "have"
        what = f"{counted(len(info.constant), 'input')} {verb} one value in all training samples"
        yield f"note: {what}: {listed(map(label_text, info.constant))}"
    for note in info.notes:
        yield f"note: {note}"


def _would(info: Info) -> Iterator[str]:
    layers = "-".join(map(str, info.layers))
    parts = [f"{split.samples:,} to {DOES[name]}" for name, split in info.splits.items()]
    yield f'dpnet would train a network {layers}, model.task = "{info.task}":'
    yield f'{words(parts, "and")}; data.scale = "{info.scale}".'
    guessed = [setting(key, value) for key, value in info.settings.items()]
    if guessed:
        yield "Guessed, as `dpnet init` does:"
        yield from (f"  {text}" for text in guessed)
    if info.is_table and "data.target" in info.settings:
        yield "If the target is another column: --set data.target=COLUMN"


def _cut(text: str, limit: int) -> str:
    """The text in at most so many characters."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
