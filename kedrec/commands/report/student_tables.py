"""Tables of the students: KEDRec-LM's results in the paper's layout, and the robustness audits."""

from collections.abc import Sequence

from kedrec.commands.report import published_results as published
from kedrec.commands.report.report_tables import Table, TableOf, file_part, other_data, shown
from kedrec.commands.report.run_groups import SETTINGS, Figure, Group, distinctions

_ROWS = {**SETTINGS, "mimic": "both sources, MIMIC"}
_HEADS = {"base": "base", "test": "trained"}
_MODELS = {"base": "ours, untouched base", "test": "ours, trained"}
ROUGE_SETTINGS = (
    "ROUGE of ours: rouge-score, use_stemmer=True, F-measure, citations taken out, mean over questions in the first "
    "order, 0 to 100."
)
AUDIT_LABELS: dict[str, dict[str, str]] = {
    "The choice": {
        "f1": "F1, both orders",
        "f1_given_order": "F1, stored order only",
        "consistent_f1": "consistent F1: a choice that changes with the order counts as no answer",
        "consistent_accuracy": "accuracy, right in both orders",
        "flip_rate": "flip rate: choice changes with the order",
        "heuristic_nearest_passage": "heuristic baseline: drug with the nearer passages",
        "heuristic_degree": "heuristic baseline: drug with more edges",
        "heuristic_most_frequent_drug": "heuristic baseline: drug more often relevant in training",
        "heuristic_literature_count": "heuristic baseline: drug that more passages name",
        "agreement_with_nearest_passage": "agreement with the nearest-passage baseline",
        "f1_degree_matched": "F1, degree-matched pairs",
        "degree_matched_pairs": "number of degree-matched pairs",
    },
    "Passages that state the answer": {
        "answer_stated": "pairs with such a passage",
        "f1_without_stated_answers": "F1 without those passages",
        "f1_without_passages": "F1 without any passage",
    },
    "Counterfactual: passages exchanged between the drugs": {
        "evidence_sensitivity": "evidence-sensitive choices",
        "name_bias": "name-biased choices",
        "position_bias": "position-biased choices",
    },
    "Parametric knowledge": {
        "f1_names_masked": "F1, drug names masked",
        "parametric_knowledge": "F1 lost when the drug names are masked",
        "closed_book_consistent_accuracy": "right without passages, in both orders",
        "f1_unknown_to_base": "F1, pairs unknown to the base",
        "unknown_to_base_pairs": "number of pairs unknown to the base",
    },
    "The rationale": {
        "rouge1": "ROUGE-1",
        "rouge2": "ROUGE-2",
        "rougeL": "ROUGE-L",
        "all_citations_supported": "rationales whose citations are all supported",
        "all_citations_supported_reference": "the teacher's rationales whose citations are all supported",
        "citation_support": "citations supported by the cited passage",
        "citation_embedding_support": "citations similar to the cited passage, by the encoder",
        "citation_entailment": "citations entailed by the cited passage, by an NLI model",
        "citation_misattribution": "misattributed citations: the passage is about the other drug",
        "citation_validity": "valid citations",
        "citing_rationales": "rationales with a valid citation",
    },
    "Confidence": {
        "temperature": "temperature, fitted on validation",
        "ece": "expected calibration error",
        "brier": "Brier score",
        "aurc": "area under the risk-coverage curve",
    },
}
"""Heading -> metric -> the row's label in the table of audits."""
_PERCENT = ("rouge1", "rouge2", "rougeL")
_ADDED = "Metrics from outside the package"
_COUNTS = ("degree_matched_pairs", "unknown_to_base_pairs")


