"""Sweep files: what is read, and what is refused."""

import pytest
import yaml

from kedrec.commands.sweep.sweep_file import read_sweep
from kedrec.errors import KedrecError

COMMAND = ["${env}", "python", "-m", "kedrec.fit", "experiments/vanilla.yaml", "${args_no_hyphens}"]
GRID = {"method": "grid", "parameters": {"seed": {"values": [0, 1]}}, "command": COMMAND}


def sweep(tmp_path, **changes):
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in {**GRID, **changes}.items() if value is not None}))
    return path


def test_nested_parameters_are_one_override_of_the_outermost_key(tmp_path):
    lora = {"parameters": {"r": {"values": [4, 8]}, "lora_alpha": {"value": 16}}}
    parameters = {"model": {"parameters": {"init_args": {"parameters": {"lora": lora}}}}, "seed": {"value": 1}}
    read = read_sweep(sweep(tmp_path, parameters=parameters))
    assert [one.name for one in read.parameters] == [
        "model.init_args.lora.lora_alpha",
        "model.init_args.lora.r",
        "seed",
    ]
    values = {one.name: one.grid[0] for one in read.parameters}
    assert read.fit_arguments(values) == [
        "experiments/vanilla.yaml",
        "model={'init_args': {'lora': {'lora_alpha': 16, 'r': 4}}}",
        "seed=1",
    ]


def test_the_environment_is_put_in_as_wandb_does(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPH", "some/graph")
    monkeypatch.delenv("TEXTS", raising=False)
    words = [*COMMAND[:-1], "graph=${envvar:GRAPH}", "texts=${envvar:TEXTS}", "${args}"]
    read = read_sweep(sweep(tmp_path, command=words))
    assert read.fit_arguments({"seed": 1})[1:] == ["graph=some/graph", "texts=TEXTS", "--seed=1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paramters": {}}, "paramters: unknown key; did you mean 'parameters'"),
        ({"method": "baies"}, "method: baies; expected one of grid, random, bayes"),
        ({"method": "custom"}, "method: custom"),
        ({"method": "bayes"}, "metric: missing"),
        ({"metric": {"name": "test/f1", "gaol": "maximize"}}, "metric.gaol: unknown key; did you mean 'goal'"),
        ({"metric": {"name": "test/f1", "goal": "max"}}, "metric.goal: max; expected minimize or maximize"),
        ({"metric": "test/f1"}, "metric: test/f1"),
        (
            {"metric": {"name": "test/memorised"}},
            "metric.name: test/memorised: this metric has a new name; write test/parametric_knowledge",
        ),
        ({"parameters": None}, "parameters: None"),
        ({"parameters": {"seed": 3}}, "parameters.seed: 3; expected {value: 3}"),
        ({"parameters": {"a b": {"value": 3}}}, "parameters.a b: expected a key of an experiment"),
        ({"parameters": {"seed": {"min": 0.0, "max": 1.0}}}, "parameters.seed: a grid takes value"),
        ({"parameters": {"a": {"parameters": {"b": {"valeus": [1]}}}}}, "parameters.a.parameters.b"),
        ({"parameters": {"a": {"parameters": {"b": {"value": 1}}}, "a.b": {"value": 1}}}, "a.b: given twice"),
        ({"parameters": {"a": {"parameters": {"b": {"value": 1}}, "value": 1}}}, "parameters stand alone"),
        ({"run_cap": 0}, "run_cap: 0"),
        ({"command": None}, "command: None; expected"),
        ({"command": COMMAND[:-1]}, "command: ${env} python"),
        ({"command": ["${env}", "python", "train.py", "${args}"]}, "train.py"),
        ({"command": [*COMMAND, "${args_json_file}"]}, "expected one of env, interpreter, args, args_no_hyphens"),
    ],
)
def test_what_cannot_be_run_is_one_line_that_names_file_and_key(changes, words, tmp_path):
    path = sweep(tmp_path, **changes)
    with pytest.raises(KedrecError) as fault:
        read_sweep(path)
    assert str(fault.value).startswith(f"{path}: ")
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_wrong_name_is_told_with_the_nearest(tmp_path):
    path = sweep(tmp_path)
    with pytest.raises(KedrecError, match=r"no such file; did you mean 'some.yaml'"):
        read_sweep(path.with_name("sone.yaml"))
