"""Figures of graph models: robustness to noise, histograms of ranks, maps of the embeddings."""

from collections.abc import Mapping, Sequence

import numpy as np

from kedrec.commands.html.svg_figures import HATCHES, MARKERS, PAPER, SERIES, as_svg, drawing
from kedrec.commands.report import published_results as published
from kedrec.commands.report.embedding_map import OF_A_TYPE, embedding_map
from kedrec.commands.report.graph_tables import protocol_figure, robustness_curves
from kedrec.commands.report.plot_elements import Plot, Series, labels, legend, line_plot, names_of, parts, short, spoken
from kedrec.commands.report.report_tables import TableOf, file_part
from kedrec.commands.report.run_groups import Group

_RANKS = (1, 2, 4, 11, 31, 101, 301, 1001)  # least ranks of the histogram's bins
_RANK_NAMES = ("1", "2-3", "4-10", "11-30", "31-100", "101-300", "301-1000", "1001+")


def robustness_plots(groups: Sequence[Group], data: str) -> list[Plot]:
    """Return MRR against noise, one figure per kind of noise and scorer: ours and published, plain and anchored."""
    plots = []
    for varied, words in published.VARIED.items():
        curves = robustness_curves(groups, varied)
        scorers = dict.fromkeys(name.removesuffix(" + LLaDR") for name in curves)
        for scorer in scorers:
            lines = []
            for model in (scorer, f"{scorer} + LLaDR"):
                for apart, curve in curves.get(model, ()):
                    lines += _noise_line(f"{model}{f', {apart}' if apart else ''}, ours", curve)
                if model in published.ROBUSTNESS[varied]:
                    theirs = published.ROBUSTNESS[varied][model]
                    lines.append(Series(f"{model}, published", published.SHARES, theirs, faint=True))
            caption = f"{scorer}: MRR with {words}; ours on {data}, the published on DRKG."
            for part, some in parts(lines):
                name = f"{varied}_{file_part(scorer)}_{file_part(data)}{part}"
                plots.append(line_plot(name, caption, some, f"share of {words}", "MRR, published protocol"))
    return plots


def _noise_line(name: str, curve: Mapping[float, Group]) -> list[Series]:
    figures = [(share, protocol_figure(group, "mrr")) for share, group in curve.items()]
    points = [(share, figure) for share, figure in figures if figure is not None]
    if not points:
        return []
    low = [figure.low for _, figure in points if figure.low is not None]
    high = [figure.high for _, figure in points if figure.high is not None]
    whole = len(low) == len(points)
    shares, means = [share for share, _ in points], [figure.mean for _, figure in points]
    return [Series(name, shares, means, low if whole else (), high if whole else ())]


def rank_plots(groups: Sequence[Group], data: str) -> list[Plot]:
    """Return histograms of true answers' ranks among entities of their type, one per scorer and test set."""
    names = names_of(groups)
    ranks = {group: group.first.rows("ranks.jsonl") for group in groups}
    plots = []
    scorers = dict.fromkeys(group.model.removesuffix(" + LLaDR") for group in groups)
    sets = dict.fromkeys(str(row["set"]) for rows in ranks.values() for row in rows)
    for test in sets:
        for scorer in scorers:
            ranks_of = {
                names[group]: [float(row["typed"]) for row in rows if row["set"] == test]
                for group, rows in ranks.items()
                if group.model.removesuffix(" + LLaDR") == scorer
            }
            for part, some in parts([(name, of) for name, of in ranks_of.items() if of]):
                plots.append(
                    _histogram(
                        f"ranks_{file_part(scorer)}_{file_part(test)}_{file_part(data)}{part}",
                        scorer,
                        test,
                        data,
                        dict(some),
                    )
                )
    return plots


def _histogram(name: str, scorer: str, test: str, data: str, ranks: Mapping[str, Sequence[float]]) -> Plot:
    caption = f"{scorer}: ranks of the true answers among entities of their type, test set {test}; {data}."
    table = TableOf(name, caption, ("rank", *ranks))
    shares = {}
    for words, of in ranks.items():
        places = np.digitize(np.floor(of), _RANKS) - 1
        shares[words] = np.bincount(places, minlength=len(_RANKS)) / len(of)
    for place, label in enumerate(_RANK_NAMES):
        table.add(label, *(f"{share[place]:.3f}" for share in shares.values()))
    with drawing(height=2.9 + 0.2 * len(ranks)) as (canvas, axes):
        width = 0.8 / len(shares)
        bar_labels = labels(list(shares))
        for row, share in enumerate(shares.values()):
            at = np.arange(len(_RANKS)) + (row - (len(shares) - 1) / 2) * width
            axes.bar(
                at,
                share,
                width * 0.95,
                color=SERIES[row],
                hatch=HATCHES[row],
                edgecolor=PAPER,
                lw=0.0,
                label=bar_labels[row],
            )
        axes.set_xticks(range(len(_RANKS)), _RANK_NAMES, rotation=35, ha="right")
        axes.grid(visible=False, axis="x")
        axes.set_xlabel("rank, ties half")
        axes.set_ylabel("share of answers")
        legend(canvas, len(ranks))
        svg = as_svg(canvas, name, f"Ranks of true answers, {scorer}", spoken(table.done()))
    return Plot(svg, caption, table.done())


def map_plots(groups: Sequence[Group], data: str) -> tuple[list[Plot], list[str]]:
    """Return a map of each model's embeddings, from the run with the lowest seed, and the models without one."""
    names = names_of(groups)
    plots: list[Plot] = []
    without: list[str] = []
    for group in groups:
        found = embedding_map(group.first.path)
        if found is None:
            without.append(names[group])
            continue
        name = f"map_{file_part(names[group])}_{file_part(data)}"
        share = ", ".join(f"{part:.0%}" for part in found.explained)
        caption = (
            f"{names[group]}, {data}: entities by type on the first two principal components ({share} of the "
            f"variance; at most {OF_A_TYPE} random entities per type). Distances on the map are not scores."
        )
        table = TableOf(name, caption, ("entity", "type", "x", "y"), text=(1,))
        with drawing(height=4.2) as (canvas, axes):
            for row, (kind, places) in enumerate(found.places.items()):
                axes.scatter(
                    places[:, 0], places[:, 1], s=16, marker=MARKERS[row], color=SERIES[row], lw=0, label=short(kind)
                )
                for entity, (x, y) in zip(found.ids[kind], places, strict=True):
                    table.add(entity, kind, f"{x:.4f}", f"{y:.4f}")
            axes.set_xlabel("first component")
            axes.set_ylabel("second component")
            legend(canvas, len(found.places))
            kinds = ", ".join(f"{len(places)} of {kind}" for kind, places in found.places.items())
            svg = as_svg(canvas, name, f"Map of the embeddings of {names[group]}", f"Points: {kinds}. {caption}")
        plots.append(Plot(svg, caption, table.done()))
    return plots, without
