"""What a report holds, from the runs: for each data set its tables, figures and examples, and why any is left out."""

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

_UNTOLD = ("seed", "out", "email")  # the seed has a column of its own
_AGAIN = "kedrec.evaluate RUN tests it again and writes it."


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: unique in the report.
        words: paragraphs that come first.
        tables: in their order.
        plots: in their order.
        examples: questions with what was shown and answered.
        missing: what is left out, and why.
    """

    title: str
    words: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    examples: Sequence[Example] = ()
    missing: Sequence[str] = field(default=())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show, not even a reason."""
        return not (self.tables or self.plots or self.examples or self.missing)


def sections(groups: Sequence[Group]) -> list[Section]:
    """Return the parts of the report, by data set, the sample first."""
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
    asked_again = any(group.first.rows("audits.jsonl") for group in groups)
    calibrated = student_plots.reliability_plots(answered, data)
    asked = examples(groups)
    private = [group for group in groups if group.first.private]
    return [
        Section(
            f"KEDRec-LM, {data}",
            tables=[student_tables.paper_table(groups, data)],
            plots=_present([student_plots.ablation_plot(groups, data)]),
        ),
        Section(
            f"What the choice rests on, {data}",
            tables=_present([student_tables.audit_table(groups, data)]),
            plots=[*student_plots.risk_coverage_plots(answered, data), *calibrated],
            missing=[
                *_unless(answered, f"No risk-coverage curve: the runs have no predictions.jsonl. {_AGAIN}"),
                *_unless(calibrated, f"No reliability curve: no run has a temperature of validation. {_AGAIN}"),
                *_unless(asked_again, f"No audits: the runs have no audits.jsonl; they are older than it. {_AGAIN}"),
            ],
        ),
        Section(f"Students compared, {data}", tables=_present([student_comparisons(groups, data)])),
        Section(
            f"Examples, {data}",
            examples=asked,
            missing=[
                *_unless(asked or private, f"No examples: the runs have no rationales. {_AGAIN}"),
                *_unless(
                    not private,
                    "Rows of patients' data, and of data of other packages, stay in their run folders; none is shown.",
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
                    f"Runs in which two of these are varied at once stand in no table but that of the runs: {mixed}.",
                ),
            ],
        ),
        Section(
            f"Stricter tests, {data}",
            tables=_present([graph_tables.strict_table(plain, data)]),
            plots=ranks,
            missing=_unless(
                ranks, f"No histogram of ranks: the runs have no ranks.jsonl; they are older than it. {_AGAIN}"
            ),
        ),
        Section(f"Models of the graph compared, {data}", tables=_present([rank_comparisons(plain, data)])),
        Section(
            f"Embedding maps, {data}",
            plots=maps,
            missing=_unless(
                not unmapped,
                f"No embedding map of {'; '.join(unmapped)}: no folder embeddings, or numbers in it are not finite.",
            ),
        ),
    ]


def _learning(groups: Sequence[Group], data: str) -> Section:
    plots = [plot for kind in ("student", "graph", "other") for plot in _curves(groups, kind, data)]
    why = "No learning curves: the runs have no log/version_0/metrics.csv, which use.logger=csv writes."
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
    return table.done("In brackets 95 % intervals, where the runs tell them.")


def runs_table(groups: Sequence[Group]) -> Table:
    """Return all runs: what they are, on what they were made, and how long that took."""
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
    """Return what a run's command line set beside its experiment's file: what decides its numbers, places cut short."""
    if run.overrides is None:
        return "not told"
    told = [one.partition("=") for one in run.overrides if one.partition("=")[0] not in _UNTOLD]
    return " ".join(f"{name}={'/'.join(value.split('/')[-2:])}" for name, _, value in told)


def _share(name: str, kind: str, share: float) -> str:
    """Return how much noise there is, where the name does not tell it."""
    return "" if f"{kind} {share}" in name else f", {kind} {share:.0%}"


def hardware(run: Run) -> str:
    """Return in words what a run was made on."""
    told = run.record.get("hardware")
    if not told:
        return "not told"
    gpus = list(told.get("gpus") or [])
    graphics = ", ".join(dict.fromkeys(f"{gpus.count(gpu)} x {gpu}" for gpu in gpus)) or "no GPU"
    memory = told.get("memory_bytes")
    return f"{told.get('processor')}, {told.get('cores')} cores, {graphics}" + (
        f", {memory / 2**30:.0f} GiB" if memory else ""
    )


def _present(parts: Iterable[Part | None]) -> list[Part]:
    return [part for part in parts if part is not None]


def _unless(there: object, why: str) -> list[str]:
    return [] if there else [why]
