"""Tables on a terminal or in a file, with no cell cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_WIDEST = 10_000  # characters


def print_table(header: Sequence[str], rows: Sequence[Sequence["str | Text"]], title: str | None = None) -> None:
    """Print a table: folded to the width of a terminal; elsewhere as wide as it is.

    Args:
        header: one cell a column.
        rows: as many cells each.
        title: above the table.
    """
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Column, Table

    console = Console()
    table = Table(*(Column(name, overflow="fold") for name in header), title=title)
    for row in rows:
        table.add_row(*row)
    if not console.is_terminal:
        options = console.options.update(max_width=_WIDEST)
        console.width = Measurement.get(console, options, table).maximum
    console.print(table)
