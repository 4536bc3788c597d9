"""SafeDrug: its losses by numbers worked out by hand, its molecules by chemistry, and that it learns."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from kedrec.errors import KedrecError
from kedrec.mimic.drug_losses import accuracy_weight, interaction_loss, interaction_rate, set_loss
from kedrec.mimic.drug_set_data import DrugSetData
from kedrec.mimic.molecule_encoder import BipartiteLinear, MoleculeEncoder, read_molecules
from kedrec.mimic.safedrug import SafeDrug
from kedrec.mimic.visit_tensors import DrugVocabulary, VisitBatch
from kedrec.training.base_classes import ExperimentData

pytest.importorskip("rdkit")

ASPIRIN, PARACETAMOL, IBUPROFEN = "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Nc1ccc(O)cc1", "CC(C)Cc1ccc(cc1)C(C)C(=O)O"
SMILES = [[ASPIRIN], [PARACETAMOL, IBUPROFEN], [], [IBUPROFEN]]
INTERACTIONS = np.zeros((4, 4), bool)
INTERACTIONS[0, 1] = INTERACTIONS[1, 0] = INTERACTIONS[1, 2] = INTERACTIONS[2, 1] = True
DRUGS = DrugVocabulary(["A", "B", "C", "D"], SMILES, np.full(4, 0.5), 2.0, 7, 5, INTERACTIONS)


def batch(patients=6, visits=3, seed=0):
    """Visits at which drug d is prescribed where diagnosis d + 2 is made; the last patient came once."""
    draw = torch.Generator().manual_seed(seed)
    drugs = (torch.rand(patients, visits, 4, generator=draw) < 0.5).float()
    drugs[..., 0] = 1 - drugs[..., 1]  # something is prescribed at each visit
    diagnoses = torch.arange(2, 6) * drugs.long()
    procedures = torch.randint(0, 5, (patients, visits, 3), generator=draw)
    mask = torch.ones(patients, visits, dtype=torch.bool)
    mask[-1, 1:] = False
    there = mask.unsqueeze(2)
    return VisitBatch(
        torch.arange(patients),
        mask,
        diagnoses * there,
        procedures * there,
        drugs * there,
        torch.zeros(patients, visits).long(),
    )


class Visits(DrugSetData):
    def __init__(self, drugs=DRUGS):
        super().__init__()
        self.drugs = drugs

    def train_dataloader(self):
        return DataLoader([batch()], batch_size=None)

    val_dataloader = test_dataloader = train_dataloader


def made(**settings):
    model = SafeDrug(**{"dim": 16, **settings})
    model.make_layers(DRUGS)
    return model.eval()


def trainer(folder, epochs):
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def test_the_interaction_loss_and_rate_are_those_of_the_pairs():
    adjacency = torch.from_numpy(INTERACTIONS).float()
    probability = torch.tensor([[0.5, 0.4, 0.2, 0.9], [1.0, 0.0, 1.0, 1.0]])
    assert interaction_loss(probability, adjacency).item() == pytest.approx(2 * (0.5 * 0.4 + 0.4 * 0.2) / 2)
    chosen = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert interaction_rate(chosen, adjacency).item() == pytest.approx((2 + 1) / (3 + 1))
    assert interaction_rate(chosen[2:], adjacency).item() == 0


@pytest.mark.parametrize(("rate", "beta"), [(0.0, 1.0), (0.06, 1.0), (0.07, 0.8), (0.1, 0.2), (0.11, 0.0), (0.5, 0.0)])
def test_accuracy_counts_less_the_more_interactions_there_are(rate, beta):
    assert accuracy_weight(torch.tensor(rate), 0.06, 0.05).item() == pytest.approx(beta, abs=1e-5)


def test_the_loss_of_a_set_is_cross_entropy_and_margin():
    logits, drugs = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[0.0, 1.0, 1.0]])
    other, first, second = (1 / (1 + np.exp(-logit)) for logit in (2.0, -1.0, 0.5))
    entropy = -(np.log(1 - other) + np.log(first) + np.log(second)) / 3
    margin = (1 - (first - other) + 1 - (second - other)) / 3
    assert set_loss(logits, drugs, 0.95).item() == pytest.approx(0.95 * entropy + 0.05 * margin, rel=1e-5)
    assert set_loss(logits, drugs, 0.0).item() == pytest.approx(margin, rel=1e-5)


def test_training_weighs_the_two_losses_by_the_rate_of_its_own_sets():
    model = made(acceptance=0.0, correction=1.0)
    data = batch()
    logits = model(data)[data.mask]
    adjacency = torch.from_numpy(INTERACTIONS).float()
    rate = interaction_rate((logits >= 0).float(), adjacency)
    assert 0 < rate < 1
    loss, beta = model.loss(data)
    torch.testing.assert_close(beta, 1 - rate)
    wanted = (1 - rate) * set_loss(logits, data.drugs[data.mask], 0.95)
    torch.testing.assert_close(loss, wanted + rate * 5e-4 * interaction_loss(logits.sigmoid(), adjacency))


def test_known_molecules_fall_into_known_pieces():
    molecules = read_molecules([[ASPIRIN], [PARACETAMOL], ["C1CC", "", "C"], []])
    of = [{molecules.pieces[at] for at in row.nonzero().flatten().tolist()} for row in molecules.holds]
    assert of[0] == {"[1*]C(C)=O", "[3*]O[3*]", "[16*]c1ccccc1[16*]", "[6*]C(=O)O"}
    assert of[1] == {"[1*]C(C)=O", "[5*]N[5*]", "[16*]c1ccc(O)cc1"}
    assert of[2:] == [{"C"}, set()]
    assert molecules.unreadable == ["C1CC", ""]
    assert molecules.label.tolist() == [0, 1, 2]
    assert molecules.molecule.bincount().tolist() == [13, 11, 1]
    assert molecules.bonds.shape == (2, 2 * (13 + 11))


def test_atoms_are_alike_where_all_within_a_bond_of_them_is():
    benzene, toluene = read_molecules([["c1ccccc1"]]), read_molecules([["Cc1ccccc1"]])
    assert benzene.environments == 1
    assert toluene.environments == 3  # methyl, its neighbour, and the other five of the ring


def test_the_spelling_of_a_molecule_does_not_matter_and_messages_pass():
    torch.manual_seed(0)
    same = read_molecules([[ASPIRIN], ["OC(=O)c1ccccc1OC(C)=O"], [PARACETAMOL]])
    encoder = MoleculeEncoder(same, 8, 2)
    rows = encoder()
    torch.testing.assert_close(rows[0], rows[1])
    assert not torch.allclose(rows[0], rows[2], atol=1e-2)
    with torch.no_grad():
        encoder.bonds = encoder.bonds[:, :0]
        assert not torch.allclose(encoder()[0], rows[0], atol=1e-2)


def test_labels_are_means_of_their_molecules_and_one_without_has_a_row_of_its_own():
    torch.manual_seed(0)
    encoder = MoleculeEncoder(read_molecules([[ASPIRIN, IBUPROFEN], [ASPIRIN], [IBUPROFEN], []]), 8, 2)
    rows = encoder()
    torch.testing.assert_close(rows[0], (rows[1] + rows[2]) / 2)
    torch.testing.assert_close(rows[3], encoder.without[3])


def test_a_piece_reaches_only_drugs_that_have_it():
    holds = torch.tensor([[True, False, False], [False, True, True], [False, False, False]])
    layer = BipartiteLinear(holds)
    moved = layer(torch.eye(3)) != 0
    assert moved.T.tolist() == [[True, False, False], [False, True, True], [True, True, True]]
    layer(torch.ones(3)).sum().backward()
    assert (layer.weight.grad != 0).tolist() == moved.T.tolist()


def test_padding_changes_nothing():
    model, data = made(), batch()
    logits = model(data)
    wide = replace(
        data,
        mask=torch.nn.functional.pad(data.mask, (0, 2)),
        diagnoses=torch.nn.functional.pad(data.diagnoses, (0, 3, 0, 2)),
        procedures=torch.nn.functional.pad(data.procedures, (0, 1, 0, 2)),
        drugs=torch.nn.functional.pad(data.drugs, (0, 0, 0, 2)),
        outside=torch.nn.functional.pad(data.outside, (0, 2)),
    )
    torch.testing.assert_close(model(wide)[wide.mask], logits[data.mask])
    torch.testing.assert_close(model.loss(wide), model.loss(data))


def test_a_visit_is_told_by_those_before_it_and_none_after():
    model, data = made(), batch()
    diagnoses = data.diagnoses.clone()
    diagnoses[:, 1] = 6
    changed = (model(replace(data, diagnoses=diagnoses)) - model(data)).abs().amax(2) > 1e-6
    assert not changed[:, 0].any()
    assert changed[:5, 1:].all()


def test_it_learns_which_diagnosis_asks_for_which_drug(tmp_path):
    unlike = replace(DRUGS, interactions=None)
    model = SafeDrug(dim=16, dropout=0.0, learning_rate=0.02)
    fitted = trainer(tmp_path, 250)
    fitted.fit(model, Visits(unlike))
    fitted.test(model, Visits(unlike), verbose=False)
    metrics = fitted.callback_metrics
    assert metrics["test/prauc"] > 0.95
    assert metrics["test/jaccard"] > 0.7
    assert metrics["test/heuristic_most_frequent"] < 0.4
    assert metrics["test/jaccard_over_most_frequent_low"] > 0.2
    assert metrics["test/heuristic_last_visit/visits"] == 10
    assert not [name for name in metrics if "ddi_rate" in name]
    assert [row["visit"] for row in model.predictions] == list(range(16))
    row = model.predictions[3]
    assert row["true"] == [label for label, given in zip("ABCD", batch().drugs[1, 0], strict=True) if given]
    assert row["predicted"] == [label for label, score in row["scores"].items() if score >= 0.5]


def test_interactions_are_avoided_at_the_cost_of_accuracy(tmp_path):
    rates = {}
    for acceptance in (0.0, 1.0):
        model = SafeDrug(dim=16, dropout=0.0, learning_rate=0.02, acceptance=acceptance, interaction_scale=1.0)
        fitted = trainer(tmp_path, 150)
        fitted.fit(model, Visits())
        fitted.test(model, Visits(), verbose=False)
        rates[acceptance] = fitted.callback_metrics["test/ddi_rate"].item()
    assert fitted.callback_metrics["test/prescribed_ddi_rate"] > 0.15
    assert rates[1.0] > 0.15
    assert rates[0.0] < 0.05


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"dim": 0}, "dim"),
        ({"correction": 0.0}, "correction"),
        ({"dropout": 1.5}, "dropout"),
        ({"layers": -1}, "layers"),
    ],
)
def test_impossible_settings_name_their_key(settings, key):
    with pytest.raises(KedrecError, match=rf"model\.init_args\.{key}: "):
        SafeDrug(**settings)


def test_what_it_cannot_do_without_is_named(tmp_path, monkeypatch):
    with pytest.raises(KedrecError, match=r"none of 4 drug labels has a SMILES.*compound_smiles\.tsv"):
        SafeDrug().make_layers(replace(DRUGS, smiles=[[], ["C1CC"], [], []]))
    with pytest.raises(KedrecError, match=r"data\.class_path: Other has no visits with drugs"):
        trainer(tmp_path, 1).fit(SafeDrug(), Other())
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(KedrecError, match=r"pip install kedrec\[molecules\]"):
        read_molecules([[ASPIRIN]])


class Other(ExperimentData):
    def train_dataloader(self):
        return DataLoader([batch()], batch_size=None)
