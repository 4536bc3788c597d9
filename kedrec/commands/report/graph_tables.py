"""Tables of graph models: LLaDR's results and ablations in the paper's layout, and stricter tests."""

from collections.abc import Mapping, Sequence

from kedrec.commands.report import published_results as published
from kedrec.commands.report.report_tables import Table, TableOf, file_part, other_data, shown
from kedrec.commands.report.run_groups import Figure, Group, differing, distinctions

Curve = dict[float, Group]
"""Share of noise -> the group trained with it."""

_PROTOCOL = "test/pairs/lladr_published"
_PROMPTS = {"none": "prompt: none", "uses": "prompt: original", "structured": "prompt: good"}
"""Our styles of prompts for descriptions -> the paper's names of its prompts."""
STRICT_LABELS = {
    "pairs: MRR, all": "test/pairs/all/mrr",
    "pairs: Hits@10, all": "test/pairs/all/hits@10",
    "pairs: MRR, typed": "test/pairs/typed/mrr",
    "pairs: filtered protocol, MRR": "test/pairs/lladr_filtered/mrr_expected",
    "pairs: leak-free descriptions, MRR": "test/pairs_leak_free/all/mrr",
    "pairs: degree-matched, MRR": "test/pairs/degree_matched/mrr",
    "pairs: ranking by degree alone, MRR": "test/pairs/by_degree/mrr",
    "unseen diseases: MRR, all": "test/diseases/all/mrr",
    "unseen diseases: Hits@10, all": "test/diseases/all/hits@10",
    "unseen diseases: degree-matched, MRR": "test/diseases/degree_matched/mrr",
    "choice of the drug, F1": "test/choice_f1",
    "top 10: distinct drugs": "test/repurposing/top10_distinct",
    "top 10: share of the ten most frequent drugs": "test/repurposing/top10_share",
}
"""Column of the table of stricter tests -> metric."""


def paper_table(groups: Sequence[Group], data: str) -> Table:
    """Return LLaDR's main table; each model has the published rows, our rows and their difference.

    Args:
        groups: graph models, without noise, tested on ``data``.
        data: name of the test data.
    """
    columns = ("model", *published.RANKING_COLUMNS, "triples", "experiment", "commit")
    table = TableOf(
        f"lladr_{file_part(data)}", f"LLaDR: the true disease among 50; ours on {data}", columns, text=(7, 8)
    )
    apart = distinctions(groups)
    for name in dict.fromkeys([*published.RANKING, *(group.model for group in groups)]):
        table.head(name)
        rows = published.RANKING.get(name, ())
        for row in rows:
            table.add(row.name + ", published", *(_given(column, row.numbers) for column in columns[1:6]), "", "", "")
        for group in groups:
            if group.model == name:
                _add_group(table, group, rows[0] if rows else None, apart[group])
    return table.done(
        other_data(data, "the paper's split of DRKG"),
        published.RANKING_DEFINITION,
        "If a model has several published rows, the difference is to the first one. Ours are anchored in the texts of "
        "the run, which are not necessarily GPT's.",
        "In brackets 95 % intervals, diseases resampled; with several seeds, each with its own split, mean ± standard "
        "deviation over the seeds, and the mean of their intervals. The interval of MR is too narrow, since a few hard "
        "diseases decide it: in simulations it covers the truth in 84 % of samples of 13 diseases, 91 % of 100.",
        f"Source: {published.RANKING_SOURCE}.",
    )


def _add_group(table: TableOf, group: Group, reported: published.Published | None, apart: str) -> None:
    words = f"ours{f', {apart}' if apart else ''}"
    cells, differences = [], []
    for column, metric in published.RANKING_COLUMNS.items():
        figure = protocol_figure(group, metric)
        number = reported.numbers.get(column) if reported else None
        digits = _digits(column)
        cells.append(shown(figure, digits))
        differences.append(shown(table.number(f"{group.model}: {words}", column, group, figure, number), digits, True))
    count = group.figure("test/pairs/n")
    made = (", ".join(group.experiments), ", ".join(group.commits))
    table.add(words, *cells, "" if count is None else f"{count.mean:.0f}", *made, kind="strong")
    if any(differences):
        table.add("ours - published", *differences, "", "", "", kind="last")


