"""An experiment of LLaDR small enough for the tests: the sample's graph, rows of 64 numbers, an encoder at random."""

import yaml

from tests.support.command_process import REPOSITORY


def write_small_lladr(path, encoder):
    """Write the experiment's file; ``encoder`` is the folder of the tiny encoder."""
    content = yaml.safe_load((REPOSITORY / "experiments" / "lladr_transe.yaml").read_text())
    content["model"] = {"init_args": {"dim": 64, "anchor": {"projection": "pca"}}}
    content["data"]["init_args"] |= {
        "anchors": {"sources": ["text"], "encoder": str(encoder)},
        "split": {"unseen_diseases": 5},
        "loader": {"batch_size": 256},
        "negatives": {"count": 64, "chunks": 4},
    }
    content["trainer"] = {
        "accelerator": "cpu",
        "max_steps": 150,
        "val_check_interval": 70,
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
    path.write_text(yaml.safe_dump(content))
