"""The data module of hospital visits, on a made-up hospital in MIMIC's layout."""

import json
import re

import numpy as np
import pytest
import torch
import yaml

from kedrec.errors import KedrecError
from kedrec.graph.knowledge_graph import load_graph
from kedrec.mimic.formulary import Formulary
from kedrec.mimic.histories import Visit, label_compounds
from kedrec.mimic.visit_data import VisitData
from kedrec.sources.graph.entity_names import load_entity_info
from kedrec.splits.seeded_split import check_patients, split_patients
from kedrec.storage.artifact_store import Store
from tests.support.command_in_process import run_in_process
from tests.support.command_process import REPOSITORY
from tests.support.forked_command import run_forked

ATC = "DRUGBANK::x-atc::Compound:Atc"
DDI = "DRUGBANK::ddi-interactor-in::Compound:Compound"
# name -> ATC codes and SMILES; the last is prescribed to one patient alone
DRUGS = {
    "heparin": (["B01AB01"], "CC(=O)Nc1ccc(O)cc1"),
    "warfarin": (["B01AA03"], "CC(=O)CC(c1ccccc1)c1ccccc1O"),
    "aspirin": (["A01AD05", "B01AC06"], "CC(=O)Oc1ccccc1C(=O)O"),
    "omeprazole": (["A02BC01"], "COc1ccc(N)cc1"),
    "furosemide": (["C03CA01"], ""),
    "rarity": (["N05AH02"], "CCO"),
}
FIRST = 10_000_007  # the patients' ids: numbers that are nowhere else


def written(folder, patients=24, visits=2, interactions=((0, 4), (1, 3))):
    """Write a graph and a hospital; return the two folders."""
    draw = np.random.default_rng(0)
    graph, mimic = folder / "graph", folder / "mimic"
    graph.mkdir()
    mimic.mkdir()
    triples = [f"Compound::{name}\t{ATC}\tAtc::{code}" for name, (codes, _) in DRUGS.items() for code in codes]
    ids = list(DRUGS)
    triples += [f"Compound::{ids[one]}\t{DDI}\tCompound::{ids[other]}" for one, other in interactions]
    (graph / "triples.tsv").write_text("".join(f"{line}\n" for line in triples))
    names = [f"Compound::{name}\t{name}\t\t\n" for name in DRUGS]
    (graph / "entities.tsv").write_text("".join(["entity\tname\tsynonyms\tdescription\n", *names]))
    smiles = [f"Compound::{name}\t{text}\n" for name, (_, text) in DRUGS.items() if text]
    (graph / "compound_smiles.tsv").write_text("".join(["entity\tsmiles\n", *smiles]))
    tables = {
        "ADMISSIONS": ["subject_id,hadm_id,admittime"],
        "DIAGNOSES_ICD": ["subject_id,hadm_id,seq_num,icd9_code"],
        "PROCEDURES_ICD": ["subject_id,hadm_id,seq_num,icd9_code"],
        "PRESCRIPTIONS": ["subject_id,hadm_id,drug_type,drug,ndc"],
    }
    for patient in range(FIRST, FIRST + patients):
        for visit in range(visits + (patient - FIRST) % 3):
            stay = patient * 10 + visit
            tables["ADMISSIONS"].append(f"{patient},{stay},2100-01-{visit + 1:02} 00:00:00")
            chosen = np.flatnonzero(draw.random(5) < 0.5).tolist() or [0]
            codes = [f"{400 + one}" for one in chosen] + [f"E{patient - FIRST}"]
            tables["DIAGNOSES_ICD"] += [f"{patient},{stay},{at},{code}" for at, code in enumerate(codes)]
            if visit:
                tables["PROCEDURES_ICD"].append(f"{patient},{stay},1,{3600 + visit}")
            taken = [ids[one] for one in chosen] + (["rarity"] if patient == FIRST else []) + ["unheard-of"]
            tables["PRESCRIPTIONS"] += [f"{patient},{stay},MAIN,{name.title()} 5mg,0" for name in taken]
    for name, lines in tables.items():
        (mimic / f"{name}.csv").write_text("".join(f"{line}\n" for line in lines))
    return graph, mimic


def made(graph, mimic, **settings):
    module = VisitData(str(mimic), str(graph), **settings)
    module.prepare_data()
    return module


def visits(batches):
    return [(one, *place) for one in batches for place in one.mask.nonzero().tolist()]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory, store):
    return written(tmp_path_factory.mktemp("hospital"))


def test_no_patient_is_in_two_splits_and_one_who_is_planted_is_caught():
    split = split_patients(range(100, 200), 1 / 6, 1 / 6, seed=3)
    assert sorted(patient for its in split.values() for patient in its) == list(range(100, 200))
    assert [len(its) for its in split.values()] == [66, 17, 17]
    assert split == split_patients(range(199, 99, -1), 1 / 6, 1 / 6, seed=3)
    assert split != split_patients(range(100, 200), 1 / 6, 1 / 6, seed=4)
    check_patients(split)
    split["test"].append(split["train"][0])
    with pytest.raises(KedrecError, match="1 of 100 patients are in more than one") as fault:
        check_patients(split)
    assert not re.search(r"\b1\d\d\b(?! patients)", str(fault.value))


