"""Groups of settings: one key on the command line leaves the rest of its group as it was."""

import pytest

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.lladr.triple_settings import NegativeSettings, NoiseSettings, SplitSettings
from kedrec.training.experiment_objects import build
from tests.support.command_process import REPOSITORY


def _built(name, *overrides):
    return build(compose(REPOSITORY / "experiments" / f"{name}.yaml", overrides))


def test_one_key_on_the_command_line_leaves_the_defaults_of_the_others():
    data = _built("transe_base", "data.init_args.noise.delete=0.4", "data.init_args.split.test=0.1").data
    assert data.noise == NoiseSettings(delete=0.4, add=0.0)
    assert data.split == SplitSettings(test=0.1)
    assert data.negatives == NegativeSettings()


def test_one_key_on_the_command_line_leaves_those_of_the_experiment_and_of_its_groups():
    authors = _built(
        "lladr_authors", "data.init_args.negatives.filtered=false", "model.init_args.optimizer.drop_after=1"
    )
    assert authors.data.negatives == NegativeSettings(count=128, chunks=512, filtered=False)
    assert authors.data.anchors.sources == ["text"]
    optimizer = authors.model.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.drop_after) == ("adam", 1e-4, 1.0)
    assert authors.model.anchor.projection == "slice"
    gat = _built("gnn_gat", "model.init_args.encoder.width=64").model.encoder_settings
    assert (gat.layer, gat.width, gat.heads) == ("gat", 64, 4)
    csprom = _built("csprom", "model.init_args.optimizer.warmup_steps=5").model.optimizer
    assert (csprom.learning_rate, csprom.warmup_steps) == (3e-3, 5)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.init_args.noise.delet=0.4", r"command line: data\.init_args\.noise\.delet: unknown key"),
        ("data.init_args.negatives.count=many", r"command line: data\.init_args\.negatives\.count: .*int"),
        ("model.init_args.optimizer.name=sgd", r"command line: model\.init_args\.optimizer\.name: .*lazy_adam"),
        ("model.init_args.anchor.distance=l7", r"command line: model\.init_args\.anchor\.distance: "),
    ],
)
def test_faults_name_the_key_in_its_group(override, expected):
    with pytest.raises(KedrecError, match=expected) as fault:
        _built("transe_base", override)
    assert "\n" not in str(fault.value)


def test_a_gnn_needs_a_layer(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "use: {data: triples, trainer: steps, logger: csv}\n"
        "graph: ${sample:triples.tsv}\n"
        "model: {class_path: kedrec.baselines.gnn.GNN}\n"
    )
    with pytest.raises(KedrecError, match=r"x\.yaml: model\.init_args: missing.*encoder"):
        build(compose(tmp_path / "x.yaml"))
