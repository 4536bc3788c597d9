"""``mimic_pairwise`` by the command line, on a hospital made up."""

import json

import pytest

from kedrec.config import compose
from kedrec.errors import KedrecError
from kedrec.kedrec_lm.model_teacher import ModelTeacher
from kedrec.kedrec_lm.rationale_cache import explain_cases, plan_cases
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings
from kedrec.llm.endpoint_model import EndpointModel
from kedrec.storage.artifact_store import Store
from kedrec.training.experiment_objects import build
from tests.support.forked_command import run_forked
from tests.support.misbehaving_llm_server import serving
from tests.support.small_hospital import TITLES, write_graph, write_mappings, write_mimic3

PASSAGE = {"source": "pmc", "title": "", "date": "2020", "license": "CC0", "url": "https://example.org"}


@pytest.fixture(scope="module")
def arguments(tmp_path_factory, tiny_base, tiny_encoder_folder):
    """What the experiment is told: a hospital, a graph, a text, and models in little."""
    folder = tmp_path_factory.mktemp("hospital")
    texts = folder / "passages.jsonl"
    texts.write_text(json.dumps({"id": "PMC1", "text": "DrugAmycin is given for hypertension.", **PASSAGE}) + "\n")
    small = {"model": {"base": tiny_base, "max_new_tokens": 4, "lora": "{layers_to_transform: null, r: 4}"}}
    small["data"] = {
        "retrieval.sources": "[pmc]",
        "retrieval.encoder": tiny_encoder_folder,
        "split.test": 0.3,
        "split.validation": 0.2,
    }
    return [
        f"mimic={write_mimic3(folder / 'mimic', patients=30)}",
        f"mappings={write_mappings(folder / 'mappings')}",
        f"graph={write_graph(folder / 'graph')}",
        f"texts={texts}",
        *(f"{group}.init_args.{name}={value}" for group, of in small.items() for name, value in of.items()),
        "trainer.max_steps=2",
        "trainer.val_check_interval=2",
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
    ]


def _data(arguments, folder, *more):
    data = build(compose("experiments/mimic_pairwise.yaml", [*arguments, f"out={folder}", *more])).data
    data.setup("fit")
    return data


def test_what_is_asked_is_what_was_prescribed(arguments, tmp_path, store):
    data = _data(arguments, tmp_path)
    diagnoses = {f"Disease::ICD9:{code}": place for place, code in enumerate(("4019", "0389", "25000", "486"))}
    for pair in data.pairs:
        own = range(3 * diagnoses[pair.disease], 3 * diagnoses[pair.disease] + 3)
        assert int(pair.irrelevant[-2:]) not in own
        assert (pair.irrelevant, pair.disease) != ("Compound::DB00011", "Disease::ICD9:25000")  # the graph indicates it
    assert {row.question.disease for of in data.encoded.values() for row in of} == set(TITLES.values())
    assert data.facts["patients"] == 30
    assert "no conclusion" in data.facts["limits"]


@pytest.mark.parametrize("setting", ["balanced=false", "negatives=random", "negatives=popular"])
def test_other_negatives(arguments, tmp_path, store, setting):
    data = _data(arguments, tmp_path, f"data.init_args.pairs.{setting}")
    assert {pair.split for pair in data.pairs} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    "setting",
    [
        "data.init_args.admissions.per_admission=0",
        "data.init_args.admissions.usual=0",
        "data.init_args.pairs.file=x.parquet",
        "data.init_args.loader.distill={teacher: smollm2, top_k: 4}",
    ],
)
def test_settings_that_make_no_sense_are_named(arguments, tmp_path, store, setting):
    with pytest.raises(KedrecError, match=setting.split("=")[0].replace(".", r"\.")):
        _data(arguments, tmp_path, setting)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("teacher", "teacher"),
        ("rationales.teacher", "rationales"),
        ("rationales.settings", "rationales"),
        ("describe", "describe"),
        ("download.web", "download"),
        ("retrieval.encoder", "encoder"),
    ],
)
def test_nobody_elsewhere_can_be_named_who_would_read_of_patients(arguments, tmp_path, store, setting, expected):
    with serving() as server:
        with pytest.raises(KedrecError, match=expected):
            _data(arguments, tmp_path, f"data.init_args.{setting}={server.url}#m")
        assert server.seen == []


def test_a_model_elsewhere_refuses_to_be_asked_about_a_patient(arguments, tmp_path, store):
    data = _data(arguments, tmp_path)
    cases = [data.answered.builder.case(pair) for pair in data.pairs[:2]]
    kept = Store(tmp_path / "kept")
    far = ModelTeacher(EndpointModel("m", "https://models.example.org/v1"), RationaleSettings())
    for ask in (lambda: explain_cases(far, cases, kept), lambda: plan_cases(far, cases, kept)):
        with pytest.raises(KedrecError, match=r"'m' does not run on this machine.*patient data, which never leaves it"):
            ask()
    with serving() as server:
        near = ModelTeacher(EndpointModel("m", server.url), RationaleSettings())
        explain_cases(near, cases, kept)
        assert server.seen


@pytest.mark.slow
def test_nothing_of_a_patient_leaves_the_run_folder(arguments, tmp_path):
    folder, store = tmp_path / "run", tmp_path / "store"
    logged = (f"out={folder}", "use.logger=wandb")
    environment = {"WANDB_MODE": "offline", "KEDREC_STORE": str(store)}
    done = run_forked("experiments/mimic_pairwise.yaml", *arguments, *logged, **environment)
    assert done.returncode == 0, done.stderr
    assert (folder / "metrics.json").is_file()
    assert "f1_low" in (folder / "metrics.json").read_text()
    assert "no conclusion" in (folder / "README.md").read_text()
    assert b"Septicemia" in (folder / "predictions.jsonl").read_bytes()  # what is looked for below
    artefacts = [path for path in store.rglob("*") if path.is_file()]
    assert artefacts
    assert [path for path in artefacts if _tells(path)] == []
    sent = [path for path in (folder / "wandb").rglob("*") if path.is_file() and _tells(path)]
    assert sent == []
    assert not list(folder.glob("wandb/**/artifact*/**/adapter*"))


def _tells(path):
    content = path.read_bytes()
    return any(word.encode() in content for word in ("ICD9:", "Septicemia", "Diabetes mellitus"))
