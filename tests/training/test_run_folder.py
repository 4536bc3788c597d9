"""A run folder is found again by the same command, wherever the clone and its sample data lie."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from kedrec.config import compose
from kedrec.training.loaded_run import open_run
from kedrec.training.run_folder import RunFolder
from tests.support.command_process import REPOSITORY

FIND = """
import sys
from kedrec.config import compose
from kedrec.training.run_folder import RunFolder
experiment = compose("experiments/both_sources.yaml", sys.argv[1:])
run = RunFolder(experiment)
with run.opened():
    print(experiment.run_id, run.metrics(), experiment.tree["data"]["init_args"]["graph"], experiment.run_dir)
"""


@pytest.mark.slow
def test_a_finished_run_is_found_from_another_clone(tmp_path):
    experiment = compose(REPOSITORY / "experiments" / "both_sources.yaml", [f"out={tmp_path / 'run'}"])
    run = RunFolder(experiment)
    with run.opened():
        (run.path / "metrics.json").write_text('{"test/f1": 0.5}')
    clone = tmp_path / "clone"
    for folder in ("kedrec", "configs", "experiments"):
        shutil.copytree(REPOSITORY / folder, clone / folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", FIND, f"out={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=True, timeout=120)
    graph = clone / "kedrec" / "sample" / "triples.tsv"
    assert done.stdout == f"{experiment.run_id} {{'test/f1': 0.5}} {graph} {tmp_path / 'run'}\n"


def test_settings_name_the_sample_by_its_file_and_are_read_back_with_its_path(tmp_path):
    experiment = compose(REPOSITORY / "experiments" / "both_sources.yaml", [f"out={tmp_path}"])
    with RunFolder(experiment).opened():
        (tmp_path / "metrics.json").write_text("{}")
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())["data"]["init_args"]
    assert (written["graph"], written["texts"]) == ("${sample:triples.tsv}", "${sample:passages.jsonl}")
    read = open_run(tmp_path).original.tree["data"]["init_args"]
    assert read["graph"] == str(REPOSITORY / "kedrec" / "sample" / "triples.tsv")
    assert str(REPOSITORY) not in (tmp_path / "config.yaml").read_text()


def test_files_outside_the_sample_are_named_by_their_path(tmp_path):
    own = tmp_path / "sample" / "triples.tsv"
    experiment = compose(REPOSITORY / "experiments" / "transe_base.yaml", [f"graph={own}"])
    assert experiment.portable["data"]["init_args"]["graph"] == str(own)
    other = compose(REPOSITORY / "experiments" / "transe_base.yaml")
    assert experiment.run_id != other.run_id
