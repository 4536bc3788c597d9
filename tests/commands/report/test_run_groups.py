import pytest

from kedrec.commands.report.report_tables import file_part
from kedrec.commands.report.reported_runs import find_runs
from kedrec.commands.report.run_groups import Figure, distinctions, group_runs
from tests.support import written_runs as planted
from tests.support.written_runs import SHA, graph_model, student


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
    assert list(distinctions(groups).values()) == ["passage_order default", "passage_order question"]


def test_the_same_seed_twice_is_no_second_seed(tmp_path):
    runs = [student(tmp_path / name, f1=f1) for name, f1 in (("a", 0.5), ("b", 0.9))]
    groups = grouped(*runs)
    assert [group.figure("test/f1").seeds for group in groups] == [1, 1]
    assert len(set(distinctions(groups).values())) == 2


def test_folders_of_one_name_are_told_apart(tmp_path):
    groups = grouped(*(student(tmp_path / place / "0") for place in "abc"))
    assert len(set(distinctions(groups).values())) == 3


def test_graphs_are_told_by_their_checksum(tmp_path, monkeypatch):
    for name, path, checksum in (
        ("here", "/y/data/graph", "a"),
        ("there", "/z/copy/of", "a"),
        ("dash", "/y/data-graph/x", "b"),
        ("slash", "/y/data/graph-x", "c"),
        ("one", "/y/\u56f3/\u8868", "d"),
        ("two", "/y/\u672c/\u7d19", "e"),
    ):
        monkeypatch.setitem(planted.GRAPHS, name, path)
        monkeypatch.setitem(planted.SHA, name, checksum * 64)
    runs = [graph_model(tmp_path / name, data=name) for name in ("here", "there", "dash", "slash", "one", "two")]
    found = {group.first.path.name: group.data for group in grouped(*runs)}
    assert found.get("there", found["here"]) == found["here"] == "data/graph"
    assert len({file_part(data) for data in found.values()}) == 5


def test_bounds_that_are_no_numbers_are_none(tmp_path):
    (group,) = grouped(student(tmp_path / "a", metrics={"test/f1_low": float("nan"), "base/f1_high": None}))
    assert (group.figure("test/f1").low, group.figure("base/f1").high) == (None, None)


def test_rows_of_both_papers(tmp_path):
    folders = [
        student(tmp_path / "v", sources=()),
        student(tmp_path / "c", sources=("clinical_trials",)),
        student(tmp_path / "p", sources=("pmc",)),
        student(tmp_path / "b", sources=("pmc", "clinical_trials")),
        graph_model(tmp_path / "t"),
        graph_model(tmp_path / "tl", anchored=True),
        graph_model(tmp_path / "r", scorer="rotate"),
        graph_model(tmp_path / "n", data_args={"noise": {"delete": 0.2}}),
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
