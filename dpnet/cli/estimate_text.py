"""What `dpnet estimate` prints: a table of at most 80 columns and sentences, or a record for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dpnet.cli.quantities import duration_text, rate_text
from dpnet.text import counted, fitted, table
from dpnet.training.estimate.estimate import Estimate, notes
from dpnet.training.estimate.model import Outlook

COLUMNS = 80
HEADER = ("nodes", "ms/step", "speed-up", "effic.", "samples/s", "sent MB", "memory MB", "exchange")


def estimate_text(found: Estimate) -> str:
    """Lines of at most COLUMNS characters."""
    return fitted("\n".join(_lines(found)), COLUMNS)


def title(found: Estimate) -> str:
    """What was estimated, in a line."""
    job, sizes = found.job, "-".join(map(str, found.layout.sizes))
    ranks = counted(found.start.ranks, "rank")
    batch = f"{found.base.case.train.global_batch_size:,} samples a step"
    grows = " and node" if any(row.case.train != found.base.case.train for row in found.rows) else ""
    over = "" if found.network is None else f", {rate_text(found.network.bytes_s)}"
    late = "" if found.network is None else f", {duration_text(found.network.latency_s)}"
    return f"{sizes} in {job.model.dtype}, {batch}{grows}, {ranks} a node{over}{late}"


def _lines(found: Estimate) -> Iterator[str]:
    yield title(found)
    yield ""
    yield table(HEADER, [_row(found, row) for row in found.rows])
    yield ""
    for nodes, why in found.left_out.items():
        yield f"left out: {counted(nodes, 'node')}: {why}"
    yield f"fastest: {_named(found, found.fastest)}"
    if (good := found.efficient) is None:
        yield "none of these numbers of nodes has half of the efficiency of one"
    else:
        yield f"most nodes with at least 50% efficiency: {_named(found, good)}"
    if found.changes:
        most = counted(found.rows[-1].case.nodes, "node")
        yield ""
        yield f"{most} with another setting in [train] (efficiency: against one node with the job as it is):"
        ordered = sorted(found.changes.items(), key=lambda item: -item[1].samples_s)
        yield table(
            ("setting", *HEADER[1:2], *HEADER[3:6]),
            [(name, *_row(found, row)[1:2], *_row(found, row)[3:6]) for name, row in ordered],
        )
    yield ""
    yield "memory: of a node, beside its data and 40 to 150 MB for each rank"
    yield from (f"note: {text}" for text in notes(found))


def _row(found: Estimate, row: Outlook) -> tuple[str, ...]:
    return (
        f"{row.case.nodes:,}",
        _short(1e3 * row.step_s),
        f"{found.speedup(row):,.2f}",
        f"{found.efficiency(row):.0%}",
        f"{row.samples_s:,.0f}",
        _short(row.exchange.cost.bytes / 1e6),
        _short(row.memory / 1e6),
        row.travels,
    )


def _short(number: float) -> str:
    """With three digits, or more in front of the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _named(found: Estimate, row: Outlook) -> str:
    nodes = counted(row.case.nodes, "node")
    if row.case.nodes == 1:
        return nodes
    return f"{nodes}, {found.speedup(row):.3g} times one, {found.efficiency(row):.0%} efficiency"


def estimate_record(found: Estimate) -> dict[str, Any]:
    """All of it, for JSON: seconds, bytes, bytes a second."""
    network = found.network
    good = found.efficient
    return {
        "sizes": list(found.layout.sizes),
        "ranks_per_node": found.start.ranks,
        "measured_on_nodes": found.start.nodes,
        "bandwidth_bytes_s": None if network is None else network.bytes_s,
        "latency_s": None if network is None else network.latency_s,
        "measured": [{**load._asdict(), **point._asdict()} for load, point in found.measured.points.items()],
        "nodes": [_record(found, row) for row in found.rows],
        "fastest": found.fastest.case.nodes,
        "most_at_half_efficiency": None if good is None else good.case.nodes,
        "changes": {name: _record(found, row) for name, row in found.changes.items()},
        "left_out": {str(nodes): why for nodes, why in found.left_out.items()},
        "notes": notes(found),
    }


def _record(found: Estimate, row: Outlook) -> dict[str, Any]:
    return {
        "nodes": row.case.nodes,
        "global_batch_size": row.case.train.global_batch_size,
        "step_s": row.step_s,
        "compute_s": row.compute_s,
        "exchange_s": row.exchange.cost.seconds,
        "speedup": found.speedup(row),
        "efficiency": found.efficiency(row),
        "samples_s": row.samples_s,
        "sent_bytes": row.exchange.cost.bytes,
        "memory_bytes": row.memory,
        "exchange": row.travels,
    }
