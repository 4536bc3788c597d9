"""Embeddings whose training is killed, or shared by two processes: the same numbers come out."""

import json

import pytest
import torch

from tests.support.command_process import run
from tests.support.forked_command import run_forked, run_ranks
from tests.support.trained_runs import trained
from tests.test_fit_kge import tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unbroken(small_lladr):
    return trained(small_lladr)


@pytest.mark.parametrize(
    "moment", ["27", "40", "70", "75", "validation", "test"]
)  # an epoch has 20 batches, a validation is due at 70
def test_after_kill_9_the_same_command_ends_with_the_same_embeddings(moment, unbroken, small_lladr, tmp_path):
    killed = run_forked(small_lladr, f"out={tmp_path}", KILL_AT=moment)
    assert killed.returncode == -9
    resumed = run_forked(small_lladr, f"out={tmp_path}")
    assert resumed.returncode == 0, resumed.stderr
    folder = unbroken
    for name in ("metrics.json", "embeddings/embeddings.safetensors", "predictions.jsonl"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_checkpoint_where_a_validation_is_due_knows_its_outcome(small_lladr, tmp_path):
    """Going on does not validate again: saved before, the run would forget which checkpoint is best."""
    assert run_forked(small_lladr, f"out={tmp_path}", KILL_AT="75").returncode == -9
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 70
    scores = [state["best"] for state in last["callbacks"].values() if "best" in state]
    assert scores
    assert None not in scores


def test_processes_of_their_own_with_several_threads_end_with_the_same_embeddings(small_lladr, tmp_path):
    """What the other tests see of forked processes with one thread holds for those that a user starts."""
    threads = {"OMP_NUM_THREADS": "2"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run(small_lladr, f"out={whole}", **threads)
    assert done.returncode == 0, done.stderr
    assert run(small_lladr, f"out={broken}", KILL_AT="75", **threads).returncode == -9
    resumed = run(small_lladr, f"out={broken}", **threads)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("metrics.json", "embeddings/embeddings.safetensors", "predictions.jsonl"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name


TWO = ("trainer.devices=2", "trainer.strategy=ddp", "data.init_args.loader.batch_size=128")
TWO = (*TWO, "data.init_args.negatives.chunks=2")


def test_two_processes_share_a_graph_and_count_each_answer_once(unbroken, small_lladr, tmp_path):
    one = unbroken
    two, broken = tmp_path / "two", tmp_path / "broken"
    done = run_ranks(2, small_lladr, f"out={two}", *TWO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1
    mine, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (one, two))
    assert mine.keys() == theirs.keys()
    counted = [name for name in mine if name.endswith("/n")]
    assert counted
    assert all(mine[name] == theirs[name] for name in counted)
    # As many triples a step; other corruptions, so other numbers, but no worse a model.
    assert theirs["test/pairs/all/auc"] == pytest.approx(mine["test/pairs/all/auc"], abs=0.03)
    assert theirs["test/pairs/all/mrr"] != mine["test/pairs/all/mrr"]
    ids = [[json.loads(line)["id"] for line in (folder / "predictions.jsonl").open()] for folder in (one, two)]
    assert ids[0] == ids[1]
    killed = run_ranks(2, small_lladr, f"out={broken}", *TWO, KILL_AT="83")
    assert killed.returncode != 0
    resumed = run_ranks(2, small_lladr, f"out={broken}", *TWO)
    assert resumed.returncode == 0, resumed.stderr
    assert (broken / "metrics.json").read_text() == (two / "metrics.json").read_text()
    assert (tables(broken)[0] == tables(two)[0]).all()
