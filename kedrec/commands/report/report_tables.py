"""A table of the report, and its formats: Markdown, LaTeX, CSV."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kedrec.commands.html.page_rendering import anchor
from kedrec.commands.report.review_sheet import harmless, plain
from kedrec.commands.report.run_groups import Figure, Group

Row = Literal["", "group", "strong", "last"]

NUMBER_COLUMNS = (
    "row",
    "column",
    "published",
    "ours",
    "low",
    "high",
    "sd",
    "seeds",
    "difference",
    "difference_low",
    "difference_high",
    "data",
    "experiment",
    "commit",
)
# A number, possibly with spread and interval: a cell that no spreadsheet takes for a formula.
_SHOWN = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?( ± [\d.]+)?( \([+-]?[\d.]+ to [+-]?[\d.]+\))?")
# Characters with a meaning in Markdown; an underscore has one at the end of a word.
_MARKS = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_+|_+(?![^\W_])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after \\ it would be read as the optional argument
    "*": "{*}",  # likewise
    "\0": "-{}",
}


@dataclass(frozen=True)
class Table:
    """A table of strings, and the numbers behind it.

    Attributes:
        name: name of its files; letters, digits, underscores.
        caption: the caption.
        columns: headers.
        rows: cells, as many as columns; only the first cell of a row of kind "group" is used.
        kinds: one per row: "group" is a heading, "strong" is emphasised, "last" ends a group.
        text: indices of the columns with text.
        notes: notes for the reader.
        numbers: rows of the CSV file, with the keys of `NUMBER_COLUMNS`; if empty, the CSV holds ``rows``.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kinds: tuple[Row, ...]
    text: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: tuple[Mapping[str, Any], ...] = ()


class TableOf:
    """Builds a table row by row.

    Args:
        name: name of its files.
        caption: the caption.
        columns: headers.
        text: indices of the columns with text.
    """

    def __init__(self, name: str, caption: str, columns: Sequence[str], text: Sequence[int] = ()) -> None:
        self._name, self._caption = name, caption
        self._columns, self._text = tuple(columns), tuple(text)
        self._rows: list[tuple[str, ...]] = []
        self._kinds: list[Row] = []
        self._numbers: list[Mapping[str, Any]] = []

    @property
    def rows(self) -> int:
        """Number of rows, headings not counted."""
        return sum(kind != "group" for kind in self._kinds)

    def head(self, words: str) -> None:
        """Add a heading for the rows that follow."""
        self._rows.append((words, *[""] * (len(self._columns) - 1)))
        self._kinds.append("group")

    def add(self, *cells: str, kind: Row = "") -> None:
        """Add a row."""
        if len(cells) != len(self._columns):
            raise ValueError(f"{self._name}: {len(cells)} cells for {len(self._columns)} columns")
        self._rows.append(cells)
        self._kinds.append(kind)

    def number(
        self, row: str, column: str, group: Group, ours: Figure | None, published: float | None = None
    ) -> Figure | None:
        """Add a number to the CSV; return the difference to the published one if both exist."""
        difference = None if ours is None or published is None else ours.less(published)
        self._numbers.append(
            {
                "row": row,
                "column": column,
                "published": published,
                **({} if ours is None else {"ours": ours.mean, "low": ours.low, "high": ours.high, "sd": ours.sd}),
                "seeds": None if ours is None else ours.seeds,
                **(
                    {}
                    if difference is None
                    else {
                        "difference": difference.mean,
                        "difference_low": difference.low,
                        "difference_high": difference.high,
                    }
                ),
                "data": group.data,
                "experiment": " ".join(group.experiments),
                "commit": " ".join(group.commits),
            }
        )
        return difference

    def done(self, *notes: str) -> Table:
        """Return the table with notes for the reader; empty notes are dropped."""
        return Table(
            self._name,
            self._caption,
            self._columns,
            tuple(self._rows),
            tuple(self._kinds),
            self._text,
            tuple(note for note in notes if note),
            tuple(self._numbers),
        )


