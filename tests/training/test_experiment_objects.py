"""Objects are built from settings; what commands could not work with is refused with the base class to derive from."""

import pytest
import yaml
from lightning import LightningDataModule, LightningModule

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.training.base_classes import ExperimentData, TrainableModule
from kedrec.training.experiment_objects import build

HERE = "tests.training.test_experiment_objects"


class BareModel(LightningModule):
    """A model of Lightning's own base class."""


class BareData(LightningDataModule):
    """A data module of Lightning's own base class."""


class OwnModel(TrainableModule):
    """The least that is a model."""


class OwnData(ExperimentData):
    """The least that is a data module."""


def experiment(folder, model, data):
    content = {
        "use": {"trainer": "laptop", "logger": "csv"},
        "model": {"class_path": f"{HERE}.{model}"},
        "data": {"class_path": f"{HERE}.{data}"},
    }
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(content))
    return compose(path, [f"out={folder / 'run'}"])


@pytest.mark.parametrize(
    ("model", "data", "named", "base"),
    [
        ("BareModel", "OwnData", f"model.class_path: {HERE}.BareModel", "TrainableModule"),
        ("OwnModel", "BareData", f"data.class_path: {HERE}.BareData", "ExperimentData"),
    ],
)
def test_a_class_of_another_base_is_refused_in_one_line(tmp_path, model, data, named, base):
    with pytest.raises(KedrecError) as fault:
        build(experiment(tmp_path, model, data))
    assert str(fault.value) == (
        f"{tmp_path / 'x.yaml'}: {named} does not derive from kedrec.training.base_classes.{base}; make that its base "
        "class"
    )


def test_the_least_can_do_nothing_special(tmp_path):
    built = build(experiment(tmp_path, "OwnModel", "OwnData"))
    assert not built.model.many_processes
    assert not built.model.has_baseline
    assert built.model.answers == {"predictions": []}
    assert built.model.load_export(tmp_path) is None
    assert not built.data.private
    assert not built.data.many_processes
    assert built.data.test_identity() == ""
    assert built.data.plan(None) is None
    assert (built.data.manifest, built.data.vocabulary, built.data.training_triples) == (None, None, None)


def test_attributes_that_are_false_count_as_false(tmp_path, monkeypatch):
    """Their existence says nothing: what is public stays public, and one process stays one."""
    monkeypatch.setattr(OwnModel, "many_processes", False)
    with pytest.raises(KedrecError, match=r"2 processes asked for; model OwnModel runs in one"):
        _trainer(tmp_path, devices=2)
    monkeypatch.setattr(OwnModel, "many_processes", True)
    with pytest.raises(KedrecError, match=r"2 processes asked for; data OwnData runs in one"):
        _trainer(tmp_path, devices=2)


def _trainer(folder, devices):
    from kedrec.training.fit_trainer import fit_trainer
    from kedrec.training.run_folder import RunFolder

    composed = experiment(folder, "OwnModel", "OwnData")
    composed.tree["trainer"] |= {"accelerator": "cpu", "devices": devices}
    return fit_trainer(build(composed), composed, RunFolder(composed))
