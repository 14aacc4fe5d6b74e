"""Scores of a regression in detail: for people, in 80 columns, and for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dpnet.data.classes import label_text
from dpnet.inference.residuals import SHARES, NumberDetails
from dpnet.text import shorten, table

MAX_NAME, MAX_ROW = 16, 20
"""Characters of the name of an output and of a row, about: longer ones are cut."""
MAX_OUTPUTS = 20
"""Outputs that are shown one by one."""


def numbers_text(details: NumberDetails) -> str:
    """The scores of every output, how the errors are spread, and the largest of them."""
    shown = details.outputs[:MAX_OUTPUTS]
    names = [shorten(label_text(one.name), MAX_NAME) for one in shown]
    scores = [
        (name, *map(_number, (one.r2, one.rmse, one.mae, one.bias, one.median_absolute_error, one.max_error)))
        for name, one in zip(names, shown, strict=True)
    ]
    spread = [(name, *map(_number, one.error_quantiles)) for name, one in zip(names, shown, strict=True)]
    more = f"\nand {len(details.outputs) - MAX_OUTPUTS:,} more outputs (--json has all)"
    more = more if len(details.outputs) > MAX_OUTPUTS else ""
    above = f"quantiles of the errors e, prediction - target{', by weight' if details.weighted else ''}"
    shares = ("min", *(f"{share:.0%}" for share in SHARES[1:-1]), "max")
    return "\n\n".join(
        [
            table(("output", "R2", "RMSE", "MAE", "bias", "median |e|", "max |e|"), scores) + more,
            f"{above}\n{table(('output', *shares), spread)}",
            _largest(details),
        ]
    )


def _largest(details: NumberDetails) -> str:
    several = len(details.outputs) > 1
    rows = [
        (
            shorten(label_text(one.name or one.row), MAX_ROW),
            *([shorten(label_text(one.output), MAX_NAME)] if several else []),
            *map(_number, (one.target, one.prediction, one.prediction - one.target)),
        )
        for one in details.largest
    ]
    header = ("row", *(["output"] if several else []), "target", "prediction", "error")
    named = "" if any(one.name for one in details.largest) else "; rows are counted from 0"
    return f"largest errors{named}\n{table(header, rows)}"


def _number(value: float) -> str:
    return f"{value:.5g}"


def numbers_json(details: NumberDetails) -> dict[str, Any]:
    """The same as values of JSON."""
    outputs = []
    for one in details.outputs:
        quantiles = {str(share): value for share, value in zip(SHARES, one.error_quantiles, strict=True)}
        outputs.append({**asdict(one), "error_quantiles": quantiles})
    return {"outputs": outputs, "largest_errors": [asdict(one) for one in details.largest]}
