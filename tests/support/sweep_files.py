"""A small sweep file, and the table that a sweep leaves."""

import csv

import yaml


def written(folder, name="small", **changes):
    content = {
        "method": "grid",
        "metric": {"name": "test/f1", "goal": "maximize"},
        "parameters": {
            "data.init_args.retrieval.sources": {"values": [["pmc"], [], ["pcm"]]},
            "seed": {"value": 1},
            "use.logger": {"value": "wandb"},
        },
        "command": ["${env}", "python", "-m", "kedrec.fit", "experiments/both_sources.yaml", "${args_no_hyphens}"],
        **changes,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def rows(folder):
    with (folder / "results.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))