def test_codes_and_labels_are_those_of_training_patients(hospital):
    """Each patient has a diagnosis of their own: of those of validation and test nothing is known."""
    module = made(*hospital)
    training = list(module.train_dataloader())
    assert {row for batch in training for row in batch.diagnoses.unique().tolist()} == set(
        range(module.drugs.diagnoses)
    ) - {1}
    for batch, patient, visit in visits(module.test_dataloader()):
        assert (batch.diagnoses[patient, visit] == 1).sum() == 1
    rows = [batch.drugs[patient, visit] for batch, patient, visit in visits(training)]
    np.testing.assert_allclose(module.drugs.share, torch.stack(rows).mean(0).numpy(), atol=1e-6)
    assert module.drugs.share.min() > 0
    assert module.drugs.drugs_a_visit == pytest.approx(torch.stack(rows).sum(1).mean().item(), abs=1e-5)


def test_drugs_that_training_lacks_are_counted(hospital):
    """The patient with the rarity falls into some seed's test and into another's training."""
    seen = set()
    for seed in range(12):
        module = made(*hospital, seed=seed)
        trained = "N05A" in module.drugs.labels
        outside = sum(int(batch.outside.sum()) for batch in (*module.val_dataloader(), *module.test_dataloader()))
        assert outside == (0 if trained else 2)
        assert sum(int(batch.outside.sum()) for batch in module.train_dataloader()) == 0
        seen.add(trained)
    assert seen == {True, False}


def test_a_batch_holds_what_the_files_say(hospital):
    graph, mimic = hospital
    module = made(graph, mimic, batch_size=100)
    (batch,) = module.train_dataloader()
    assert batch.mask.sum(1).tolist() == [len(module._encoded["train"][one]) for one in batch.patient.tolist()]
    assert not (batch.diagnoses[~batch.mask].any() or batch.drugs[~batch.mask].any() or batch.procedures[:, 0].any())
    # 400 + d, row 2 + d, is the diagnosis of those who got drug d; three drugs have one label.
    rows = {label: module.drugs.labels.index(label) for label in ("B01A", "A02B", "C03C")}
    prescribed = batch.drugs[batch.mask].bool()
    diagnoses = batch.diagnoses[batch.mask]
    for label, drugs in {"B01A": (0, 1, 2), "A02B": (3,), "C03C": (4,)}.items():
        told = torch.stack([(diagnoses == 2 + drug).any(1) for drug in drugs]).any(0)
        assert prescribed[:, rows[label]].tolist() == told.tolist()
    assert [len(module.drugs.smiles[row]) for row in rows.values()] == [3, 1, 0]


def test_of_several_labels_a_drug_has_that_of_most_others(hospital):
    graph, _ = hospital
    loaded, infos = load_graph(graph, Store()), load_entity_info(graph / "entities.tsv")
    formulary = Formulary(loaded, infos, [])
    aspirin, others = "Compound::aspirin", ("Compound::heparin", "Compound::omeprazole")
    assert label_compounds([aspirin], formulary, 4, [])[aspirin] == "A01A"
    training = [Visit((), (), (aspirin, *others))]
    assert label_compounds([aspirin, others[0]], formulary, 4, training) == {aspirin: "B01A", others[0]: "B01A"}


def test_interactions_are_those_of_file_or_graph_and_unknown_otherwise(hospital, tmp_path):
    graph, mimic = hospital
    labels = made(graph, mimic).drugs.labels
    at = {label: labels.index(label) for label in ("A02B", "B01A", "C03C")}

    def pairs(known):
        assert (known == known.T).all()
        return {tuple(sorted((labels[a], labels[b]))) for a, b in np.argwhere(known)}

    assert pairs(made(graph, mimic).drugs.interactions) == {("B01A", "C03C"), ("A02B", "B01A")}
    (tmp_path / "ddi.tsv").write_text("Compound::omeprazole\tC03CA01\nCompound::heparin\tCompound::warfarin\n")
    module = made(graph, mimic, ddi=str(tmp_path / "ddi.tsv"))
    assert pairs(module.drugs.interactions) == {("A02B", "C03C")}
    assert module.drugs.interactions[at["A02B"], at["C03C"]]
    assert "1 of" in module.facts["interactions"]
    (tmp_path / "plain").mkdir()
    unknown = made(written(tmp_path / "plain", interactions=())[0], mimic)
    assert unknown.drugs.interactions is None
    assert unknown.facts["interactions"].startswith("unknown")
    for content, words in (("aspirin\tC03C\n", r":1: 'aspirin' is no drug"), ("C03C\n", ":1: 1 columns")):
        (tmp_path / "ddi.tsv").write_text(content)
        with pytest.raises(KedrecError, match=words):
            made(graph, mimic, ddi=str(tmp_path / "ddi.tsv"))
    (tmp_path / "ddi.tsv").write_text("Compound::DB00945\tCompound::DB00682\n")
    with pytest.raises(KedrecError, match="no pair is of two labels"):
        made(graph, mimic, ddi=str(tmp_path / "ddi.tsv"))


