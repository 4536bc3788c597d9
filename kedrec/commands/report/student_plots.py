"""Figures of the students: learning curves, the ablation's bars, risk against coverage, reliability."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kedrec.commands.html.svg_figures import HATCHES, INK, PAPER, SERIES, SOFT, STROKES, as_svg, drawing
from kedrec.commands.report import published_results as published
from kedrec.commands.report.plot_elements import MOST, Plot, Series, labels, legend, line_plot, names_of, parts, spoken
from kedrec.commands.report.report_tables import TableOf, file_part, shown
from kedrec.commands.report.run_groups import Figure, Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ablation_plot(groups: Sequence[Group], data: str) -> Plot | None:
    """Return bars of F1 with intervals for each setting, before and after training."""
    names = names_of(groups)
    bars = [(names[group], group.figure("base/f1"), group.figure("test/f1"), group) for group in groups]
    bars = [bar for bar in bars if bar[1] or bar[2]]
    if not bars:
        return None
    name = f"ablation_{file_part(data)}"
    table = TableOf(name, f"F1 of the choice; {data}", ("setting", "base", "trained", "nearest-passage baseline"))
    with drawing(height=1.5 + 0.55 * len(bars)) as (canvas, axes):
        for row, (words, base, trained, group) in enumerate(bars):
            rule = group.figure("test/heuristic_nearest_passage")
            table.add(words, shown(base), shown(trained), shown(rule))
            for kind, figure in enumerate((base, trained)):
                table.number(words, ("base", "trained")[kind], group, figure)
                if figure is not None:
                    _bar(axes, row + (kind - 0.5) * 0.36, figure, kind, ("untouched base", "trained")[kind], row == 0)
            if rule is not None:
                label = "baseline: nearest passage" if row == 0 else None
                axes.plot([rule.mean], [row], "D", color=SERIES[1], ms=6, label=label, zorder=4)
        reported = published.STUDENT["both"].numbers["F1"] / 100
        axes.axvline(reported, color=SOFT, ls=STROKES[1], lw=1.2, label="published, on other data")
        axes.set_yticks(range(len(bars)), [textwrap.fill(words, 22) for words in labels([bar[0] for bar in bars])])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("macro F1, both orders")
        legend(canvas, 4)
        caption = (
            f"F1 of the choice by setting, {data}, with 95 % intervals if the runs have them. The nearest-passage "
            "baseline does not read. The published F1 is that of both sources on other data."
        )
        svg = as_svg(canvas, name, "F1 of the choice by setting", spoken(table.done()))
    return Plot(svg, caption, table.done())


def _bar(axes: "Axes", at: float, figure: Figure, kind: int, label: str, labelled: bool) -> None:
    axes.barh(
        at, figure.mean, 0.34, color=SERIES[(4, 0)[kind]], hatch=HATCHES[1 - kind], edgecolor=PAPER, lw=0.0,
        label=label if labelled else None,
    )  # fmt: skip
    if figure.low is not None and figure.high is not None:
        spread = [[max(0.0, figure.mean - figure.low)], [max(0.0, figure.high - figure.mean)]]
        axes.errorbar([figure.mean], [at], xerr=spread, fmt="none", ecolor=INK, elinewidth=1.3, capsize=3, zorder=3)


def risk_coverage_plots(groups: Sequence[Group], data: str) -> list[Plot]:
    """Return risk-coverage curves, one line per student; the run with the lowest seed of each."""
    from kedrec.evaluation.calibration import risk_coverage

    names = names_of(groups)
    lines = []
    for group in groups:
        coverage, risk = risk_coverage(group.first.rows("predictions.jsonl"))
        if len(coverage):
            lines.append(Series(names[group], coverage.tolist(), risk.tolist()))
    caption = (
        f"Share of wrong choices among a student's most confident pairs; {data}. A flat curve: confidence has no value."
    )
    return [
        line_plot(
            f"risk_coverage_{file_part(data)}{part}", caption, some, "coverage: share of pairs answered", "risk", (0, 1)
        )
        for part, some in parts(lines)
    ]


def reliability_plots(groups: Sequence[Group], data: str) -> list[Plot]:
    """Return reliability curves, one line per student with a fitted temperature."""
    from kedrec.evaluation.calibration import reliability

    names = names_of(groups)
    lines = []
    for group in groups:
        rows = group.first.rows("predictions.jsonl")
        temperature = group.first.metrics.get("test/temperature")
        if rows and temperature is not None:
            sure, right, _ = reliability(rows, temperature)
            lines.append(Series(names[group], sure.tolist(), right.tolist()))
    if not lines:
        return []
    even = Series("perfectly calibrated", [0.5, 1.0], [0.5, 1.0], faint=True)
    caption = f"Confidence, calibrated on validation, against the share of right choices; {data}."
    return [
        line_plot(
            f"reliability_{file_part(data)}{part}", caption, [*some, even], "confidence", "share right", (0, 1.05)
        )
        for part, some in parts(lines, MOST - 1)
    ]
