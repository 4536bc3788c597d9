"""Shared elements of the report's figures: line plots with their data, legends, and descriptions as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kedrec.commands.html.svg_figures import MARKERS, SERIES, STROKES, as_svg, drawing
from kedrec.commands.report.report_tables import Table, TableOf
from kedrec.commands.report.run_groups import SETTINGS, Group, distinctions

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure as Canvas

Line = TypeVar("Line")

MOST = len(SERIES)  # most lines of a figure


@dataclass(frozen=True)
class Plot:
    """A figure of the report.

    Attributes:
        svg: the drawing.
        caption: the caption.
        data: table with the data; its name is the figure's.
    """

    svg: "Markup"
    caption: str
    data: Table


@dataclass(frozen=True)
class Series:
    """One line of a figure.

    Attributes:
        name: label in the legend.
        x: ascending values.
        y: one value for each ``x``.
        low: lower bounds; empty if there are none.
        high: upper bounds, likewise.
        faint: whether the line is for comparison only: thin, without filled markers.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    faint: bool = False


def names_of(groups: Sequence[Group]) -> dict[Group, str]:
    """Return the label of each group in figures."""
    apart = distinctions(groups)
    return {
        group: SETTINGS.get(group.model, group.model) + (f", {apart[group]}" if apart[group] else "")
        for group in groups
    }


def line_plot(
    name: str, caption: str, lines: Sequence[Series], x: str, y: str, limits: tuple[float, float] | None = None
) -> Plot:
    """Return a figure of lines.

    Args:
        name: name of the figure and its data.
        caption: the caption.
        lines: at most `MOST`.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        limits: limits of the vertical axis; by default those of the lines.
    """
    table = TableOf(name, caption, ("line", x, y, "low", "high"))
    with drawing(height=2.8 + 0.2 * len(lines)) as (canvas, axes):
        line_labels = labels([line.name for line in lines])
        for row, line in enumerate(lines):
            many = len(line.x) > 25
            style: dict[str, Any] = {"color": SERIES[row], "ls": STROKES[row], "label": line_labels[row]}
            marker: dict[str, Any] = {"marker": MARKERS[row], "markevery": max(1, len(line.x) // 12) if many else 1}
            axes.plot(
                line.x, line.y, lw=1.1 if line.faint else 1.8, mfc="none" if line.faint else None, **style, **marker
            )
            if line.low:
                axes.fill_between(line.x, line.low, line.high, color=SERIES[row], alpha=0.15, lw=0)
            bounds = zip(line.low, line.high, strict=True) if line.low else [("", "")] * len(line.x)
            for a, b, (low, high) in zip(line.x, line.y, bounds, strict=True):
                table.add(
                    line.name, f"{a:.6g}", f"{b:.6g}", *(f"{one:.6g}" if one != "" else "" for one in (low, high))
                )
        if limits:
            axes.set_ylim(*limits)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        legend(canvas, len(lines))
        ends = "; ".join(f"{line.name} from {line.y[0]:.3g} to {line.y[-1]:.3g}" for line in lines)
        svg = as_svg(canvas, name, caption, f"{y} against {x}. {ends}.")
    return Plot(svg, caption, table.done())


def legend(canvas: "Canvas", entries: int) -> None:
    """Put the legend below the axes."""
    if entries > 1:
        canvas.legend(loc="outside lower left", ncols=1 if entries <= 4 else 2)


def spoken(table: Table) -> str:
    """Return a table's numbers as sentences, for screen readers."""
    rows = []
    for row in table.rows:
        cells = zip(table.columns[1:], row[1:], strict=True)
        rows.append(f"{row[0]}: {', '.join(f'{column} {cell}' for column, cell in cells if cell)}")
    return ". ".join(rows) + "."


def parts(lines: Sequence[Line], most: int = MOST) -> Iterator[tuple[str, Sequence[Line]]]:
    """Split lines into figures of at most ``most``; yield the ending of each figure's name, and its lines."""
    for start in range(0, len(lines), most):
        yield (f"_{start // most + 1}" if len(lines) > most else ""), lines[start : start + most]


def short(text: str, width: int = 44) -> str:
    """Shorten a text for a legend: the beginning and the end of a longer text remain."""
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    half = (width - 3) // 2
    return f"{text[:half].rstrip()}...{text[-half:].lstrip()}"


def labels(names: Sequence[str]) -> list[str]:
    """Return names shortened for a legend; names that become equal get a number."""
    cut = [short(name) for name in names]
    return [f"{one} ({at})" if cut.count(one) > 1 else one for at, one in enumerate(cut, start=1)]
