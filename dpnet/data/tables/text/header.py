"""Whether a file of text has a line of names: told where that is not sure, and the same for all data of a network."""

from __future__ import annotations

from dpnet.config.data import DataConfig
from dpnet.data.tables.columns import Table
from dpnet.data.tables.schema import Schema
from dpnet.data.tables.text.file import look_at
from dpnet.data.tables.text.head import is_number
from dpnet.errors import DataError
from dpnet.text import counted, listed


def remarks_on_header(section: DataConfig, table: Table) -> list[str]:
    """A sentence where the first line of a file of text was taken for numbers, or for names that are numbers."""
    if table.text is None or section.header is not None:
        return []
    if not table.header:
        return [f"{table.file} begins with a line of numbers, so it has no header: its columns are called 0, 1, ..."]
    if not any(cell.strip() and is_number(cell) for cell in table.text.head.cells):
        return []
    return [f"{table.file}, {table.text.head.shown} is taken for names; if it is a sample: data.header = false"]


def check_header(path: str, schema: Schema) -> list[str]:
    """Refuse a table with a header if the training data had none, and the reverse; tell it where that is not sure.

    Args:
        path: of a file of text.
        schema: of the training data.

    Raises:
        DataError: it has a header, and they had none; or the reverse; or, without one, it has other columns.
    """
    head = look_at(path).head
    names = [feature.name for feature in schema.features]
    if schema.unnamed is None:
        if (head.names != "yes" or head.alone) and not set(names) & set(head.cells):
            raise DataError(
                f"{path} has no header, as it seems: {head.shown} holds no names, and the training data had the "
                f"columns {listed(names)}; put a line of names above it."
            )
        return []
    width, unlabelled = len(head.cells), schema.unnamed
    while str(unlabelled - 1) in schema.targets:
        unlabelled -= 1
    without = f", or {unlabelled} without labels" if unlabelled < schema.unnamed else ""
    if width not in (schema.unnamed, unlabelled):
        raise DataError(
            f"{path} has {counted(width, 'column')}, and the training data {schema.unnamed}, without names: columns "
            f"are found by their places. Expected {schema.unnamed}{without}."
        )
    if head.names != "yes":
        return []
    numbers = [int(feature.name) for feature in schema.features if feature.categories is None]
    if any(place < len(head.cells) and not is_number(head.cells[place]) for place in numbers):
        raise DataError(
            f"{path}, {head.shown} holds names, and the training data had none: their columns are called 0, 1, ... by "
            "their places; take the line out."
        )
    return [f"{path}, {head.shown} is taken for a sample, as the training data had no header"]
