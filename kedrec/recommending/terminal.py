"""An answer as tables and paragraphs in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kedrec.recommending.answer import Answer, Details, Explanation, Recommendation
from kedrec.recommending.words import choice_text, confidence_note, path_text, percent, student_note, unsupported_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def show(answer: Answer, console: "Console | None" = None) -> None:
    """Print an answer; what comes from graphs, texts and models is printed as it is, never read as markup."""
    from rich.console import Console

    out = console or Console(highlight=False)
    disease = answer.disease
    out.print(f"{disease.name} ({', '.join(disease.ids)})", style="bold", markup=False)
    out.print(f"{disease.edges:,} edges, {disease.known:,} known treatments", markup=False)
    left_out = ", known treatments left out" if answer.dropped_known else ""
    ranked = f"{answer.run.drugs:,} drugs ranked by {answer.run.scorer} ({answer.run.path}){left_out}"
    out.print(ranked, markup=False)
    out.print(_ranking(answer.recommendations))
    out.print(confidence_note(answer), markup=False)
    for one in answer.recommendations:
        if one.details is not None:
            _details(out, one, one.details)
    if answer.published:
        out.print(_published(answer))
    if answer.student is not None:
        out.print(f"\n{student_note(answer)}", markup=False)
    out.print(f"\n{answer.notice}", style="bold", markup=False)


def _ranking(recommendations: Sequence[Recommendation]) -> "Table":
    table = _table("rank", "of new", "drug", "id", "score", "known", "held-out share", "lift")
    for one in recommendations:
        drug = one.candidate
        of = one.confidence
        counted = (f"{percent(of)} ({of.found:,}/{of.counted:,})", f"{of.lift:,.0f}") if of else ("", "")
        ranks = (f"{drug.rank:,}", "" if drug.new_rank is None else f"{drug.new_rank:,}")
        _row(table, *ranks, one.name, drug.drug.partition("::")[2], f"{drug.score:.3f}", drug.known or "", *counted)
    return table


def _details(out: "Console", one: Recommendation, found: Details) -> None:
    out.print(f"\n{one.candidate.rank}. {one.name}", style="bold", markup=False)
    if found.explanation is None:
        out.print("  No drug of the graph is comparable, so the student was not asked.", markup=False)
    else:
        _explanation(out, found.explanation)
    paths = found.paths or ()
    out.print("  Paths:" if paths else "  No path of the types asked for.", markup=False)
    for path in paths:
        out.print(f"    {path.score:.2e}  {path_text(path)}", markup=False)
    for edge in found.direct:
        out.print(f"  Also linked by {edge.relation}", markup=False)
    out.print("  Against:" if found.against else "  Nothing found that speaks against it.", markup=False)
    for objection in found.against:
        where = " ".join(filter(None, (objection.source, objection.url)))
        out.print(f"    {objection.text}{f' [{where}]' if where else ''}", markup=False)


def _explanation(out: "Console", found: Explanation) -> None:
    out.print(f"  Student: {choice_text(found)}", markup=False)
    out.print(f"  {found.rationale or '(it wrote nothing)'}", markup=False)
    if unsupported := unsupported_text(found):
        out.print(f"  {unsupported}", markup=False)
    for passage in found.passages:
        mark = "*" if passage.cited else " "
        out.print(f"   {mark}[{passage.number}] {passage.title or passage.id} {passage.url}", markup=False)


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
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name in ("drug", "id", "known") else "right", overflow="fold")
    return table


def _row(table: "Table", *cells: str) -> None:
    from rich.text import Text

    table.add_row(*(Text(cell) for cell in cells))
