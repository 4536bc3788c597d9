"""Old class paths and keys: translated in an old run's settings, refused with the new name elsewhere."""

from importlib import import_module

import pytest
import yaml

from kedrec import renamed_settings
from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.renamed_settings import MOVED_CLASSES, RENAMED_KEYS, translated
from kedrec.training.loaded_run import open_run
from tests.support.command_process import REPOSITORY

DATA = "kedrec.lladr.triple_data.TripleData"


@pytest.fixture
def renamed(monkeypatch):
    """A table of its own: the share of the validation and the file of a split are nested now."""
    monkeypatch.setattr(
        renamed_settings, "RENAMED_KEYS", {DATA: {"validation": "split.validation", "split": "split.file"}}
    )


def test_every_present_class_exists_and_no_old_one_does():
    for old, new in MOVED_CLASSES.items():
        module, _, name = new.rpartition(".")
        assert isinstance(getattr(import_module(module), name), type)
        with pytest.raises(ImportError):
            import_module(old.rpartition(".")[0])


def test_keys_are_renamed_for_present_classes_alone():
    for class_path in RENAMED_KEYS:
        module, _, name = class_path.rpartition(".")
        assert isinstance(getattr(import_module(module), name), type)


def test_old_settings_are_translated_wherever_they_stand(renamed):
    old = {
        "data": {
            "class_path": "kedrec.data.triples.TripleData",
            "init_args": {"validation": 0.1, "split": "split.tsv", "seed": 3},
        },
        "trainer": {"callbacks": [{"class_path": "kedrec.callbacks.KeepLast", "init_args": {"every": 2}}]},
        "teacher": {"model": {"class_path": "kedrec.teacher.local.LocalModel"}},
        "seed": 0,
    }
    assert translated(old) == {
        "data": {
            "class_path": DATA,
            "init_args": {"split": {"validation": 0.1, "file": "split.tsv"}, "seed": 3},
        },
        "trainer": {"callbacks": [{"class_path": "kedrec.training.checkpoints.KeepLast", "init_args": {"every": 2}}]},
        "teacher": {"model": {"class_path": "kedrec.llm.local_model.LocalModel"}},
        "seed": 0,
    }


STUDENT_DATA = "kedrec.kedrec_lm.instruction_data.InstructionData"


@pytest.mark.parametrize(
    "old", [{"audits": ["blinded", "closed_book"]}, {"evaluation": {"audits": ["blinded", "closed_book"]}}]
)
def test_old_names_of_audits_are_translated_under_the_old_key_and_the_present_one(old):
    found = translated({"data": {"class_path": STUDENT_DATA, "init_args": old}})
    assert found["data"]["init_args"] == {"evaluation": {"audits": ["names_masked", "closed_book"]}}


def test_an_old_name_of_an_audit_on_the_command_line_is_one_error():
    with pytest.raises(KedrecError) as fault:
        compose(REPOSITORY / "experiments" / "both_sources.yaml", ["data.init_args.evaluation.audits=[exchanged]"])
    assert str(fault.value) == (
        "command line: data.init_args.evaluation.audits: exchanged has a new name; write passages_exchanged"
    )


def test_settings_without_old_names_stay_as_they_are(renamed):
    present = {"data": {"class_path": DATA, "init_args": {"split": {"file": "split.tsv", "validation": 0.1}}}}
    assert translated(present) == present


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.init_args.validation=0.1",
            "command line: data.init_args.validation: this key has a new name; write data.init_args.split.validation",
        ),
        (
            "data.init_args.split=a.tsv",
            "command line: data.init_args.split: this key has a new name; write data.init_args.split.file",
        ),
        (
            "data.class_path=kedrec.data.triples.TripleData",
            f"command line: data.class_path: kedrec.data.triples.TripleData has moved; write {DATA}",
        ),
    ],
)
def test_an_old_name_on_the_command_line_is_one_error(tmp_path, renamed, override, message):
    with pytest.raises(KedrecError) as fault:
        compose(_experiment(tmp_path, {}), [override])
    assert str(fault.value) == message


def test_an_old_name_in_an_experiment_is_one_error_that_names_the_file(tmp_path, renamed):
    path = _experiment(tmp_path, {"data": {"init_args": {"validation": 0.1}}})
    with pytest.raises(KedrecError) as fault:
        compose(path)
    assert str(fault.value) == (
        f"{path}: data.init_args.validation: this key has a new name; write data.init_args.split.validation"
    )


def test_a_present_name_is_accepted(tmp_path, renamed):
    tree = compose(_experiment(tmp_path, {}), ["data.init_args.split.file=a.tsv"]).tree
    assert tree["data"]["init_args"]["split"] == {"file": "a.tsv"}


def test_a_finished_run_is_translated_and_its_overrides_are_not(tmp_path, renamed):
    old = {"class_path": "kedrec.data.triples.TripleData", "init_args": {"validation": 0.1}}
    model = {"class_path": "kedrec.models.kge.KGE", "init_args": {}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": model, "data": old, "trainer": {}, "seed": 0}))
    (tmp_path / "metrics.json").write_text("{}")
    tree = open_run(tmp_path).original.tree
    assert tree["data"] == {"class_path": DATA, "init_args": {"split": {"validation": 0.1}}}
    assert tree["model"]["class_path"] == "kedrec.lladr.kge.KGE"
    with pytest.raises(KedrecError, match=r"command line: data\.init_args\.validation: .* data\.init_args\.split\."):
        open_run(tmp_path, ["data.init_args.validation=0.2"])


def _experiment(folder, content):
    path = folder / "x.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "use": {"model": "transe", "data": "triples", "trainer": "steps", "logger": "csv"},
                "graph": "${sample:triples.tsv}",
                **content,
            }
        )
    )
    return path
