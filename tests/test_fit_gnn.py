"""The real command line on the sample's graph: graph neural networks."""

import json

import numpy as np
import pytest
import yaml

from tests.support.command_in_process import run_in_process
from tests.support.command_process import REPOSITORY
from tests.support.forked_command import run_forked


@pytest.fixture(scope="module")
def small(tmp_path_factory, store):
    """The experiment of a layer in little."""

    def write(layer, **encoder):
        content = yaml.safe_load((REPOSITORY / "experiments" / f"gnn_{layer}.yaml").read_text())
        content["model"] = {"init_args": {"dim": 16, "encoder": {"width": 16, "bases": 2, **encoder}}}
        negatives = {"count": 64, "chunks": 4}
        data = {"split": {"unseen_diseases": 5}, "loader": {"batch_size": 256}, "negatives": negatives}
        content["data"] = {"init_args": data}
        content["trainer"] = {
            "accelerator": "cpu",
            "max_steps": 60,
            "val_check_interval": 30,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": [
                {
                    "class_path": "kedrec.training.checkpoints.KeepLast",
                    "init_args": {"folder": "${run_dir}/checkpoints", "every": 10},
                },
                {"class_path": "tests.support.kill_at_step.Kill"},
            ],
        }
        path = tmp_path_factory.mktemp("gnn") / "small.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize("layer", ["rgcn", "gat"])
def test_a_run_leaves_metrics_and_the_rows_that_are_scored(layer, small, tmp_path):
    from safetensors.numpy import load_file

    done = run_in_process(small(layer), f"out={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"test/pairs/all/mrr", "test/diseases/lladr_published/mrr_expected"} <= metrics.keys()
    found = load_file(folder / "embeddings" / "embeddings.safetensors")
    ids = (folder / "embeddings" / "entities.tsv").read_text().splitlines()
    kinds = (folder / "embeddings" / "relations.tsv").read_text().splitlines()
    row = json.loads((folder / "predictions.jsonl").read_text().splitlines()[0])
    for compound in row["compounds"][:5]:
        head, relation, tail = (
            found["entity"][ids.index(compound["id"])],
            found["relation"][kinds.index(compound["relation"])],
            found["entity"][ids.index(row["id"])],
        )
        distance = np.abs(head + relation - tail).sum()  # TransE, L1
        assert found["scorer.gamma"] - distance == pytest.approx(compound["score"], abs=1e-4)


@pytest.mark.slow
def test_after_kill_9_sampled_training_ends_with_the_same_embeddings(small, tmp_path):
    """Dropout and DGL's samples follow from what the checkpoint holds; on one thread, as several draw as they come."""
    experiment = small("sage", fanouts=[5, 5])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    one = {"OMP_NUM_THREADS": "1"}
    assert run_in_process(experiment, f"out={whole}", **one).returncode == 0
    assert run_forked(experiment, f"out={broken}", KILL_AT="27", **one).returncode == -9
    resumed = run_forked(experiment, f"out={broken}", **one)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("metrics.json", "embeddings/embeddings.safetensors", "predictions.jsonl"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
