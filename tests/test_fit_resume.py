"""Training that is killed or interrupted: the same command goes on, and ends with the same numbers."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.command_process import run
from tests.support.forked_command import ForkedCommand, run_forked
from tests.support.trained_runs import trained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def unbroken(tiny_experiment):
    return trained(tiny_experiment)


@pytest.mark.parametrize("moment", ["4", "11", "validation", "test"])
def test_after_kill_9_the_same_command_ends_with_the_same_numbers(moment, unbroken, tiny_experiment, tmp_path):
    folder = unbroken
    broken = tmp_path / "run"
    killed = run_forked(tiny_experiment, f"out={broken}", KILL_AT=moment)
    assert killed.returncode == -9
    assert not (broken / "metrics.json").exists()
    resumed = run_forked(tiny_experiment, f"out={broken}")
    assert resumed.returncode == 0, resumed.stderr
    assert (broken / "metrics.json").read_text() == (folder / "metrics.json").read_text()
    assert (broken / "predictions.jsonl").read_text() == (folder / "predictions.jsonl").read_text()
    name = Path("adapter") / "adapter_model.safetensors"
    assert (broken / name).read_bytes() == (folder / name).read_bytes()


def test_wandb_offline_keeps_its_id_over_a_resume_and_gets_examples_and_adapter(tiny_experiment, tmp_path):
    folder = tmp_path / "run"
    arguments = (f"out={folder}", "use.logger=wandb")
    assert run_forked(tiny_experiment, *arguments, WANDB_MODE="offline", KILL_AT="8").returncode == -9
    done = run_forked(tiny_experiment, *arguments, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    attempts = [path.name for path in (folder / "wandb").glob("offline-run-*")]
    assert len(attempts) == 2
    assert len({name.rsplit("-", 1)[1] for name in attempts}) == 1
    tables = list(folder.glob("wandb/offline-run-*/files/media/table/examples*.json"))
    assert len(tables) == 1
    assert len(json.loads(tables[0].read_text())["data"]) == 3


def test_ctrl_c_says_how_to_go_on(tiny_experiment, unbroken, tmp_path):
    folder = unbroken
    broken = tmp_path / "run"
    stopped = run_forked(tiny_experiment, f"out={broken}", KILL_AT="7", KILL_GENTLY="1")
    assert stopped.returncode == 130, stopped.stderr
    assert "goes on from the last checkpoint" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert run_forked(tiny_experiment, f"out={broken}").returncode == 0
    assert (broken / "metrics.json").read_text() == (folder / "metrics.json").read_text()


def test_processes_of_their_own_with_several_threads_end_with_the_same_numbers(tiny_experiment, tmp_path):
    """What the other tests see of forked processes with one thread holds for those that a user starts."""
    whole, broken, threads = tmp_path / "whole", tmp_path / "broken", {"OMP_NUM_THREADS": "2"}
    done = run(tiny_experiment, f"out={whole}", **threads)
    assert done.returncode == 0, done.stderr
    assert run(tiny_experiment, f"out={broken}", KILL_AT="11", **threads).returncode == -9
    resumed = run(tiny_experiment, f"out={broken}", **threads)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("metrics.json", "predictions.jsonl", "adapter/adapter_model.safetensors"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_a_read_only_store_and_a_full_disk_are_one_line_each(tiny_experiment, unbroken, store, tmp_path):
    empty = tmp_path / "store"
    empty.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "none", str(empty)], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounts are not allowed here")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", str(small)], check=True)
    whole = tmp_path / "whole"
    whole.mkdir()
    subprocess.run(["mount", "--bind", "-o", "ro", str(store), str(whole)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(whole)], check=True)
    try:
        refused = run_forked(tiny_experiment, f"out={tmp_path / 'a'}", KEDREC_STORE=str(empty))
        full = run_forked(tiny_experiment, f"out={small / 'run'}")
        served = run_forked(tiny_experiment, f"out={tmp_path / 'b'}", KEDREC_STORE=str(whole))
        left = [path.name for path in small.rglob("*") if "partial" in path.name]
    finally:
        for place in (empty, small, whole):
            subprocess.run(["umount", str(place)], check=True)
    assert refused.returncode == 2
    assert "it cannot be written; free some space, or set KEDREC_STORE" in refused.stderr
    assert full.returncode == 2
    assert "the disk is full; free some space, or choose another folder with out=DIR" in full.stderr
    for done in (refused, full):
        assert "Traceback" not in done.stderr
    assert not left
    assert served.returncode == 0, served.stderr
    metrics = (tmp_path / "b" / "metrics.json").read_text()
    assert metrics == (unbroken / "metrics.json").read_text()


def test_two_fits_at_once_on_an_empty_store_build_once_and_agree(tiny_experiment, unbroken, tmp_path):
    store = str(tmp_path / "store")
    both = [ForkedCommand("kedrec.fit", tiny_experiment, f"out={tmp_path / name}", KEDREC_STORE=store) for name in "ab"]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    for name in "ab":
        assert (tmp_path / name / "metrics.json").read_text() == (unbroken / "metrics.json").read_text()
