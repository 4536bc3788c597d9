import csv
import importlib
import inspect
import json
import pkgutil

import pytest
from lightning import LightningDataModule

import kedrec
from kedrec.commands.report.reported_runs import find_runs
from kedrec.errors import KedrecError
from tests.support.written_runs import graph_model, student


def test_runs_are_found_at_any_depth_and_once(tmp_path):
    one = student(tmp_path / "runs" / "both" / "a1")
    two = graph_model(tmp_path / "runs" / "transe" / "b2")
    runs, left = find_runs([tmp_path / "runs", one])
    assert {run.path for run in runs} == {one, two}
    assert left == []


def test_an_unfinished_run_is_left_out_of_a_folder_and_refused_by_name(tmp_path):
    student(tmp_path / "runs" / "a")
    broken = student(tmp_path / "runs" / "b")
    (broken / "metrics.json").unlink()
    runs, left = find_runs([tmp_path / "runs"])
    assert [run.path.name for run in runs] == ["a"]
    assert [(place, "not finished" in why) for place, why in left] == [(broken, True)]
    with pytest.raises(KedrecError, match=r"metrics\.json: no such file: the run is not finished"):
        find_runs([broken])


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("metrics.json", "{", "damaged"),
        ("metrics.json", "[1]", "damaged .expected an object"),
        ("provenance.json", "[", "damaged"),
        ("provenance.json", "[1]", "damaged"),
        ("provenance.json", "null", "damaged"),
        ("provenance.json", '{"data": null}', "provenance.json: damaged"),
        ("config.yaml", "{model: {}, data: {}, trainer: {}, seed: null}", "seed: None"),
        ("config.yaml", "a: [", "not valid YAML"),
        ("config.yaml", "- a", "model: missing"),
        ("config.yaml", "model: {}", "data: missing"),
    ],
)
def test_a_damaged_file_is_one_message(tmp_path, file, content, told):
    run = student(tmp_path / "run")
    (run / file).write_text(content)
    with pytest.raises(KedrecError, match=told) as fault:
        find_runs([run])
    assert str(run) in str(fault.value)


def test_a_damaged_line_names_its_file(tmp_path):
    run = student(tmp_path / "run")
    (run / "predictions.jsonl").write_text('{"pair": 1}\n{"pair"\n')
    with pytest.raises(KedrecError, match=r"predictions\.jsonl: damaged"):
        find_runs([run])[0][0].rows("predictions.jsonl")


@pytest.mark.parametrize(("file", "row"), [("predictions.jsonl", "[1]"), ("predictions.jsonl", '{"pair": "a|b|c"}')])
def test_a_row_without_its_fields_names_its_file_and_number(tmp_path, file, row):
    run = student(tmp_path / "run")
    (run / file).write_text(f"{row}\n")
    with pytest.raises(KedrecError, match=r"predictions\.jsonl, row 1: the field '(pair|disease)' is missing"):
        find_runs([run])[0][0].rows(file)


def test_ranks_without_their_fields_name_the_file(tmp_path):
    run = graph_model(tmp_path / "run", ranks=[{"set": "pairs"}])
    with pytest.raises(KedrecError, match=r"ranks\.jsonl, row 1: the field 'head' is missing"):
        find_runs([run])[0][0].rows("ranks.jsonl")


def test_a_test_that_was_copied_in_part_does_not_stand_for_its_run(tmp_path):
    run = student(tmp_path / "run", f1=0.5)
    place = run / "evaluations" / find_runs([run])[0][0].finished.id
    place.mkdir(parents=True)
    (place / "metrics.json").write_text(json.dumps({"test/f1": 0.9}))
    assert find_runs([run])[0][0].metrics["test/f1"] == 0.5


@pytest.mark.parametrize(
    "content", [b"trial,status,run\n\xff,finished,x\n", b"trial,status,run\nt1,finished\n", b"a,b\n1,2\n"]
)
def test_a_table_that_is_no_sweeps_is_one_message(tmp_path, content):
    student(tmp_path / "sweep" / "t1")
    (tmp_path / "sweep" / "results.csv").write_bytes(content)
    with pytest.raises(KedrecError, match=r"results\.csv: not the results of kedrec\.sweep"):
        find_runs([tmp_path / "sweep"])


