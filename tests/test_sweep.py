"""The sweep command: arrays, tables, and what a user gets wrong; nothing is trained."""

import json
import shlex
import statistics
import sys

import pytest
from filelock import FileLock

from kedrec.commands.sweep.sweep_file import read_sweep
from kedrec.sweep import main
from tests.support.sweep_files import rows, written


@pytest.fixture
def array(tmp_path, capsys, monkeypatch):
    """A sweep that a job array has run: its file, its folder, and the F1 of each trial in the order of the lines."""
    monkeypatch.setenv("COLUMNS", "200")
    parameters = {"data.init_args.retrieval.sources": {"values": [[], ["pmc"]]}, "seed": {"values": [0, 1, 2]}}
    path, out = written(tmp_path, parameters=parameters), tmp_path / "out"
    assert main([str(path), "--array", "--out", str(out)]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    scores = [0.5, 0.25, 0.75, 0.8, 0.9, 0.7]
    for line, score in zip(lines, scores, strict=True):
        folder = out / line[-1].removeprefix(f"out={out}/")
        folder.mkdir(parents=True)
        metrics = {"base/f1": 0.4, "test/f1": score, "test/f1_low": score - 0.1}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "provenance.json").write_text(json.dumps({"seconds": {"train": 30.0, "test": 12.0}}))
    return path, out, scores


def test_an_array_has_one_line_a_trial_with_what_wandb_would_run(tmp_path, capsys):
    path = written(tmp_path)
    assert main([str(path), "--array", "trainer.max_steps=4", "--out", "some where"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(set(lines)) == 3
    sweep = read_sweep(path)
    theirs = sweep.agent_command({"data.init_args.retrieval.sources": ["pmc"], "seed": 1, "use.logger": "wandb"})
    *words, out = shlex.split(lines[0])
    assert words == [*theirs[1:-1], "use.logger=csv", "trainer.max_steps=4"]
    assert out.startswith("out=some where/")
    assert main([str(path), "--array", "use.logger=wandb"]) == 0
    assert "use.logger=csv" not in capsys.readouterr().out


def test_random_trials_are_the_first_of_any_number_of_them(tmp_path, capsys):
    parameters = {"seed": {"min": 0, "max": 5}}
    path = written(tmp_path, method="random", parameters=parameters, run_cap=3)

    def lines(*arguments):
        assert main([str(path), "--array", *arguments]) == 0
        return capsys.readouterr().out.splitlines()

    few, more = lines(), lines("--runs", "20")
    assert more[:3] == few
    assert len(set(more)) == len(more) == 6  # there are no more


def test_what_an_array_has_run_is_taken_in_and_shown_best_first(array, capsys):
    path, out, scores = array
    assert main([str(path), "--out", str(out)]) == 0
    shown = capsys.readouterr().out.splitlines()
    firsts = [line for line in shown if "42" in line and "┃" not in line]
    assert [score for line in firsts for score in scores if f"{score:.3f}" in line] == sorted(scores, reverse=True)
    spread = {name: next(line for line in shown if "±" in line and name in line) for name in ("['pmc']", "[] ")}
    assert f"0.800 ± {statistics.stdev(scores[3:]):.3f}" in spread["['pmc']"]
    assert "0.500 ± 0.250" in spread["[] "]
    assert "0.400 ± 0.000" in spread["[] "]
    assert shown.index(spread["['pmc']"]) < shown.index(spread["[] "])
    found = rows(out)
    assert list(found[0]) == [
        *("trial", "data.init_args.retrieval.sources", "seed", "status", "seconds", "run", "error"),
        *("base/f1", "test/f1", "test/f1_low"),
    ]
    assert [float(row["test/f1"]) for row in found] == scores
    assert {row["seconds"] for row in found} == {"42.0"}


def test_a_metric_that_no_trial_has_is_one_line(array, capsys):
    path, out, _ = array
    path.write_text(path.read_text().replace("test/f1", "test/f2"))
    assert main([str(path), "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert f"{path}: metric.name: test/f2" in message
    assert "did you mean 'test/f1'" in message


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({}, ["out=here"], "--out DIR"),
        ({}, ["--workers", "0"], "--workers: 0; expected 1 or more"),
        ({}, ["--runs", "-1"], "--runs: -1"),
        ({}, ["--worker", "2"], "'--worker': expected key=value"),
        ({}, ["sead=1"], "sead"),
        ({"method": "random"}, [], "run_cap: missing; a random search needs it, or --runs N"),
        ({"method": "bayes"}, ["--array", "--runs", "3"], "cannot be an array"),
        ({"command": ["python", "-m", "kedrec.fit", "nowhere.yaml", "${args}"]}, [], "nowhere.yaml: no such file"),
    ],
)
def test_faults_of_the_user_are_one_line(changes, arguments, words, tmp_path, capsys):
    assert main([str(written(tmp_path, **changes)), "--out", str(tmp_path / "out"), *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("kedrec: ")
    assert words in message
    assert message.count("\n") == 1


def test_without_a_file_it_says_how_it_is_used(capsys):
    assert main([]) == 2
    assert "--workers N" in capsys.readouterr().out


def test_two_sweeps_in_one_folder_and_a_missing_library_are_one_line_each(tmp_path, capsys, monkeypatch):
    path = written(tmp_path, method="bayes", run_cap=1)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        assert main([str(path), "--out", str(tmp_path / "out")]) == 2
    assert "another process is at work on this sweep" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main([str(path), "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'kedrec[sweeps]'" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--array"]])
def test_an_old_name_in_the_file_is_one_error_that_says_the_new_one(tmp_path, capsys, option):
    old, new = "kedrec.data.triples.TripleData", "kedrec.lladr.triple_data.TripleData"
    path = written(tmp_path, parameters={"data.class_path": {"values": [old]}})
    out = ["--out", str(tmp_path / "out")]
    assert main([str(path), *option, *out]) == 2
    assert capsys.readouterr().err == f"kedrec: {path}: parameters.data.class_path: {old} has moved; write {new}\n"
    assert main([str(written(tmp_path)), f"data.class_path={old}", *option, *out]) == 2
    assert capsys.readouterr().err == f"kedrec: command line: data.class_path: {old} has moved; write {new}\n"
