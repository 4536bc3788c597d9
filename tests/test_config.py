"""Composition and its errors: one line each, with file and key, and the nearest match."""

from pathlib import Path

import pytest
import yaml

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.kedrec_lm.question_settings import RetrievalSettings, SplitSettings
from kedrec.training.experiment_objects import build

REPOSITORY = Path(__file__).parents[1]
YAMLS = sorted(p for folder in ("configs", "experiments") for p in (REPOSITORY / folder).rglob("*.yaml"))
EXPERIMENTS = [path for path in YAMLS if "experiments" in path.parts]
GROUP_FILES = [path for path in YAMLS if "configs" in path.parts]


def test_there_are_files_to_check():
    assert len(EXPERIMENTS) >= 5
    assert len(GROUP_FILES) >= 6
    assert {path.parent.name for path in GROUP_FILES} == {"model", "data", "trainer", "logger"}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_composes_and_builds(path, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    built = build(compose(path, [f"out={tmp_path}", *_needed(path)]))
    assert type(built.model).__module__.startswith(
        ("kedrec.kedrec_lm.", "kedrec.lladr.", "kedrec.baselines.", "kedrec.mimic.")
    )
    assert type(built.data).__module__.startswith(("kedrec.kedrec_lm.", "kedrec.lladr.", "kedrec.mimic."))


def _group_file(path):
    # TensorBoard starts a process when it is imported.
    marks = [pytest.mark.slow] if path.stem == "tensorboard" else []
    return pytest.param(path, marks=marks, id=f"{path.parent.name}-{path.stem}")


@pytest.mark.parametrize("path", map(_group_file, GROUP_FILES))
def test_every_group_file_builds(path, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    using = [one for one in EXPERIMENTS if yaml.safe_load(one.read_text())["use"][path.parent.name] == path.stem]
    other = "transe_base" if "kedrec.lladr.kge" in path.read_text() else "both_sources"
    experiment = using[0] if using else REPOSITORY / "experiments" / f"{other}.yaml"
    overrides = [f"use.{path.parent.name}={path.stem}", f"out={tmp_path}", *_needed(experiment)]
    composed = compose(experiment, overrides)
    assert str(path) in [origin for origin, _ in composed.layers]
    built = getattr(build(composed), path.parent.name)
    assert (
        path.parent.name == "trainer"
        or type(built).__name__ == yaml.safe_load(path.read_text())["class_path"].rsplit(".", 1)[1]
    )


def _needed(experiment):
    """A value for each that an experiment leaves to the user."""
    return [f"{name}={name}" for name, value in yaml.safe_load(experiment.read_text()).items() if value == "???"]


def test_layers_win_in_order_and_interpolations_see_overrides(tmp_path):
    experiment = _write(tmp_path, {"data": {"init_args": {"prompt": {"max_tokens": 500}}}})
    tree = compose(experiment, ["seed=7", "--model.init_args.base=other"]).tree
    assert tree["data"]["init_args"]["prompt"]["max_tokens"] == 500
    assert tree["data"]["init_args"]["seed"] == 7
    assert tree["data"]["init_args"]["base"] == "other"
    tree = compose(experiment, ["data.init_args.prompt.max_tokens=600"]).tree
    assert tree["data"]["init_args"]["prompt"]["max_tokens"] == 600


def test_one_key_of_a_group_is_overridden_and_the_others_stay(tmp_path):
    experiment = _write(tmp_path, {"data": {"init_args": {"retrieval": {"passages_per_drug": 3}}}})
    composed = compose(experiment, ["data.init_args.retrieval.sources=[pmc]", "data.init_args.split.test=0.2"])
    given = {"sources": ["pmc"], "chunk_tokens": 256, "passages_per_drug": 3}
    assert composed.tree["data"]["init_args"]["retrieval"] == given
    source = build(composed).data.pair_source
    assert source.retrieval == RetrievalSettings(**given)
    assert source.split == SplitSettings(test=0.2)
    assert source.pairs.file.endswith("pairs.parquet")


def test_the_same_settings_find_the_same_run_and_others_do_not(tmp_path):
    experiment = _write(tmp_path, {})
    assert compose(experiment).run_dir == compose(experiment).run_dir
    assert compose(experiment).run_dir != compose(experiment, ["seed=1"]).run_dir
    moved = compose(experiment, ["out=/somewhere"])
    assert moved.run_dir == Path("/somewhere")
    assert moved.run_id == compose(experiment).run_id


def test_a_declared_value_reaches_every_place_that_uses_it(tmp_path):
    experiment = _write(tmp_path, {"graph": "a.tsv", "data": {"init_args": {"graph": "${graph}", "texts": "${graph}"}}})
    tree = compose(experiment, ["graph=b.tsv"]).tree["data"]["init_args"]
    assert (tree["graph"], tree["texts"]) == ("b.tsv", "b.tsv")


@pytest.mark.parametrize(
    ("content", "overrides", "words"),
    [
        ({"modle": {"init_args": {}}}, [], ["modle", "'model'"]),
        ({"sede": 3}, [], ["sede", "'seed'"]),
        ({}, ["sede=3"], ["command line", "sede", "'seed'"]),
        ({}, ["use.traner=laptop"], ["use.traner", "no such group"]),
        ({}, ["use.trainer=labtop"], ["use.trainer", "'laptop'"]),
        (
            {"data": {"init_args": {"prompt": {"max_tokens": "${nowhere}"}}}},
            [],
            ["data.init_args.prompt.max_tokens", "nowhere"],
        ),
        ({}, ["seed"], ["'seed'", "key=value"]),
        ({"graph": "???", "data": {"init_args": {"graph": "${graph}"}}}, [], ["graph: no value", "graph=..."]),
    ],
)
def test_faults_of_composition_are_one_line(tmp_path, content, overrides, words):
    experiment = _write(tmp_path, content)
    with pytest.raises(KedrecError) as fault:
        compose(experiment, overrides)
    _one_line_with(fault, words)


@pytest.mark.parametrize(
    ("content", "overrides", "words"),
    [
        (
            {"model": {"init_args": {"optimizer": {"learning_rat": 1}}}},
            [],
            ["x.yaml", "model.init_args.optimizer.learning_rat", "'learning_rate'"],
        ),
        (
            {"model": {"init_args": {"optimiser": {"learning_rate": 1}}}},
            [],
            ["x.yaml", "model.init_args.optimiser", "'optimizer'"],
        ),
        (
            {"data": {"init_args": {"retrieval": {"sorces": ["pmc"]}}}},
            [],
            ["x.yaml", "data.init_args.retrieval.sorces", "'sources'"],
        ),
        (
            {"model": {"init_args": {"optimizer": {"learning_rate": "fast"}}}},
            [],
            ["x.yaml", "model.init_args.optimizer.learning_rate", "float"],
        ),
        (
            {"model": {"init_args": {"optimizer": {"learning_rate": [1, 2]}}}},
            [],
            ["model.init_args.optimizer.learning_rate", "float", "[1, 2]"],
        ),
        ({"model": {"init_args": {"lora": {"rr": 2}}}}, [], ["model.init_args.lora.rr", "unknown key"]),
        ({"model": {"init_args": {"lora": {"r": "two"}}}}, [], ["model.init_args.lora.r", "int"]),
        ({"model": {"init_args": {"dtype": "int8"}}}, [], ["model.init_args.dtype", "bfloat16"]),
        ({}, ["trainer.max_step=3"], ["command line", "trainer.max_step", "'max_steps'"]),
        ({}, ["trainer.max_steps=many"], ["command line", "trainer.max_steps", "int"]),
        ({"model": {"class_path": "kedrec.kedrec_lm.student.Studnt"}}, [], ["model.class_path", "Studnt"]),
        ({"data": {"init_args": {"graph": None}}}, [], ["data.init_args", "graph"]),
    ],
)
def test_faults_of_types_are_one_line(tmp_path, content, overrides, words):
    experiment = compose(_write(tmp_path, content), overrides)
    with pytest.raises(KedrecError) as fault:
        build(experiment)
    _one_line_with(fault, words)


def test_a_missing_file_names_the_nearest(tmp_path):
    _write(tmp_path, {})
    with pytest.raises(KedrecError, match=r"y\.yaml: no such file; did you mean 'x.yaml'"):
        compose(tmp_path / "experiments" / "y.yaml")


def test_broken_yaml_names_its_place(tmp_path):
    path = _write(tmp_path, {})
    path.write_text("use: {model: [}")
    with pytest.raises(KedrecError, match=r"x\.yaml: not valid YAML.*line 1"):
        compose(path)


def _write(folder: Path, content: dict) -> Path:
    base = {"use": {"model": "student_smollm2", "data": "sample", "trainer": "laptop", "logger": "csv"}}
    (folder / "experiments").mkdir(exist_ok=True)
    path = folder / "experiments" / "x.yaml"
    path.write_text(yaml.safe_dump({**base, **content}))
    return path


def _one_line_with(fault, words):
    message = str(fault.value)
    assert "\n" not in message
    assert len(message) < 400
    for word in words:
        assert word in message


def test_what_a_constructor_refuses_is_one_line(tmp_path):
    for override in ("data.init_args.negatives.chunks=3", "model.init_args.anchor.rho=2", "model.init_args.dim=-1"):
        experiment = REPOSITORY / "experiments" / "transe_base.yaml"
        with pytest.raises(KedrecError, match=rf"^{override.split('=')[0]}: .*$"):
            build(compose(experiment, [override, f"out={tmp_path}"]))