def protocol_figure(group: Group, metric: str) -> Figure | None:
    """Return a metric of the published protocol; its expectation over all draws if the run has it."""
    return group.figure(f"{_PROTOCOL}/{metric}_expected") or group.figure(f"{_PROTOCOL}/{metric}")


def strict_table(groups: Sequence[Group], data: str) -> Table | None:
    """Return the tests beyond the paper's: among all entities, unseen diseases, degree-matched, popularity."""
    columns = {words: name for words, name in STRICT_LABELS.items() if any(group.figure(name) for group in groups)}
    if not columns:
        return None
    apart = distinctions(groups)
    table = TableOf(
        f"ranking_{file_part(data)}",
        f"Filtered ranks among all entities, unseen diseases, popularity; {data}",
        ("model", *columns, "experiment", "commit"),
        text=(len(columns) + 1, len(columns) + 2),
    )
    for group in groups:
        words = group.model + (f", {apart[group]}" if apart[group] else "")
        figures = [group.figure(name) for name in columns.values()]
        for column, figure in zip(columns, figures, strict=True):
            table.number(words, column, group, figure)
        table.add(words, *(_cell(figure) for figure in figures), ", ".join(group.experiments), ", ".join(group.commits))
    return table.done(
        "Ranks are filtered: other true answers are left out. typed: among the entities of the answer's type. "
        "Leak-free descriptions: triples in which neither entity's description names the other. Degree-matched: among "
        "compounds whose degree is close to the true one's, so that preferring well-known drugs gains nothing. Top "
        "10: the ten compounds ranked first for each tested disease, of all diseases together.",
        "In brackets 95 % intervals, diseases resampled whole.",
    )


def robustness_table(groups: Sequence[Group], data: str, varied: str) -> Table | None:
    """Return MRR by the share of noise or masking, published rows above ours; ``None`` without such runs.

    Args:
        groups: all graph models tested on ``data``.
        data: name of the test data.
        varied: ``delete``, ``add`` or ``masked``.
    """
    curves = robustness_curves(groups, varied)
    if not curves:
        return None
    shares = sorted({*published.SHARES, *(share for of in curves.values() for _, curve in of for share in curve)})
    table = TableOf(
        f"{varied}_{file_part(data)}",
        f"MRR with {published.VARIED[varied]}; ours on {data}",
        ("model", *(f"{share:.0%}" for share in shares), "experiments", "commits"),
        text=(len(shares) + 1, len(shares) + 2),
    )
    reported = published.ROBUSTNESS[varied]
    for name in dict.fromkeys([*reported, *curves]):
        table.head(name)
        theirs = dict(zip(published.SHARES, reported.get(name, ()), strict=False))
        if theirs:
            table.add("published", *(f"{theirs[share]:.3f}" if share in theirs else "" for share in shares), "", "")
        for apart, curve in curves.get(name, ()):
            _add_curve(table, name, apart, curve, theirs, shares)
    return table.done(
        other_data(data, "the paper's split of DRKG"),
        "MRR in the published protocol, as in the main table.",
        f"Source: {published.ROBUSTNESS_SOURCE}.",
    )


def _add_curve(
    table: TableOf, model: str, apart: str, curve: Curve, theirs: Mapping[float, float], shares: Sequence[float]
) -> None:
    words = f"ours{f', {apart}' if apart else ''}"
    figures = {share: protocol_figure(group, "mrr") for share, group in curve.items()}
    differences = {
        share: table.number(f"{model}: {words}", f"{share:.0%}", curve[share], figure, theirs.get(share))
        for share, figure in figures.items()
    }
    experiments = dict.fromkeys(one for group in curve.values() for one in group.experiments)
    commits = dict.fromkeys(one for group in curve.values() for one in group.commits)
    cells = (shown(figures.get(share)) for share in shares)
    table.add(words, *cells, ", ".join(experiments), ", ".join(commits), kind="strong")
    if any(differences.values()):
        cells = (shown(differences.get(share), 3, True) for share in shares)
        table.add("ours - published", *cells, "", "", kind="last")


