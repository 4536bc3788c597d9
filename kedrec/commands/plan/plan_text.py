"""Lines, tables and quantities of a plan, as text."""

from collections.abc import Sequence

GIB, MIB = 2**30, 2**20


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of an aligned Markdown table."""
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]

    def aligned(row: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = f"|{'|'.join('-' * (width + 2) if not at else '-' * (width + 1) + ':' for at, width in enumerate(widths))}|"
    return [aligned(header), rule, *map(aligned, rows)]


def line(name: str, text: str) -> str:
    """Return a line of a plan."""
    return f"{name:12}{text}"


def number(size: float) -> str:
    """Return a number with two decimals, or, from 100 on, none."""
    return f"{size:,.2f}" if size < 100 else f"{size:,.0f}"


def binary(size: float) -> str:
    """Return bytes in the binary unit that suits them."""
    return f"{number(size / GIB)} GiB" if size >= GIB else f"{number(size / MIB)} MiB"


def duration(length: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, name in ((3600.0, "hours"), (1.0, "s"), (1e-3, "ms")):
        if length >= unit:
            return f"{three_digits(length / unit)} {name}"
    return f"{three_digits(length * 1e6)} us"


def decimal(size: float) -> str:
    """Return bytes in the decimal unit that suits them."""
    for unit, name in ((1e12, "TB"), (1e9, "GB")):
        if size >= unit:
            return f"{three_digits(size / unit)} {name}"
    return f"{three_digits(size / 1e6)} MB"


def three_digits(value: float) -> str:
    """Return a number with three digits at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
