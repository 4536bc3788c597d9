"""Tables of the models of a graph: LLaDR's results and ablations in the paper's layout, and stricter tests of ours."""

from collections.abc import Mapping, Sequence

from kedrec.commands.report import published_results as published
from kedrec.commands.report.report_tables import Table, TableOf, file_part, other_data, shown
from kedrec.commands.report.run_groups import Figure, Group, differing, told_apart

Curve = dict[float, Group]
"""Share of noise -> the group under it."""

_PROTOCOL = "test/pairs/lladr_published"
_PROMPTS = {"none": "prompt: none", "uses": "prompt: original", "structured": "prompt: good"}
"""Our styles of asking for descriptions -> the paper's prompts."""
STRICT_LABELS = {
    "pairs: MRR, all": "test/pairs/all/mrr",
    "pairs: Hits@10, all": "test/pairs/all/hits@10",
    "pairs: MRR, typed": "test/pairs/typed/mrr",
    "pairs: filtered protocol, MRR": "test/pairs/lladr_filtered/mrr_expected",
    "pairs: leak-free descriptions, MRR": "test/pairs_untold/all/mrr",
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
    """Return LLaDR's main table: a group of rows a model, the published ones first, then ours, then the difference.

    Args:
        groups: models of the graph, without noise, tested on ``data``.
        data: what they were tested on.
    """
    columns = ("model", *published.RANKING_COLUMNS, "triples", "experiment", "commit")
    table = TableOf(
        f"lladr_{file_part(data)}", f"LLaDR: the true disease among 50; ours on {data}", columns, text=(7, 8)
    )
    apart = told_apart(groups)
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
        "Where a model has several published rows the difference is to the first. Ours anchor in the texts that the "
        "run names, which need not be a GPT's.",
        "In brackets 95 % intervals, diseases resampled whole; with several seeds, each with a split of its own, mean "
        "± standard deviation over the seeds, and the mean of their intervals. That of MR is too narrow, as a few hard "
        "diseases decide it: simulated, such intervals hold the truth in 84 % of samples of 13 diseases, 91 % of 100.",
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
    """Return a metric of the published protocol, in expectation over its draws where the run tells it."""
    return group.figure(f"{_PROTOCOL}/{metric}_expected") or group.figure(f"{_PROTOCOL}/{metric}")


def strict_table(groups: Sequence[Group], data: str) -> Table | None:
    """Return the tests that the paper does not make: among all entities, unseen diseases, like degrees, popularity."""
    told = {words: name for words, name in STRICT_LABELS.items() if any(group.figure(name) for group in groups)}
    if not told:
        return None
    apart = told_apart(groups)
    table = TableOf(
        f"ranking_{file_part(data)}",
        f"Filtered ranks among all entities, unseen diseases, popularity; {data}",
        ("model", *told, "experiment", "commit"),
        text=(len(told) + 1, len(told) + 2),
    )
    for group in groups:
        words = group.model + (f", {apart[group]}" if apart[group] else "")
        figures = [group.figure(name) for name in told.values()]
        for column, figure in zip(told, figures, strict=True):
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
    """Return MRR under growing noise or masking: a row a model, published above ours; ``None`` without such runs.

    Args:
        groups: all models of the graph tested on ``data``.
        data: what they were tested on.
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
    """Return of each model with runs under a noise the curves, each with what tells it from the model's others.

    A curve is of runs that differ in nothing but the share; at 0 stands the group of these settings without noise.
    """
    found: dict[str, dict[str, list[Curve]]] = {}
    noisy = [group for group in groups if set(group.varied) == {varied}]
    for group in [*noisy, *(group for group in groups if not group.varied)]:
        share = group.varied.get(varied, 0.0)
        curves = found.setdefault(group.model, {}).setdefault(group.settings_but(varied), [])
        free = [curve for curve in curves if share not in curve]  # the same settings twice make two curves
        if free:
            free[0][share] = group
        elif share:
            curves.append({share: group})
    told = {}
    for model, by_settings in found.items():
        curves = [dict(sorted(curve.items())) for alike in by_settings.values() for curve in alike]
        if curves:
            told[model] = list(zip(_apart(curves, varied), curves, strict=True))
    return told


def _apart(curves: Sequence[Curve], varied: str) -> list[str]:
    """Return what tells each curve from the others; an empty string where there is but one."""
    firsts = [next(iter(curve.values())) for curve in curves]
    words = [
        ", ".join(part for part in told.split(", ") if part.partition(" ")[0] != varied)
        for told in differing(firsts).values()
    ]
    unique = len(set(words)) == len(words)
    return words if unique else [f"{one}, {first.first.path.name}" for one, first in zip(words, firsts, strict=True)]


def text_table(groups: Sequence[Group], data: str) -> Table | None:
    """Return LLaDR's ablations of the text: the published MRR of each, and ours where a run made it.

    Args:
        groups: models without noise, tested on ``data``.
        data: what they were tested on.
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
    """Return which of the paper's ablations of the text a run is; of a model's descriptions prompt and temperature."""
    if (group.first.settings("model").get("anchor") or {}).get("distance") == "kl":
        return ["anchor: KL divergence"]
    anchors = group.first.settings("data").get("anchors") or {}
    if "bge-small" in str(anchors.get("encoder", "")):
        return ["encoder: bge-small-v1.5"]
    described = anchors.get("describe")
    if not isinstance(described, Mapping):
        return []
    asked = described.get("settings") or {}
    style, temperature = asked.get("style", "structured"), asked.get("temperature", 0.7)
    # One thing is varied at a time: temperatures with the original prompt, prompts at 0.7.
    prompts = [_PROMPTS[style]] if temperature == 0.7 and style in _PROMPTS else []
    return [*prompts, *([f"temperature {temperature}"] if style == "uses" else [])]


def _given(column: str, numbers: Mapping[str, float]) -> str:
    return f"{numbers[column]:.{_digits(column)}f}" if column in numbers else ""


def _digits(column: str) -> int:
    return 2 if column == "MR" else 3


def _cell(figure: Figure | None) -> str:
    return shown(figure, 0 if figure is not None and figure.mean > 10 else 3)