def robustness_curves(groups: Sequence[Group], varied: str) -> dict[str, list[tuple[str, Curve]]]:
    """Return the noise curves of each model, each with a text that distinguishes it from the model's others.

    The runs of a curve differ only in the share of noise; the share 0 is the group with these settings without noise.
    """
    found: dict[str, dict[str, list[Curve]]] = {}
    noisy = [group for group in groups if set(group.varied) == {varied}]
    for group in [*noisy, *(group for group in groups if not group.varied)]:
        share = group.varied.get(varied, 0.0)
        curves = found.setdefault(group.model, {}).setdefault(group.settings_but(varied), [])
        free = [curve for curve in curves if share not in curve]  # equal settings twice make two curves
        if free:
            free[0][share] = group
        elif share:
            curves.append({share: group})
    named = {}
    for model, by_settings in found.items():
        curves = [dict(sorted(curve.items())) for alike in by_settings.values() for curve in alike]
        if curves:
            named[model] = list(zip(_apart(curves, varied), curves, strict=True))
    return named


def _apart(curves: Sequence[Curve], varied: str) -> list[str]:
    """Return a text that distinguishes each curve from the others; empty for a single curve."""
    firsts = [next(iter(curve.values())) for curve in curves]
    words = [
        ", ".join(part for part in differences.split(", ") if part.partition(" ")[0] != varied)
        for differences in differing(firsts).values()
    ]
    unique = len(set(words)) == len(words)
    return words if unique else [f"{one}, {first.first.path.name}" for one, first in zip(words, firsts, strict=True)]


def text_table(groups: Sequence[Group], data: str) -> Table | None:
    """Return LLaDR's ablations of the text: the published MRR, and ours if there is such a run.

    Args:
        groups: models without noise, tested on ``data``.
        data: name of the test data.
    """
    anchored = [group for group in groups if group.model.endswith("+ LLaDR")]
    ours = {words: found for words in published.TEXT if (found := [g for g in anchored if words in _varied_text(g)])}
    if not ours:
        return None
    models = list(published.TEXT["prompt: none"])
    table = TableOf(
        f"text_{file_part(data)}",
        f"LLaDR's text varied, MRR; ours on {data}",
        ("what", *models, "experiment", "commit"),
        text=(len(models) + 1, len(models) + 2),
    )
    for words, theirs in published.TEXT.items():
        table.head(words)
        table.add("published", *(f"{theirs[model]:.3f}" for model in models), "", "")
        for group in ours.get(words, []):
            figure = protocol_figure(group, "mrr")
            difference = table.number(words, group.model, group, figure, theirs.get(group.model))
            cells = [shown(figure) if model == group.model else "" for model in models]
            table.add("ours", *cells, ", ".join(group.experiments), ", ".join(group.commits), kind="strong")
            if difference is not None:
                cells = [shown(difference, 3, True) if model == group.model else "" for model in models]
                table.add("ours - published", *cells, "", "")
    return table.done(other_data(data, "the paper's split of DRKG"), f"Source: {published.TEXT_SOURCE}.")


def _varied_text(group: Group) -> list[str]:
    """Return the paper's ablations of the text that a run corresponds to."""
    if (group.first.settings("model").get("anchor") or {}).get("distance") == "kl":
        return ["anchor: KL divergence"]
    anchors = group.first.settings("data").get("anchors") or {}
    if "bge-small" in str(anchors.get("encoder", "")):
        return ["encoder: bge-small-v1.5"]
    described = anchors.get("describe")
    if not isinstance(described, Mapping):
        return []
    settings = described.get("settings") or {}
    style, temperature = settings.get("style", "structured"), settings.get("temperature", 0.7)
    # The paper varies one setting at a time: temperatures with the original prompt, prompts at temperature 0.7.
    prompts = [_PROMPTS[style]] if temperature == 0.7 and style in _PROMPTS else []
    return [*prompts, *([f"temperature {temperature}"] if style == "uses" else [])]


def _given(column: str, numbers: Mapping[str, float]) -> str:
    return f"{numbers[column]:.{_digits(column)}f}" if column in numbers else ""


def _digits(column: str) -> int:
    return 2 if column == "MR" else 3


def _cell(figure: Figure | None) -> str:
    return shown(figure, 0 if figure is not None and figure.mean > 10 else 3)
