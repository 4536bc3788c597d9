"""Writes a report: an HTML page, its tables as Markdown, LaTeX and CSV, the data of its figures, and RESULTS.md."""

import json
from collections.abc import Sequence
from pathlib import Path

from kedrec.commands.html.page_rendering import render
from kedrec.commands.report.report_sections import Section, hardware, runs_table, sections
from kedrec.commands.report.report_tables import Table, as_written, csv_text, latex, markdown
from kedrec.commands.report.run_groups import Group
from kedrec.errors import KedrecError
from kedrec.storage.atomic_folder import appearing_whole

RECORD = "report.json"
_WRITTEN = {"report.html", "RESULTS.md", "tables", "figures", RECORD}
_INLINE = 60  # most rows of a figure's data on the page; all rows are in the CSV
_TITLE = "kedrec: results beside the published"


def check_target(folder: Path) -> None:
    """Check that a folder may be replaced by a report: it is absent, empty, or holds an older report alone.

    Raises:
        KedrecError: it is a file, holds something else, or cannot be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise KedrecError(f"{folder}: this is a file; name a folder for the report with --to=DIR")
    if folder.is_symlink() or folder.name in ("", ".."):
        raise KedrecError(f"{folder}: this folder cannot be replaced; name another with --to=DIR")
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if held and not _is_report(folder):
        raise KedrecError(f"{folder}: not empty, and its content is not a report; name another folder with --to=DIR")
    if others := sorted(held - _WRITTEN):
        raise KedrecError(f"{folder}: holds {others[0]!r} beside an older report; name another folder with --to=DIR")


def _is_report(folder: Path) -> bool:
    try:
        return "runs" in json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def write_report(groups: Sequence[Group], left_out: Sequence[tuple[Path, str]], folder: Path) -> str:
    """Write the report; return its RESULTS.md.

    Args:
        groups: the runs.
        left_out: folders without a finished run, with the reason.
        folder: absent, empty, or with an older report.
    """
    parts, runs = sections(groups), runs_table(groups)
    skipped = [(path.name, reason) for path, reason in left_out]
    page = render(
        "report.html",
        package="kedrec.commands.report",
        title=_TITLE,
        summary=_summary(groups),
        sections=parts,
        runs=runs,
        left_out=skipped,
        inline_rows=_INLINE,
    )
    results = results_page(groups, parts, runs, skipped)
    tables = [*(table for part in parts for table in part.tables), runs]
    files = {"report.html": page, "RESULTS.md": results}
    files |= {f"tables/{table.name}.md": markdown(table) for table in tables}
    files |= {f"tables/{table.name}.tex": latex(table) for table in tables}
    files |= {f"tables/{table.name}.csv": csv_text(table) for table in tables}
    files |= {f"figures/{plot.data.name}.csv": csv_text(plot.data) for part in parts for plot in part.plots}
    files[RECORD] = json.dumps({"runs": [str(run.path) for group in groups for run in group.runs]}, indent=1) + "\n"
    with appearing_whole(folder) as partial:
        for name, text in files.items():
            path = partial / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return results


def write_review_results(text: str, numbers: str, folder: Path) -> None:
    """Write the results of a review, as ``review.md`` and ``review.json``.

    Args:
        text: Markdown.
        numbers: JSON.
        folder: absent or empty.

    Raises:
        KedrecError: the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise KedrecError(f"{folder}: not an empty folder; name another one with --to=DIR")
    with appearing_whole(folder) as partial:
        (partial / "review.md").write_text(text, encoding="utf-8")
        (partial / "review.json").write_text(numbers, encoding="utf-8")


def results_page(
    groups: Sequence[Group], parts: Sequence[Section], runs: Table, left_out: Sequence[tuple[str, str]]
) -> str:
    """Return the tables of a report as one page of Markdown."""
    lines = [
        "# Results",
        "",
        "Written by `python -m kedrec.report` from finished runs; their settings, commits, hardware and seconds are at "
        "the end. Research use, not medical advice.",
        "",
        as_written(_summary(groups)),
        "",
    ]
    for part in parts:
        if part.tables:
            lines += [f"## {as_written(part.title)}", "", *(markdown(table) for table in part.tables)]
    lines += ["## Runs", "", markdown(runs)]
    if left_out:
        lines += ["Left out:", "", *(f"* {as_written(name)}: {as_written(reason)}" for name, reason in left_out), ""]
    return "\n".join(lines)


def _summary(groups: Sequence[Group]) -> str:
    runs = [run for group in groups for run in group.runs]
    data = ", ".join(dict.fromkeys(group.data for group in groups))
    made_on = "; ".join(dict.fromkeys(hardware(run) for run in runs))
    spent = sum(seconds for run in runs for seconds in run.seconds.values())
    return (
        f"{len(runs)} runs of {len(groups)} experiments on {data}. Hardware: {made_on}; {spent / 3600:.1f} hours. "
        "Published numbers are shown for orientation: they were measured on other data, so a difference to them does "
        "not say which model is better."
    )
