"""Report finished runs: ``python -m kedrec.report RUN ... [--to=DIR] [--results=FILE]``.

RUN is a run folder, a folder that holds runs, or a sweep's folder. The report is written to DIR, by default ``report``:
``report.html``, a self-contained page; ``tables/`` as Markdown, LaTeX and CSV; ``figures/``, the data of each figure;
and ``RESULTS.md``, of which ``--results`` writes a copy to FILE. Each number is shown beside the published one of the
papers, if there is one.

A blinded review: ``RUN ... --review=DIR [--pairs=N] [--seed=0] [--base] [--private]`` writes sheets with the models'
rationales under random names, and a key. ``--reviewed FILE ... --key=DIR/key.json [--to=DIR]`` reads the filled sheets
and prints preference and agreement (docs/review.md).
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from kedrec.errors import KedrecError
from kedrec.runtime.command_line import Arguments, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return run_command(__doc__, arguments, _work)


def _work(arguments: list[str]) -> None:
    options = _options(arguments)
    if options.reviewed:
        _print_reviews(options)
    elif options.review is not None:
        from kedrec.commands.report.blinded_review import write_review

        write_review(
            options.runs,
            options.review,
            pairs=options.pairs,
            seed=options.seed,
            base=options.base,
            private=options.private,
        )
        print(f"review: {options.review}; give reviewers {options.review / 'reviewers'}, but not key.json")
    else:
        report(options.runs, options.to or Path("report"), options.results)


def _options(arguments: list[str]) -> Namespace:
    parser = Arguments("python -m kedrec.report")
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--review", type=Path)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base", action="store_true")
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--reviewed", type=Path, nargs="+")
    parser.add_argument("--key", type=Path)
    options = parser.parse_args(arguments)
    if options.reviewed and (options.runs or options.review or options.key is None):
        raise KedrecError(
            "command line: --reviewed FILE ...: expected --key=DIR/key.json of the review as well, and no runs"
        )
    if not options.reviewed and not options.runs:
        raise KedrecError("command line: no run; expected a run folder, or a folder that holds runs")
    return options


def report(folders: Sequence[Path], folder: Path, results: Path | None = None) -> None:
    """Write the report of runs.

    Args:
        folders: run folders, or folders that hold runs.
        folder: where the report is written.
        results: file for a copy of the page of results.

    Raises:
        KedrecError: a folder holds no finished run, a file of a run is damaged, ``folder`` holds something else than a
            report, or ``results`` cannot be written.
    """
    from kedrec.commands.report.report_files import check_target
    from kedrec.commands.report.reported_runs import find_runs
    from kedrec.storage.atomic_files import check_named, write_named
    from kedrec.storage.hashing import file_hash

    check_target(folder)
    if results is not None:
        check_named(results)
    runs, left_out = find_runs(folders)
    from kedrec.commands.report.report_files import write_report
    from kedrec.commands.report.review_sheet import plain
    from kedrec.commands.report.run_groups import group_runs

    sample = file_hash(Path(__file__).parent / "sample" / "triples.tsv")
    page = write_report(group_runs(runs, sample), left_out, folder)
    if results is not None:
        write_named(results, page)
    for path, reason in left_out:
        print(plain(f"left out: {path}: {reason}"))
    print(f"{len(runs)} runs reported: {folder / 'report.html'}")


def _print_reviews(options: Namespace) -> None:
    from kedrec.commands.report.review_answers import read_reviews
    from kedrec.commands.report.review_report import review_report

    summary = review_report(read_reviews(options.reviewed, options.key))
    print(summary.as_markdown())
    if options.to is not None:
        from kedrec.commands.report.report_files import write_review_results

        write_review_results(summary.as_markdown(), summary.as_json(), options.to)


if __name__ == "__main__":
    sys.exit(main())