def shown(figure: Figure | None, digits: int = 3, signed: bool = False) -> str:
    """Format a number for tables: mean ± spread over seeds, and the interval in brackets.

    >>> shown(Figure(0.8066, 0.7, 0.91, 0.048, 3))
    '0.807 ± 0.048 (0.700 to 0.910)'
    """
    if figure is None:
        return ""
    sign = "+" if signed else ""
    words = f"{figure.mean:{sign}.{digits}f}"
    if figure.sd is not None:
        words += f" ± {figure.sd:.{digits}f}"
    if figure.low is not None and figure.high is not None:
        words += f" ({figure.low:{sign}.{digits}f} to {figure.high:{sign}.{digits}f})"
    return words


def file_part(data: str) -> str:
    """Return the name of data or of a model in the form used in file names."""
    return anchor(data).replace("-", "_")


def other_data(data: str, theirs: str) -> str:
    """Return the note that published numbers were measured on other data than ours."""
    ours = "the bundled sample" if data == "sample" else data
    return (
        f"Ours are on {ours}, not on {theirs}: a difference is between data sets as much as between models, and does "
        "not say which model is better."
    )


def markdown(table: Table) -> str:
    """Return the table in Markdown, with caption and notes."""
    lines = [f"**{as_written(table.caption)}**", ""]
    lines.append(f"| {' | '.join(map(as_written, table.columns))} |")
    marks = ["---" if place == 0 or place in table.text else "---:" for place in range(len(table.columns))]
    lines.append(f"| {' | '.join(marks)} |")
    for row, kind in zip(table.rows, table.kinds, strict=True):
        bold = kind in ("group", "strong")
        cells = [
            f"**{as_written(cell)}**" if bold and cell and at not in table.text else as_written(cell)
            for at, cell in enumerate(row)
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"* {as_written(note)}" for note in table.notes), ""])


def latex(table: Table) -> str:
    """Return the table in LaTeX, for the package booktabs; names in non-Latin letters need lualatex."""
    form = "".join("l" if place == 0 or place in table.text else "r" for place in range(len(table.columns)))
    lines = [
        r"\begin{table}",
        rf"\caption{{{_tex(table.caption)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{{form}}}",
        r"\toprule",
        " & ".join(map(_tex, table.columns)) + r" \\",
        r"\midrule",
    ]
    for row, kind in zip(table.rows, table.kinds, strict=True):
        if kind == "group":
            lines += [rf"\addlinespace \multicolumn{{{len(table.columns)}}}{{l}}{{\textbf{{{_tex(row[0])}}}}} \\"]
            continue
        strong = [kind == "strong" and bool(cell) and at not in table.text for at, cell in enumerate(row)]
        cells = [rf"\textbf{{{_tex(cell)}}}" if bold else _tex(cell) for cell, bold in zip(row, strong, strict=True)]
        lines.append(" & ".join(cells) + r" \\")
    notes = [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}", ""])


def csv_text(table: Table) -> str:
    """Return the numbers of the table as CSV, one per line; the table itself if it has none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if table.numbers:
        writer.writerow(NUMBER_COLUMNS)
        writer.writerows([_safe(number.get(column)) for column in NUMBER_COLUMNS] for number in table.numbers)
        return text.getvalue()
    writer.writerow([_safe(column) for column in table.columns])
    for row in table.rows:
        writer.writerow([_safe(cell) for cell in row])
    return text.getvalue()


def _safe(value: Any) -> Any:
    """Return a cell that spreadsheets do not take for a formula."""
    if isinstance(value, str):
        return value if _SHOWN.fullmatch(value) else harmless(plain(value))
    return "" if value is None else value


def as_written(text: str) -> str:
    """Return text from outside escaped for Markdown, in one line: no HTML, no link, no emphasis."""
    safe = plain(text).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKS.sub(lambda found: "".join(f"\\{sign}" for sign in found[0]), safe)


def _tex(text: str) -> str:
    letters = re.sub("-(?=-)", "\0", plain(text))  # two hyphens would become a dash
    return "".join(_LATEX.get(letter, letter) for letter in letters)
