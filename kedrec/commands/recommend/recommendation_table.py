"""An answer as tables and paragraphs in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kedrec.commands.recommend.phrases import (
    choice_text,
    confidence_note,
    no_path_text,
    path_text,
    percent,
    student_note,
    unsupported_text,
)
from kedrec.commands.recommend.recommendation import Answer, Details, Explanation, Recommendation
from kedrec.runtime.printable import printable
from kedrec.sources.graph.entity_ids import local_id

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def show(answer: Answer, console: "Console | None" = None) -> None:
    """Print an answer; text from graphs, texts and models is printed literally, without markup, emoji or escapes."""
    from rich.console import Console

    out = console or Console(highlight=False)
    disease = answer.disease
    out.print(_text(f"{disease.name} ({', '.join(disease.ids)})", "bold"))
    out.print(_text(f"{disease.edges:,} edges, {disease.known:,} known treatments"))
    left_out = ", known treatments left out" if answer.dropped_known else ""
    ranked = f"{answer.run.drugs:,} drugs ranked by {answer.run.scorer} ({answer.run.path}){left_out}"
    out.print(_text(ranked))
    out.print(_ranking(answer.recommendations))
    out.print(_text(confidence_note(answer)))
    for one in answer.recommendations:
        if one.details is not None:
            _details(out, one, one.details, answer.metapath)
    if answer.published:
        out.print(_published(answer))
    if answer.student is not None:
        out.print(_text(f"\n{student_note(answer)}"))
    out.print(_text(f"\n{answer.notice}", "bold"))


def _ranking(recommendations: Sequence[Recommendation]) -> "Table":
    table = _table("rank", "of new", "drug", "id", "score", "known", "held-out share", "lift")
    for one in recommendations:
        drug = one.candidate
        of = one.confidence
        counted = (f"{percent(of)} ({of.found:,}/{of.counted:,})", f"{of.lift:,.0f}") if of else ("", "")
        ranks = (f"{drug.rank:,}", "" if drug.new_rank is None else f"{drug.new_rank:,}")
        _row(table, *ranks, one.name, local_id(drug.drug), f"{drug.score:.3f}", drug.known or "", *counted)
    return table


def _details(out: "Console", one: Recommendation, found: Details, metapath: str | None) -> None:
    out.print(_text(f"\n{one.candidate.rank}. {one.name}", "bold"))
    if found.explanation is None:
        out.print(_text("  No drug of the graph is comparable, so the student did not explain."))
    else:
        _explanation(out, found.explanation)
    out.print(_text("  Paths:" if found.paths else f"  {no_path_text(metapath)}"))
    for path in found.paths:
        out.print(_text(f"    {path.score:.2e}  {path_text(path)}"))
    for edge in found.direct:
        out.print(_text(f"  Also linked by {edge.relation}"))
    out.print(_text("  Against:" if found.against else "  No evidence against it was found."))
    for objection in found.against:
        where = " ".join(filter(None, (objection.source, objection.url)))
        out.print(_text(f"    {objection.text}{f' [{where}]' if where else ''}"))


def _explanation(out: "Console", found: Explanation) -> None:
    out.print(_text(f"  Student: {choice_text(found)}"))
    out.print(_text(f"  {found.rationale or '(it wrote nothing)'}"))
    if unsupported := unsupported_text(found):
        out.print(_text(f"  {unsupported}"))
    for passage in found.passages:
        mark = "*" if passage.cited else " "
        out.print(_text(f"   {mark}[{passage.number}] {passage.title or passage.id} {passage.url}"))


def _published(answer: Answer) -> "Table":
    table = _table("published", "drug", "our rank", "of the new", "score", "known", title="The published list")
    for one in answer.published:
        ours = one.candidate
        if ours is None:
            _row(table, str(one.place), one.drug, "not in the graph", "", "", "")
        else:
            new = "" if ours.new_rank is None else f"{ours.new_rank:,}"
            _row(table, str(one.place), one.drug, f"{ours.rank:,}", new, f"{ours.score:.3f}", ours.known or "")
    return table


def _table(*columns: str, title: str | None = None) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # Narrow: in 80 columns a drug's name stays whole.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name in ("drug", "id", "known") else "right", overflow="fold")
    return table


def _row(table: "Table", *cells: str) -> None:
    table.add_row(*(_text(cell) for cell in cells))


def _text(shown: str, style: str = "") -> "Text":
    """Return text that is printed literally."""
    from rich.text import Text

    return Text(printable(shown), style)