def test_what_is_no_folder_of_runs(tmp_path):
    with pytest.raises(KedrecError, match="no such folder"):
        find_runs([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(KedrecError, match="holds no finished run"):
        find_runs([tmp_path / "empty"])


def test_a_newer_test_of_the_very_run_stands_for_it(tmp_path):
    run = student(tmp_path / "run", f1=0.5)
    identity = find_runs([run])[0][0].finished.id
    place = run / "evaluations" / identity
    place.mkdir(parents=True)
    (place / "metrics.json").write_text(json.dumps({"test/f1": 0.6, "test/ece": 0.1}))
    (place / "provenance.json").write_text(json.dumps({"commit": "newer", "seconds": 3.0}))
    (place / "audits.jsonl").write_text('{"audit": "names_masked"}\n')
    other = run / "evaluations" / "0000000000"  # of other questions: not this run's numbers
    other.mkdir()
    (other / "metrics.json").write_text(json.dumps({"test/f1": 0.9}))
    found = find_runs([run])[0][0]
    assert (found.metrics["test/f1"], found.metrics["test/ece"], found.metrics["base/f1"]) == (0.6, 0.1, 0.4)
    assert found.commit == "newer"
    assert found.seconds["train"] == 60.0
    assert found.rows("audits.jsonl") == [{"audit": "names_masked"}]
    assert len(found.rows("predictions.jsonl")) == 16


def test_a_sweeps_folder(tmp_path):
    student(tmp_path / "sweep" / "t1")
    elsewhere = student(tmp_path / "far" / "t2")
    with (tmp_path / "sweep" / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "seed", "status", "seconds", "run", "error"])
        writer.writerow(["t1", 0, "finished", 1, "gone/t1", ""])
        writer.writerow(["t2", 1, "finished", 1, elsewhere, ""])
        writer.writerow(["t3", 2, "failed", 1, tmp_path / "sweep" / "t3", "out of memory"])
    runs, left = find_runs([tmp_path / "sweep"])
    assert sorted(run.path.name for run in runs) == ["t1", "t2"]
    assert [why for _, why in left] == ["failed: out of memory"]


def test_rows_of_unknown_data_are_private(tmp_path):
    run = student(tmp_path / "a")
    assert not find_runs([run])[0][0].private
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(
        settings.replace("kedrec.kedrec_lm.instruction_data.InstructionData", "somebody.elses.Data")
    )
    assert find_runs([run])[0][0].private


def test_a_run_records_whether_its_data_are_private(tmp_path):
    run = student(tmp_path / "a")
    record = json.loads((run / "provenance.json").read_text())
    for private in (True, False):
        (run / "provenance.json").write_text(json.dumps({**record, "private": private}))
        assert find_runs([run])[0][0].private is private


def test_of_a_run_without_the_record_the_class_says_whether_its_data_are_private(tmp_path):
    classes = {
        "kedrec.kedrec_lm.exprxrec.ExpRxRec": False,
        "kedrec.lladr.triple_data.TripleData": False,
        "kedrec.mimic.pairwise_data.MimicPairwise": True,
        "kedrec.mimic.visit_data.VisitData": True,
        "kedrec.mimic.visit_data.Nothing": True,
        "kedrec.nowhere.Data": True,
    }
    for number, (name, private) in enumerate(classes.items()):
        run = student(tmp_path / str(number))
        settings = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(settings.replace("kedrec.kedrec_lm.instruction_data.InstructionData", name))
        assert find_runs([run])[0][0].private is private, name


def test_the_data_of_patients_are_private_and_no_others():
    found = {}
    for module in pkgutil.walk_packages(kedrec.__path__, "kedrec."):
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, LightningDataModule) and kind.__module__ == module.name:
                found[name] = kind.private
    assert {name for name, private in found.items() if private} == {"DrugSetData", "MimicPairwise", "VisitData"}
    assert {"InstructionData", "ExpRxRec", "TripleData"} < {name for name, private in found.items() if not private}
