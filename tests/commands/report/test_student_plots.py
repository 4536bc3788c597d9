import json

import numpy as np
import pytest

from kedrec.commands.report import graph_plots, student_plots
from kedrec.commands.report.answer_examples import examples
from kedrec.commands.report.embedding_map import embedding_map
from kedrec.commands.report.learning_curves import learning_curves, learning_plots, mean_curve
from kedrec.commands.report.plot_elements import Series, labels, line_plot
from kedrec.errors import KedrecError
from tests.commands.report.test_run_groups import grouped
from tests.support.written_runs import graph_model, log, questions, student


def cells(plot):
    return [list(row) for row in plot.data.rows]


def test_learning_curves_are_read_from_all_starts_of_a_run(tmp_path):
    run = student(tmp_path / "run")
    log(run, {"train/choice_loss": {4: 0.9, 9: 0.7}, "test/f1": {75: 0.8}, "validation/loss": {9: 2.0}})
    again = run / "log" / "version_10"
    again.mkdir()
    (again / "metrics.csv").write_text("epoch,step,train/choice_loss\n0,9,0.5\n0,14,0.4\n")
    assert learning_curves(run) == {"train/choice_loss": {4: 0.9, 9: 0.5, 14: 0.4}, "validation/loss": {9: 2.0}}
    assert learning_curves(tmp_path) == {}


def test_curves_of_seeds_are_averaged_where_all_have_a_value():
    assert mean_curve([{1: 1.0, 2: 3.0}, {2: 5.0, 3: 9.0}]) == {2: 4.0}
    assert mean_curve([]) == {}


def test_learning_plots(tmp_path):
    runs = [student(tmp_path / f"{seed}", seed=seed) for seed in (0, 1)]
    for seed, run in enumerate(runs):
        log(run, {"validation/loss": {0: 2.0 + seed, 5: 1.0 + seed}})
    (plot,) = learning_plots(grouped(*runs), "sample", "student")
    assert cells(plot) == [["both sources", "0", "2.5", "", ""], ["both sources", "5", "1.5", "", ""]]
    assert "both sources from 2.5 to 1.5" in plot.svg  # what those hear who do not see it


def test_ablation_bars_have_intervals(tmp_path):
    plot = student_plots.ablation_plot(grouped(student(tmp_path / "a"), student(tmp_path / "v", sources=())), "sample")
    assert [row[0] for row in cells(plot)] == ["vanilla", "both sources"]
    assert cells(plot)[1][2] == "0.800 (0.700 to 0.900)"
    assert "LineCollection" in plot.svg  # the bars' intervals


def test_risk_rises_with_coverage_where_the_surest_are_right(tmp_path):
    run = student(tmp_path / "a", predictions=questions(wrong=(0, 1)))  # the larger its number, the surer of a pair
    (plot,) = student_plots.risk_coverage_plots(grouped(run), "sample")
    risks = [float(row[2]) for row in cells(plot)]
    assert risks[:6] == [0.0] * 6
    assert risks[-1] == pytest.approx(0.25)
    assert student_plots.reliability_plots(grouped(run), "sample") == []


def test_reliability_where_a_temperature_was_fitted(tmp_path):
    run = student(tmp_path / "a", metrics={"test/temperature": 2.0})
    (plot,) = student_plots.reliability_plots(grouped(run), "sample")
    assert {row[0] for row in cells(plot)} == {"both sources", "perfectly calibrated"}


def test_histogram_of_ranks(tmp_path):
    groups = grouped(graph_model(tmp_path / "a"), graph_model(tmp_path / "b", anchored=True, shift=2))
    (plot,) = graph_plots.rank_plots(groups, "sample")
    shares = {row[0]: row[1:] for row in cells(plot)}
    assert plot.data.columns == ("rank", "TransE", "TransE + LLaDR")
    assert shares["1"] == ["0.025", "0.000"]  # of ranks 1 to 40
    assert shares["2-3"] == ["0.050", "0.025"]
    assert sum(float(share[0]) for share in shares.values()) == pytest.approx(1.0)


def test_robustness_plot_has_ours_and_the_published(tmp_path):
    groups = grouped(
        graph_model(tmp_path / "a", mrr=0.5), graph_model(tmp_path / "b", mrr=0.4, data_args={"noise": {"add": 0.2}})
    )
    (plot,) = graph_plots.robustness_plots(groups, "sample")
    lines = {}
    for row in cells(plot):
        lines.setdefault(row[0], []).append(row[1:])
    assert lines["TransE, ours"] == [["0", "0.5", "0.45", "0.55"], ["0.2", "0.4", "0.35", "0.45"]]
    assert len(lines["TransE, published"]) == 4


def test_the_map_is_the_same_each_time_and_parts_what_lies_apart(tmp_path):
    run = graph_model(tmp_path / "a")
    one, again = embedding_map(run), embedding_map(run)
    assert list(one.places) == list(again.places)
    for kind, places in one.places.items():
        assert np.array_equal(places, again.places[kind])
        middle = places.mean(0)
        others = [other.mean(0) for name, other in one.places.items() if name != kind]
        assert np.linalg.norm(places - middle, axis=1).max() < min(np.linalg.norm(middle - far) for far in others)
    assert embedding_map(tmp_path) is None
    (run / "embeddings" / "entities.tsv").write_text("Gene::1\n")
    with pytest.raises(KedrecError, match=r"1 lines, but .* has 30 rows"):
        embedding_map(run)


def test_examples_show_passages_beside_answers(tmp_path):
    groups = grouped(student(tmp_path / "a", wrong=(0, 1)), student(tmp_path / "v", sources=()))
    found = examples(groups, count=4)
    assert len(found) == 4
    assert sum(one.answers[-1].right for one in found) == 2  # as many right as wrong
    one = found[0]
    assert [answer.by for answer in one.answers] == ["teacher", "untouched base", "trained, both sources"]
    assert [passage.id[:3] for passage in one.passages] == ["NCT", "PMC"]
    assert one.passages[0].url == f"https://clinicaltrials.gov/study/{one.passages[0].id}"
    assert one.passages[1].url.endswith("#2") is False
    assert [other.by for other in one.others] == ["trained, vanilla"]
    assert one.answers[0].cited == (1, 1)
    assert one.answers[-1].cited[0] == 2
    assert found == examples(groups, count=4)


def test_examples_of_patients_stay_where_they_are(tmp_path):
    run = student(tmp_path / "a")
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(
        settings.replace("kedrec_lm.instruction_data.InstructionData", "mimic.pairwise_data.MimicPairwise")
    )
    assert examples(grouped(run)) == []


def test_old_rows_without_texts_are_shown_as_such(tmp_path):
    rows = [
        {key: value for key, value in row.items() if key not in ("texts", "answer_stating_passages")}
        for row in questions()
    ]
    found = examples(grouped(student(tmp_path / "a", predictions=rows)))
    assert {passage.text for one in found for passage in one.passages} == {""}
    assert json.dumps([one.answers[-1].cited for one in found]) == json.dumps([None] * len(found))


def test_lines_of_long_names_are_told_apart_in_the_legend(tmp_path):
    long = "TransE + LLaDR, optimizer lazy_adam, learning_rate 0.005, dim {} and more, ours"
    names = [long.format(8), long.format(64), "TransE, " + "the same " * 9 + "published"]
    told = labels(names)
    assert len(set(told)) == 3
    assert told[2].endswith("published")
    lines = [Series(name, [0.0, 1.0], [0.1, 0.2]) for name in names]
    svg = str(line_plot("x", "caption", lines, "x", "y").svg)
    assert all(f">{one}<" in svg for one in told)
