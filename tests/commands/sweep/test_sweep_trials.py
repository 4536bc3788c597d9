"""The trials of a sweep are real trainings, by the real command line: killed and resumed, and searched by Bayes."""

import csv
import functools
import json
import signal
import time
from pathlib import Path

import psutil
import pytest
import yaml

from kedrec.commands.sweep.sweep_file import read_sweep
from kedrec.commands.sweep.trial_proposals import Known, suggested
from kedrec.sweep import main
from tests.support.forked_command import ForkedCommand, run_forked
from tests.support.sweep_files import rows, written

pytestmark = pytest.mark.slow

SWEEP = "kedrec.sweep"


def awaited(found, process):
    """Wait until ``found`` says so."""
    until = time.monotonic() + 200
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def experiment(tiny_experiment, tmp_path_factory):
    """The tiny experiment, one epoch of 10 steps, that can be paused and killed at a step."""
    content = yaml.safe_load(tiny_experiment.read_text())
    content["trainer"] |= {"max_epochs": 1, "log_every_n_steps": 1}
    content["trainer"]["callbacks"].append({"class_path": "tests.support.pause_at_step.Pause"})
    path = tmp_path_factory.mktemp("sweep") / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def unbroken(experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    done = run_forked(experiment, "data.init_args.retrieval.sources=['pmc']", "seed=1", f"out={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def broken(experiment, tmp_path_factory):
    """A sweep that is prepared, told to stop, killed, its trials killed, and gone on with each time."""
    folder = tmp_path_factory.mktemp("broken")
    command = ["${env}", "python", "-m", "kedrec.fit", str(experiment), "${args_no_hyphens}"]
    arguments = (written(folder, command=command), "--out", str(folder / "out"))
    seen, store = {"folder": folder / "out"}, folder / "store"
    run_sweep = functools.partial(run_forked, *arguments, module=SWEEP, KEDREC_STORE=str(store))
    seen["prepared"] = run_sweep("--runs", "2", "--prepare")
    seen["left"] = sorted(path.name for path in (folder / "out").iterdir())
    before = set(store.glob("*/*/manifest.json"))
    seen[signal.SIGINT] = stopped(arguments, store, "4", signal.SIGINT, 1)
    seen[signal.SIGKILL] = stopped(arguments, store, "7", signal.SIGKILL, 2)
    seen["killed"] = run_sweep("--workers", "2", "--runs", "2", KILL_AT="10")
    seen["killed rows"] = rows(seen["folder"])
    seen["built by trials"] = {path.parts[-3] for path in set(store.glob("*/*/manifest.json")) - before}
    seen["done"] = run_sweep("--workers", "2", COLUMNS="200")
    return seen


def stopped(arguments, store, step, number, trials):
    """Run so many trials up to a step, send a signal to the sweep, and return how it and its trials ended."""
    counts = ("--runs", trials, "--workers", trials)
    process = ForkedCommand(SWEEP, *arguments, *counts, PAUSE_AT=step, KEDREC_STORE=str(store))
    folder = arguments[-1]

    def paused():  # a step is logged behind the callbacks, those before it by then
        found = _trials(folder)
        return len(found) == trials and all(str(int(step) - 2) in _steps(path.parent) for path in found)

    try:
        awaited(paused, process)
    except AssertionError:
        process.kill()
        raise
    at_work = psutil.Process(process.pid).children(recursive=True)
    assert len(at_work) >= trials
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(at_work, timeout=20)
    return {"status": process.returncode, "output": output, "errors": errors, "alive": alive}


def _trials(folder):
    return sorted(Path(folder).glob("*/trial.json"))


def _steps(run_folder, version=None):
    """The steps that an attempt, or any, has logged."""
    found = []
    for table in run_folder.glob(f"log/version_{'*' if version is None else version}/metrics.csv"):
        with table.open(newline="") as handle:
            found += [row["step"] for row in csv.DictReader(handle)]
    return found


def test_data_are_prepared_once_before_the_trials(broken):
    assert broken["prepared"].returncode == 0, broken["prepared"].stderr
    assert "preparing 2 settings of the data" in broken["prepared"].stdout
    assert broken["left"] == [".lock", "prepared.json"]
    assert broken["built by trials"] <= {"base-answers"}
    assert "preparing" not in broken[signal.SIGINT]["output"]
    assert "preparing 1 settings of the data" in broken["done"].stdout  # of the trial that fails


def test_ctrl_c_and_kill_9_leave_no_trial_behind(broken):
    for number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        assert broken[number]["status"] == status
        assert not broken[number]["alive"]
    assert "the same command goes on from here" in broken[signal.SIGINT]["errors"]
    assert "Traceback" not in broken[signal.SIGINT]["errors"]


def test_a_trial_that_is_killed_is_told_and_stops_no_other(broken):
    assert broken["killed"].returncode == 1
    assert [row["status"] for row in broken["killed rows"]] == ["failed", "failed"]
    assert all(row["error"].startswith("killed by SIGKILL") for row in broken["killed rows"])


def test_the_same_command_finishes_what_can_be_finished(broken, unbroken):
    found = rows(broken["folder"])
    assert broken["done"].returncode == 1
    assert [(row["data.init_args.retrieval.sources"], row["status"]) for row in found] == [
        ("['pmc']", "finished"),
        ("[]", "finished"),
        ("['pcm']", "failed"),
    ]
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert {name: float(found[0][name]) for name in metrics} == metrics
    assert float(found[1]["test/rouge1"]) >= 0
    assert float(found[0]["seconds"]) > 0
    assert found[2]["test/f1"] == ""
    assert found[2]["error"].startswith("kedrec: ")
    assert "did you mean 'pmc'" in found[2]["error"]
    assert found[2]["error"] in broken["done"].stdout


def test_trials_go_on_where_they_were_stopped(broken):
    for row, begun in zip(rows(broken["folder"]), ([0, 3, 6, 9], [0, 6, 9]), strict=False):
        folder = broken["folder"] / row["trial"]
        assert str(folder) == row["run"]
        assert (folder / "output.log").is_file()
        assert [min(map(int, _steps(folder, version))) for version in range(len(begun))] == begun


def test_what_is_finished_is_not_run_again(broken):
    trials = [path.parent / "metrics.json" for path in _trials(broken["folder"])]
    before = [path.stat().st_mtime_ns for path in trials if path.is_file()]
    assert main([str(broken["folder"].parent / "small.yaml"), "--out", str(broken["folder"]), "--runs", "2"]) == 0
    assert [path.stat().st_mtime_ns for path in trials if path.is_file()] == before


@pytest.mark.usefixtures("store")
def test_bayes_compares_by_validation_and_goes_on_with_what_it_would_have_tried(tmp_path, capfd):
    rate = "model.init_args.optimizer.learning_rate"
    small = ["model.init_args.dim=16", "data.init_args.loader.batch_size=256", "data.init_args.negatives.count=16"]
    short = ["trainer.max_steps=4", "trainer.val_check_interval=2", "trainer.enable_progress_bar=false"]
    path = written(
        tmp_path,
        method="bayes",
        run_cap=2,
        metric={"name": "validation/mrr", "goal": "maximize"},
        parameters={rate: {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}},
        command=["python", "-m", "kedrec.fit", "experiments/transe_base.yaml", *small, *short, "${args}"],
        early_terminate={"type": "hyperband", "min_iter": 2},
    )
    out = tmp_path / "out"
    assert main([str(path), "--out", str(out)]) == 0
    assert "early_terminate works at W&B only" in capfd.readouterr().err
    first = {path.parent.name: path.read_text() for path in _trials(out)}
    known = []
    for record in sorted(map(json.loads, first.values()), key=lambda record: record["number"]):
        (row,) = [row for row in rows(out) if row[rate] in str(record["values"])]
        validated = _logged(out / row["trial"], "validation/mrr")
        assert len(validated) == 2
        assert float(row["validation/mrr"]) == max(validated)
        known.append(Known(record["point"], max(validated)))
    assert main([str(path), "--out", str(out), "--runs", "3"]) == 0
    assert {name: (out / name / "trial.json").read_text() for name in first} == first
    values, _ = suggested(read_sweep(path).parameters, "maximize", known, 2, 0)
    (third,) = [json.loads(path.read_text()) for path in _trials(out) if path.parent.name not in first]
    assert third["values"] == values
    assert main([str(path), "--out", str(out), "seed=1"]) == 2
    assert "this folder holds a search with other settings" in capfd.readouterr().err


def _logged(folder, name):
    with (folder / "log" / "version_0" / "metrics.csv").open(newline="") as handle:
        return [float(row[name]) for row in csv.DictReader(handle) if row.get(name)]