def test_who_came_too_seldom_is_left_out_and_facts_say_how_few_there_are(hospital):
    assert made(*hospital, least_visits=1).facts["patients"] == {"train": 16, "validation": 4, "test": 4}
    module = made(*hospital, least_visits=4)
    assert sum(module.facts["patients"].values()) == 8
    assert all(int(batch.mask.sum(1).min()) == 4 for batch in module.test_dataloader())
    assert module.facts["limits"].startswith("8 patients")
    assert str(FIRST) not in json.dumps(module.facts)


def test_an_epoch_has_each_patient_once_and_goes_on_where_it_was(hospital):
    whole, broken = (made(*hospital, batch_size=5).train_dataloader() for _ in range(2))
    order = [batch.patient.tolist() for _ in range(2) for batch in whole]
    assert [len(part) for part in order] == [5, 5, 5, 1] * 2
    for epoch in (order[:4], order[4:]):
        assert sorted(one for part in epoch for one in part) == list(range(16))
    assert order[:4] != order[4:]
    broken.done = 3
    assert [batch.patient.tolist() for _ in range(2) for batch in broken] == order[3:]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, r"data\.init_args\.batch_size: 0"),
        ({"characters": 2}, r"data\.init_args\.characters: 2"),
        ({"validation": 0.6, "test": 0.4}, r"data\.init_args\.test: "),
        ({"least_visits": 9}, r"0 patients have 9 or more visits .*least_visits"),
    ],
)
def test_faults_name_their_key(hospital, settings, words):
    with pytest.raises(KedrecError, match=words):
        made(*hospital, **settings)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The experiment in little, which a test can kill."""
    content = yaml.safe_load((REPOSITORY / "experiments" / "mimic_multilabel.yaml").read_text())
    last = {
        "class_path": "kedrec.training.checkpoints.KeepLast",
        "init_args": {"folder": "${run_dir}/checkpoints", "every": 1},
    }
    content["model"] = {"init_args": {"dim": 8}}
    content["data"] = {"init_args": {"batch_size": 4}}
    content["trainer"] = {
        "accelerator": "cpu",
        "max_epochs": 3,
        "enable_progress_bar": False,
        "callbacks": [last, {"class_path": "tests.support.kill_at_step.Kill"}],
    }
    path = tmp_path_factory.mktemp("safedrug") / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.slow
def test_a_run_says_nothing_of_who_it_was_and_a_killed_one_ends_alike(small, hospital, tmp_path):
    pytest.importorskip("rdkit")
    graph, mimic = hospital
    places = f"mimic={mimic}", f"graph={graph}"
    whole = tmp_path / "whole"
    done = run_in_process(small, *places, f"out={whole}")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (whole / "predictions.jsonl").read_text().splitlines()]
    metrics = json.loads((whole / "metrics.json").read_text())
    assert len(rows) == metrics["test/visits"]
    assert {row["patient"] for row in rows} == set(range(4))
    assert {"test/ddi_rate", "test/heuristic_last_visit/f1", "test/jaccard_over_most_frequent"} <= metrics.keys()
    assert "24 patients" in (whole / "README.md").read_text()
    written_there = [path for path in whole.rglob("*") if path.is_file()]
    assert len(written_there) > 6
    for secret in (*map(str, range(FIRST, FIRST + 24)), "2100-01"):
        assert secret not in done.stdout + done.stderr
        assert not [path for path in written_there if secret.encode() in path.read_bytes()]
    for moment in ("6", "8"):  # in the middle of an epoch and at its end, behind the validation
        broken = tmp_path / moment
        assert run_forked(small, *places, f"out={broken}", KILL_AT=moment).returncode == -9
        resumed = run_forked(small, *places, f"out={broken}")
        assert resumed.returncode == 0, resumed.stderr
        for name in ("metrics.json", "predictions.jsonl"):
            assert (broken / name).read_bytes() == (whole / name).read_bytes(), (moment, name)
        # the best checkpoint may be older than the kill
        states = [torch.load(place / "checkpoints" / "last.ckpt", weights_only=True) for place in (whole, broken)]
        for one, other in zip(*(state["state_dict"].values() for state in states), strict=True):
            assert torch.equal(one, other), moment


def test_without_a_hospital_the_missing_value_is_named(small):
    done = run_in_process(small, "graph=somewhere")
    assert done.returncode == 2
    assert re.search(r"mimic: no value; give [\w.]*mimic=\.\.\. on the command line", done.stderr)