def paper_table(groups: Sequence[Group], data: str) -> Table:
    """Return KEDRec-LM's table; each setting has the published row, our rows and their difference.

    Args:
        groups: students tested on ``data``; F1 is shown in percent, as published.
        data: name of the data set.
    """
    columns = ("model", *published.STUDENT_COLUMNS, "pairs", "experiment", "commit")
    caption = f"KEDRec-LM: choice and rationale, percent; ours on {data}"
    table = TableOf(f"kedrec_lm_{file_part(data)}", caption, columns, text=(6, 7))
    apart = distinctions(groups)
    names = [name for name in _ROWS if any(group.model == name for group in groups)]
    names += [name for name in dict.fromkeys(group.model for group in groups) if name not in _ROWS]
    for name in names:
        table.head(_ROWS.get(name, name))
        reported = published.STUDENT.get(name)
        if reported is not None:
            given = [_given(reported.numbers.get(column)) for column in published.STUDENT_COLUMNS]
            table.add("published, LLaMA student", *given, "", "", "")
        for group in groups:
            if group.model == name:
                _add_group(table, group, reported, apart[group])
    rouge = any("ROUGE-1" in one.numbers for key, one in published.STUDENT.items() if key in names)
    return table.done(
        other_data(data, "expRxRec of DRKG" + (", nor MIMIC-III with its full data" if "mimic" in names else "")),
        published.STUDENT_DEFINITION,
        "Ours: macro F1 over both orders of the two drugs, in percent. In brackets 95 % intervals, diseases resampled "
        "whole; with several seeds mean ± standard deviation over the seeds, and the mean of their intervals.",
        ROUGE_SETTINGS,
        published.ROUGE_IMPOSSIBLE if rouge else "",
        f"Source: {published.STUDENT_SOURCE}.",
    )


def _add_group(table: TableOf, group: Group, reported: published.Published | None, apart: str) -> None:
    made = (", ".join(group.experiments), ", ".join(group.commits))
    for head, called in _MODELS.items():
        words = called + (f", {apart}" if apart else "")
        cells, differences = [], []
        for column, metric in published.STUDENT_COLUMNS.items():
            number = reported.numbers.get(column) if reported and head == "test" else None
            figure = _percent(group, f"{head}/{metric}")
            cells.append(shown(figure, 1))
            differences.append(shown(table.number(words, column, group, figure, number), 1, signed=True))
        if any(cells):
            table.add(words, *cells, _count(group, f"{head}/pairs"), *made, kind="strong" if head == "test" else "")
        if any(differences):
            table.add("ours - published", *differences, "", "", "")
    unknown = _percent(group, "test/f1_unknown_to_base")
    if unknown is not None:
        words = "ours, trained: pairs the base did not know"
        table.number(words, "F1", group, unknown)
        table.add(words, shown(unknown, 1), "", "", "", _count(group, "test/unknown_to_base_pairs"), *made, kind="last")


def audit_table(groups: Sequence[Group], data: str) -> Table | None:
    """Return the tests and audits, one metric a row and one model a column; ``None`` if there is no student."""
    columns = [(group, head) for group in groups for head in ("base", "test") if group.figure(f"{head}/f1") is not None]
    if not columns:
        return None
    apart = distinctions(groups)
    names = [
        ", ".join(part for part in (SETTINGS.get(group.model, group.model), apart[group], _HEADS[head]) if part)
        for group, head in columns
    ]
    table = TableOf(f"audits_{file_part(data)}", f"Audits of the choice and the rationale, {data}", ("metric", *names))
    absent: list[str] = []
    added = {name: name for group in groups for name in group.added_metrics}
    for part, metrics in {**AUDIT_LABELS, **({_ADDED: added} if added else {})}.items():
        figures_of = {name: [group.figure(f"{head}/{name}") for group, head in columns] for name in metrics}
        if not any(figure for figures in figures_of.values() for figure in figures):
            absent.append(part.lower())
            continue
        table.head(part)
        for name, figures in figures_of.items():
            if not any(figures):
                continue
            digits = 0 if name in _COUNTS else 1 if name in _PERCENT else 3
            table.add(metrics[name], *(shown(figure, digits) for figure in figures))
            for (group, head), figure in zip(columns, figures, strict=True):
                table.number(f"{group.model}, {head}", name, group, figure)
    return table.done(
        f"Left out: {', '.join(absent)}. These runs were tested without it; kedrec.evaluate RUN adds it."
        if absent
        else "",
        "In brackets 95 % intervals, diseases resampled whole.",
        "If F1 falls without the passages that state the answer, the model copied the answer from them. If F1 stays "
        "high without any passage, or falls when the drug names are masked, the model used parametric knowledge. An "
        "evidence-sensitive choice depends on the passages, or only on their order: compare the agreement with the "
        "nearest-passage baseline.",
        ROUGE_SETTINGS,
    )


def _percent(group: Group, name: str) -> Figure | None:
    figure = group.figure(name)
    if figure is None or name.rpartition("/")[2] in _PERCENT:
        return figure
    return figure.times(100)


def _count(group: Group, name: str) -> str:
    figure = group.figure(name)
    return "" if figure is None else f"{figure.mean:.0f}"


def _given(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"
