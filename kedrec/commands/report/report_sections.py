"""Builds the sections of a report: for each data set tables, figures, examples, and reasons for what is missing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from kedrec.commands.report import graph_plots, graph_tables, student_plots, student_tables
from kedrec.commands.report.answer_examples import Example, examples
from kedrec.commands.report.learning_curves import learning_plots
from kedrec.commands.report.plot_elements import Plot, names_of
from kedrec.commands.report.published_results import VARIED
from kedrec.commands.report.report_tables import Table, TableOf, file_part, shown
from kedrec.commands.report.reported_runs import Run
from kedrec.commands.report.run_comparisons import rank_comparisons, student_comparisons
from kedrec.commands.report.run_groups import Group

Part = TypeVar("Part", Table, Plot)

_IGNORED = ("seed", "out", "email")  # the seed has its own column
_AGAIN = "kedrec.evaluate RUN repeats the test and writes it."


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        title: unique in the report.
        words: introductory paragraphs.
        tables: tables in order.
        plots: figures in order.
        examples: questions with passages and answers.
        missing: what is left out, with the reason.
    """

    title: str
    words: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    examples: Sequence[Example] = ()
    missing: Sequence[str] = field(default=())

    @property
    def empty(self) -> bool:
        """Whether the section has neither content nor a reason for its absence."""
        return not (self.tables or self.plots or self.examples or self.missing)


def sections(groups: Sequence[Group]) -> list[Section]:
    """Return the sections of the report, by data set, the sample first."""
    found: list[Section] = []
    for data in dict.fromkeys(group.data for group in groups):
        here = [group for group in groups if group.data == data]
        students = [group for group in here if group.kind == "student"]
        of_graph = [group for group in here if group.kind == "graph"]
        others = [group for group in here if group.kind == "other"]
        if students:
            found += _of_students(students, data)
        if of_graph:
            found += _of_graph(of_graph, data)
        if others:
            found.append(Section(f"Other models, {data}", tables=_present([_other_table(others, data)])))
        found.append(_learning(here, data))
    return [one for one in found if not one.empty]


def _of_students(groups: Sequence[Group], data: str) -> list[Section]:
    answered = [group for group in groups if group.first.rows("predictions.jsonl")]
    audited = any(group.first.rows("audits.jsonl") for group in groups)
    calibrated = student_plots.reliability_plots(answered, data)
    shown_examples = examples(groups)
    private = [group for group in groups if group.first.private]
    return [
        Section(
            f"KEDRec-LM, {data}",
            tables=[student_tables.paper_table(groups, data)],
            plots=_present([student_plots.ablation_plot(groups, data)]),
        ),
        Section(
            f"Robustness audits, {data}",
            tables=_present([student_tables.audit_table(groups, data)]),
            plots=[*student_plots.risk_coverage_plots(answered, data), *calibrated],
            missing=[
                *_unless(answered, f"No risk-coverage curve: the runs have no predictions.jsonl. {_AGAIN}"),
                *_unless(calibrated, f"No reliability curve: no run has a temperature fitted on validation. {_AGAIN}"),
                *_unless(
                    audited,
                    f"No audits: the runs have no audits.jsonl, which older versions did not write. {_AGAIN}",
                ),
            ],
        ),
        Section(f"Students compared, {data}", tables=_present([student_comparisons(groups, data)])),
        Section(
            f"Examples, {data}",
            examples=shown_examples,
            missing=[
                *_unless(shown_examples or private, f"No examples: the runs have no rationales. {_AGAIN}"),
                *_unless(
                    not private,
                    "No examples of patient data, nor of data outside kedrec: their rows stay in the run folder.",
                ),
            ],
        ),
    ]


