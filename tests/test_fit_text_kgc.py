"""The real command line on the sample's graph: baselines that read names, KGT5 and CSProm-KG."""

import json

import pytest
import yaml

from tests.support.command_in_process import run_in_process
from tests.support.command_process import REPOSITORY
from tests.support.forked_command import run_forked

pytestmark = pytest.mark.slow

MODELS = ("kgt5", "csprom")


@pytest.fixture(scope="module")
def small(tmp_path_factory, tiny_encoder_folder, store):
    """The experiment of a model in little."""
    little = {
        "kgt5": {"width": 16, "layers": 1, "heads": 2, "feed_forward": 32, "tokens": 2000},
        "csprom": {"encoder": str(tiny_encoder_folder), "layers": 1, "dim": 16, "prompt_hidden": 16},
    }

    def write(model):
        content = yaml.safe_load((REPOSITORY / "experiments" / f"{model}.yaml").read_text())
        content["model"] = {"init_args": little[model]}
        negatives = {"count": 1, "chunks": 1}
        data = {"split": {"unseen_diseases": 5}, "loader": {"batch_size": 64}, "negatives": negatives}
        content["data"] = {"init_args": data}
        content["trainer"] = {
            "accelerator": "cpu",
            "max_steps": 20,
            "val_check_interval": 10,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": [
                {
                    "class_path": "kedrec.training.checkpoints.KeepLast",
                    "init_args": {"folder": "${run_dir}/checkpoints", "every": 5},
                },
                {"class_path": "tests.support.kill_at_step.Kill"},
            ],
        }
        path = tmp_path_factory.mktemp(model) / "small.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize("model", MODELS)
def test_after_kill_9_the_same_command_ends_with_the_same_numbers_and_weights(model, small, tmp_path):
    """Dropout, the learned tokenizer and first values all follow from the seed and what the checkpoint holds."""
    experiment = small(model)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run_in_process(experiment, f"out={whole}")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((whole / "metrics.json").read_text())
    assert {
        "test/pairs/all/mrr",
        "test/pairs/typed/hits@10",
        "test/diseases/typed/tail/mrr",
        "test/diseases/lladr_published/mrr_expected",
    } <= metrics.keys()
    rows = [json.loads(line) for line in (whole / "predictions.jsonl").read_text().splitlines()]
    assert {compound["known"] for row in rows for compound in row["compounds"]} > {None, "training"}
    for row in rows:
        assert row["id"].startswith("Disease::")
        scores = [compound["score"] for compound in row["compounds"]]
        assert scores == sorted(scores, reverse=True)
    assert run_forked(experiment, f"out={broken}", KILL_AT="17").returncode == -9
    resumed = run_forked(experiment, f"out={broken}")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("metrics.json", f"{model}/model.safetensors", "predictions.jsonl"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
