from collections import Counter

import pytest

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.irrelevant_drugs import random_draw
from kedrec.mimic.admission_pairs import PRESCRIBED, admission_pairs, category, disease_id, prescribed_edges
from kedrec.mimic.admission_tables import Admission
from kedrec.splits.seeded_split import SPLITS, check_patients, split_patients

SETTINGS = {"per_admission": 3, "usual": 0.5, "validation": 0.2, "test": 0.3, "seed": 0}


def _stay(number, patient, code="0389"):
    return Admission(patient, number, f"2100-01-{number % 28 + 1:02}", (("ICD9", code),), (), ())


def _hospital(patients=40):
    """Stays by turns of four diagnoses, each with drugs of its own, one of everybody and one of nobody else."""
    stays = [_stay(10 * patient + n, patient, ("0389", "4019", "25000", "486")[(patient + n) % 4])
             for patient in range(patients) for n in range(2)]  # fmt: skip
    drugs = {one.admission: ["all", *(f"{one.diagnoses[0][1]}-{n}" for n in range(3)), f"own-{one.admission}"]
             for one in stays}  # fmt: skip
    return stays, drugs


def _nothing(_):
    return set()


def _homes(stays, seed):
    split = split_patients((one.patient for one in stays), SETTINGS["validation"], SETTINGS["test"], seed)
    return {patient: name for name, its in split.items() for patient in its}


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_and_no_edge_is_in_two_splits(seed):
    stays, drugs = _hospital()
    asked = prescribed_edges(stays, drugs, _nothing, **{**SETTINGS, "seed": seed})
    homes = _homes(stays, seed)
    assert set(homes.values()) == set(SPLITS)
    assert Counter(edge for of in asked.edges.values() for edge in of).most_common(1)[0][1] == 1
    of = {f"own-{one.admission}": homes[one.patient] for one in stays}
    own = {edge[0]: split for split, edges in asked.edges.items() for edge in edges if edge[0] in of}
    assert own  # what one patient alone was given is asked in that patient's split
    assert all(of[drug] == split for drug, split in own.items())
    assert asked.dropped > 0


def test_a_patient_who_is_planted_in_two_splits_is_caught(monkeypatch):
    split = split_patients(range(100, 200), 0.2, 0.3, 0)
    check_patients(split)
    split["train"].append(split["test"][0])
    with pytest.raises(KedrecError, match="1 of 100 patients"):
        check_patients(split)
    stays, drugs = _hospital(100)
    planted = {name: [patient - 100 for patient in its] for name, its in split.items()}
    monkeypatch.setattr("kedrec.mimic.admission_pairs.split_patients", lambda *_: planted)
    with pytest.raises(KedrecError, match="in more than one of train, validation, test"):
        prescribed_edges(stays, drugs, _nothing, **SETTINGS)


def test_what_the_test_asks_of_one_patient_is_asked_of_no_other_in_training():
    stays, drugs = _hospital()
    homes = _homes(stays, 0)
    tested = next(one for one in stays if homes[one.patient] == "test")
    trained = next(one for one in stays if homes[one.patient] == "train")
    like = Admission(trained.patient, 9999, "2100", tested.diagnoses, (), ())
    asked = prescribed_edges([*stays, like], {**drugs, 9999: drugs[tested.admission]}, _nothing,
                             **{**SETTINGS, "per_admission": 9})  # fmt: skip
    edge = (f"own-{tested.admission}", disease_id(tested.diagnoses[0]))
    assert edge in asked.edges["test"]
    assert edge not in asked.edges["train"]


def test_what_is_usual_or_indicated_is_not_irrelevant():
    stays, drugs = _hospital()
    asked = prescribed_edges(stays, drugs, lambda code: {"486-0"} if code[1] == "0389" else set(), **SETTINGS)
    assert asked.treating["Disease::ICD9:0389"] == {"all", "0389-0", "0389-1", "0389-2", "486-0"}
    assert asked.treating["Disease::ICD9:486"] == {"all", "486-0", "486-1", "486-2"}


def test_a_drug_that_was_given_all_the_same_is_not_irrelevant():
    stays, drugs = _hospital()
    asked = prescribed_edges(stays, drugs, _nothing, **SETTINGS)
    given = random_draw(dict.fromkeys(SPLITS, asked.pool), asked.treating, 0)
    pairs = admission_pairs(asked, given, "random", {}, 0)
    assert pairs
    for pair in pairs:
        assert pair.irrelevant not in asked.given[pair.relevant, pair.disease]
        assert pair.irrelevant not in asked.treating[pair.disease]
        assert pair.provenance == f"{PRESCRIBED};random"
    bad = admission_pairs(asked, lambda edges, _: [min(asked.given[edge] - {edge[0]}) for edge in edges], "bad", {}, 0)
    assert bad == []


def test_categories_join_codes_of_one_disease():
    assert category(("ICD9", "0389")) == category(("ICD9", "03811")) == ("ICD9", "038")
    assert category(("ICD9", "E8791")) == ("ICD9", "E879")
    assert category(("ICD10", "E1165")) == ("ICD10", "E11")
    assert category(("ICD9", "250")) != category(("ICD10", "250"))


def test_a_hospital_without_drugs_is_told():
    stays, _ = _hospital()
    with pytest.raises(KedrecError, match="no admission"):
        prescribed_edges(stays, {}, _nothing, **SETTINGS)
