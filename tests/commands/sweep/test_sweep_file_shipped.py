"""The sweep files that come with kedrec: W&B takes them, and their trials can be built."""

import importlib.util
import itertools
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from kedrec.commands.sweep.sweep_file import read_sweep
from kedrec.commands.sweep.trial_proposals import drawn, grid
from kedrec.config import compose
from kedrec.training.experiment_objects import build
from tests.support.command_process import REPOSITORY

FILES = sorted((REPOSITORY / "sweeps").rglob("*.yaml"))
IDS = [path.stem for path in FILES]


def trials(sweep):
    """The values of each trial of a grid; of another search, those of five."""
    if sweep.method == "grid":
        return list(grid(sweep.parameters))
    return [drawn(sweep.parameters, number, 0) for number in range(5)]


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """W&B's own agent, without a server: a function that starts a trial as it would, and waits for its end."""
    from wandb.wandb_agent import Agent

    for name in ("WANDB_DIR", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, str(tmp_path))  # the agent sets them; here they are forgotten again
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")

    def start(command, values, run_id="trial"):
        one = Agent(api=None, queue=None)
        one._sweep_command = list(command)
        arguments = {name: {"value": value} for name, value in values.items()}
        one._command_run({"type": "run", "run_id": run_id, "args": arguments, "program": None})
        return one._run_processes[run_id].wait()

    return start


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A ``python`` before all others on the path that writes down how it was called; a function that reads it."""
    record = tmp_path / "called"
    fake = tmp_path / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {record}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return lambda: record.read_text().split("\0")[:-1]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_wandb_takes_the_file(path):
    from jsonschema import Draft7Validator

    # The package itself does not import beside a new numpy; only its schema is wanted.
    package = Path(importlib.util.find_spec("sweeps").submodule_search_locations[0])
    schema = Draft7Validator(json.loads((package / "config" / "schema.json").read_text()))
    content = yaml.safe_load(path.read_text())
    assert [fault.message for fault in schema.iter_errors(content)] == []
    assert list(schema.iter_errors({**content, "method": "gird"}))
    assert content["name"] == path.stem


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_wandbs_agent_runs_the_command_that_runs_here(path, agent, recorded):
    content, sweep = yaml.safe_load(path.read_text()), read_sweep(path)
    for values in itertools.islice(trials(sweep), 2):
        assert agent(content["command"], values) == 0
        assert ["/usr/bin/env", "python", *recorded()] == sweep.agent_command(values)


@pytest.mark.slow
def test_wandbs_agent_nests_parameters_likewise(tmp_path, agent, recorded):
    content = {
        "method": "random",
        "parameters": {"model": {"parameters": {"init_args": {"parameters": {"zeta_link": {"value": 0.5}}}}}},
        "command": ["${env}", "${interpreter}", "-m", "kedrec.fit", "experiments/lladr_transe.yaml", "${args}"],
    }
    path = tmp_path / "nested.yaml"
    path.write_text(yaml.safe_dump(content))
    agent(content["command"], {"model": {"init_args": {"zeta_link": 0.5}}})
    assert ["/usr/bin/env", "python", *recorded()] == read_sweep(path).agent_command({"model.init_args.zeta_link": 0.5})
    tree = compose(REPOSITORY / recorded()[2], recorded()[3:]).tree
    assert tree["model"]["init_args"]["zeta_link"] == 0.5
    assert tree["model"]["class_path"] == "kedrec.lladr.kge.KGE"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_every_trial_composes_and_every_value_builds(path, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    sweep = read_sweep(path)
    composed = {}
    for values in trials(sweep):
        experiment, *overrides = sweep.fit_arguments(values)
        one = compose(REPOSITORY / experiment, overrides)
        composed[one.run_id] = (values, overrides)
        assert one.tree["logger"]["class_path"].endswith("WandbLogger")
    assert len(composed) == len(trials(sweep)) > 1
    first, _ = next(iter(composed.values()))
    for values, overrides in composed.values():
        if sweep.method != "grid" or sum(values[name] != first[name] for name in values) <= 1:
            assert build(compose(REPOSITORY / experiment, [*overrides, f"out={tmp_path}"])).model is not None


@pytest.mark.slow
def test_a_trial_of_wandbs_agent_trains(tiny_experiment, agent, tmp_path, monkeypatch):
    """The ablation's command, its experiment in little, as the agent starts it; W&B offline."""
    content = yaml.safe_load((REPOSITORY / "sweeps" / "ablation.yaml").read_text())
    at = content["command"].index("experiments/both_sources.yaml")
    command = [*content["command"][:at], str(tiny_experiment), *content["command"][at + 1 :]]
    values = {"data.init_args.retrieval.sources": ["pmc"], "seed": 1, "use.logger": "wandb"}
    assert values.keys() == content["parameters"].keys()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(REPOSITORY)
    assert agent([*command, f"out={tmp_path / 'run'}", "trainer.max_epochs=1"], values, run_id="chosen") == 0
    assert "test/f1" in json.loads((tmp_path / "run" / "metrics.json").read_text())
    # W&B files the trial under the run that its sweep has begun.
    assert [path.name.rsplit("-", 1)[1] for path in (tmp_path / "run").glob("wandb/offline-run-*")] == ["chosen"]
