import pytest

from kedrec.reporting.groups import Figure, group_runs, told_apart
from kedrec.reporting.runs import find_runs
from tests.reporting.planted import SHA, graph_model, student


def grouped(*folders):
    return group_runs(find_runs(folders)[0], SHA["sample"])


def test_seeds_are_one_group_with_mean_spread_and_interval(tmp_path):
    runs = [student(tmp_path / f"s{seed}", seed=seed, f1=f1) for seed, f1 in enumerate((0.7, 0.8, 0.9))]
    (group,) = grouped(*runs)
    figure = group.figure("test/f1")
    assert (figure.mean, figure.sd, figure.seeds) == (pytest.approx(0.8), pytest.approx(0.1), 3)
    assert (figure.low, figure.high) == (pytest.approx(0.7), pytest.approx(0.9))
    assert group.figure("base/f1").sd is None  # of an untouched base there is no spread
    assert group.figure("test/nothing") is None
    assert (group.kind, group.model, group.data) == ("student", "both", "sample")


def test_settings_that_differ_part_groups_and_places_do_not(tmp_path):
    same = student(tmp_path / "a"), student(tmp_path / "elsewhere" / "b", seed=1)
    other = student(tmp_path / "c", data_args={"passage_order": "question"})
    groups = grouped(*same, other)
    assert [[run.path.name for run in group.runs] for group in groups] == [["a", "b"], ["c"]]
    assert list(told_apart(groups).values()) == ["passage_order default", "passage_order question"]


def test_the_same_seed_twice_is_no_second_seed(tmp_path):
    runs = [student(tmp_path / name, f1=f1) for name, f1 in (("a", 0.5), ("b", 0.9))]
    groups = grouped(*runs)
    assert [group.figure("test/f1").seeds for group in groups] == [1, 1]
    assert len(set(told_apart(groups).values())) == 2


def test_rows_of_both_papers(tmp_path):
    folders = [
        student(tmp_path / "v", sources=()),
        student(tmp_path / "c", sources=("clinical_trials",)),
        student(tmp_path / "p", sources=("pmc",)),
        student(tmp_path / "b", sources=("pmc", "clinical_trials")),
        graph_model(tmp_path / "t"),
        graph_model(tmp_path / "tl", anchored=True),
        graph_model(tmp_path / "r", scorer="rotate"),
        graph_model(tmp_path / "n", data_args={"delete": 0.2}),
        graph_model(tmp_path / "real", data="real"),
    ]
    groups = grouped(*folders)
    assert [(group.data, group.model, group.varied) for group in groups] == [
        ("sample", "TransE", {}),
        ("sample", "TransE", {"delete": 0.2}),
        ("sample", "TransE + LLaDR", {}),
        ("sample", "RotatE", {}),
        ("sample", "vanilla", {}),
        ("sample", "clinical_trials", {}),
        ("sample", "pmc", {}),
        ("sample", "both", {}),
        ("data/graph", "TransE", {}),
    ]


def test_difference_to_a_published_number_keeps_the_interval():
    less = Figure(0.8, 0.7, 0.9).less(0.6)
    assert (less.mean, less.low, less.high) == (pytest.approx(0.2), pytest.approx(0.1), pytest.approx(0.3))