def _of_graph(groups: Sequence[Group], data: str) -> list[Section]:
    plain = [group for group in groups if not group.varied]
    varied = [graph_tables.robustness_table(groups, data, kind) for kind in VARIED]
    mixed = ", ".join(run.path.name for group in groups if len(group.varied) > 1 for run in group.runs)
    ranks = graph_plots.rank_plots(plain, data)
    maps, unmapped = graph_plots.map_plots(plain, data)
    return [
        Section(
            f"LLaDR, {data}",
            tables=_present(
                [graph_tables.paper_table(plain, data) if plain else None, graph_tables.text_table(plain, data)]
            ),
        ),
        Section(
            f"Robustness, {data}",
            tables=_present(varied),
            plots=graph_plots.robustness_plots(groups, data),
            missing=[
                *_unless(any(varied), "No run with triples deleted or added, or with descriptions masked."),
                *_unless(
                    not mixed,
                    f"Runs in which two of these are varied at once are listed only in the table of runs: {mixed}.",
                ),
            ],
        ),
        Section(
            f"Stricter tests, {data}",
            tables=_present([graph_tables.strict_table(plain, data)]),
            plots=ranks,
            missing=_unless(
                ranks,
                f"No histogram of ranks: the runs have no ranks.jsonl, which older versions did not write. {_AGAIN}",
            ),
        ),
        Section(f"Models of the graph compared, {data}", tables=_present([rank_comparisons(plain, data)])),
        Section(
            f"Embedding maps, {data}",
            plots=maps,
            missing=_unless(
                not unmapped,
                f"No embedding map of {'; '.join(unmapped)}: embeddings/ is missing, or its numbers are not finite.",
            ),
        ),
    ]


def _learning(groups: Sequence[Group], data: str) -> Section:
    plots = [plot for kind in ("student", "graph", "other") for plot in _curves(groups, kind, data)]
    why = "No learning curves: the runs have no log/version_0/metrics.csv; use.logger=csv writes it."
    return Section(f"Learning curves, {data}", plots=plots, missing=_unless(plots, why))


def _curves(groups: Sequence[Group], kind: str, data: str) -> list[Plot]:
    of_kind = [group for group in groups if group.kind == kind and not group.varied]
    return learning_plots(of_kind, data, kind) if of_kind else []


def _other_table(groups: Sequence[Group], data: str) -> Table | None:
    names = names_of(groups)
    metrics = dict.fromkeys(
        name
        for group in groups
        for name in group.first.metrics
        if name.startswith("test/") and name.count("/") == 1 and not name.endswith(("_low", "_high"))
    )
    if not metrics:
        return None
    table = TableOf(
        f"others_{file_part(data)}", f"Other models, {data}", ("metric", *(names[group] for group in groups))
    )
    for name in metrics:
        figures = [group.figure(name) for group in groups]
        table.add(name.removeprefix("test/"), *(shown(figure) for figure in figures))
        for group, figure in zip(groups, figures, strict=True):
            table.number(names[group], name, group, figure)
    return table.done("In brackets 95 % intervals, if the runs have them.")


def runs_table(groups: Sequence[Group]) -> Table:
    """Return the table of all runs: model, data, settings, hardware, duration."""
    columns = (
        "run",
        "model",
        "data",
        "experiment",
        "set otherwise",
        "seed",
        "commit",
        "hardware",
        "seconds",
        "peak GiB",
    )
    table = TableOf("runs", "The runs of this report", columns, text=(1, 2, 3, 4, 6, 7, 8))
    names = names_of(groups)
    for group in groups:
        for run in group.runs:
            peak = run.record.get("peak_memory_bytes")
            table.add(
                run.path.resolve().name,
                names[group] + "".join(_share(names[group], *noise) for noise in group.varied.items()),
                group.data,
                run.experiment,
                set_otherwise(run),
                str(run.seed),
                run.commit,
                hardware(run),
                ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in run.seconds.items()),
                "" if peak is None else f"{peak / 2**30:.1f}",
            )
    return table.done()


def set_otherwise(run: Run) -> str:
    """Return the overrides of a run's command line that affect its numbers, with shortened paths."""
    if run.overrides is None:
        return "not recorded"
    relevant = [one.partition("=") for one in run.overrides if one.partition("=")[0] not in _IGNORED]
    return " ".join(f"{name}={'/'.join(value.split('/')[-2:])}" for name, _, value in relevant)


def _share(name: str, kind: str, share: float) -> str:
    """Return the share of noise, unless the name has it."""
    return "" if f"{kind} {share}" in name else f", {kind} {share:.0%}"


def hardware(run: Run) -> str:
    """Return a description of a run's hardware."""
    recorded = run.record.get("hardware")
    if not recorded:
        return "not recorded"
    gpus = list(recorded.get("gpus") or [])
    graphics = ", ".join(dict.fromkeys(f"{gpus.count(gpu)} x {gpu}" for gpu in gpus)) or "no GPU"
    memory = recorded.get("memory_bytes")
    return f"{recorded.get('processor')}, {recorded.get('cores')} cores, {graphics}" + (
        f", {memory / 2**30:.0f} GiB" if memory else ""
    )


def _present(parts: Iterable[Part | None]) -> list[Part]:
    return [part for part in parts if part is not None]


def _unless(there: object, why: str) -> list[str]:
    return [] if there else [why]
