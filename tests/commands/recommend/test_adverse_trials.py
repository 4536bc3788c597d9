"""Trials that stopped or failed: told from both forms in which trials come, and not from what they merely mention."""

import json

import pytest

from kedrec.commands.recommend.adverse_trials import adverse_trials
from kedrec.commands.recommend.objections import trial_objections
from kedrec.retrieval.chunking import chunk
from kedrec.sources.text.clinical_trials import study_documents
from kedrec.sources.text.documents import read_documents

HEADER = "nctid,status,why_stop,label,phase,diseases,icdcodes,drugs,smiless,criteria\n"
ROWS = [
    ("NCT1", "terminated", "slow accrual", "0", "alzheimer's disease", "azeliragon"),
    ("NCT2", "completed", "", "0", "alzheimer's disease", "Azeliragon 5 mg"),
    ("NCT3", "completed", "", "1", "alzheimer's disease", "azeliragon"),
    ("NCT4", "terminated", "sponsor", "0", "asthma", "azeliragon"),
    ("NCT5", "terminated", "sponsor", "0", "alzheimer's disease", "placebo"),
    ("NCT6", "suspended", "", "1", "alzheimer's disease", "azeliragon"),
]
DISEASE, DRUG = ("Alzheimer Disease", "Alzheimer's Disease"), ("Azeliragon",)


@pytest.fixture
def table(tmp_path):
    rows = [
        f'{trial},{status},{why},{label},phase 2,"[""{disease}""]",[],"[""{drug}""]",[],'
        "No azeliragon before. No Alzheimer's disease in the family. Status: terminated.\n"
        for trial, status, why, label, disease, drug in ROWS
    ]
    (tmp_path / "trials_phase123.csv").write_text(HEADER + "".join(rows))
    return tmp_path


def passages(place):
    return list(chunk(read_documents(place), lambda texts: [len(text.split()) for text in texts], size=12))


def test_stopped_and_failed_trials_of_both_trip_and_no_others(table):
    found = {trial.id: trial for trial in adverse_trials(passages(table), DISEASE, DRUG, table)}
    assert found.keys() == {"NCT1", "NCT2", "NCT6"}
    assert (found["NCT1"].status, found["NCT1"].failed, found["NCT1"].reason) == ("terminated", True, "slow accrual")
    assert (found["NCT2"].status, found["NCT2"].failed) == ("completed", True)
    assert (found["NCT6"].status, found["NCT6"].failed) == ("suspended", False)
    assert found["NCT1"].url == "https://clinicaltrials.gov/study/NCT1"
    told = trial_objections(list(found.values()))
    assert [(one.kind, one.source) for one in told] == [
        ("failed_trial", "NCT1"), ("failed_trial", "NCT2"), ("stopped_trial", "NCT6")
    ]  # fmt: skip
    assert "terminated, for this reason: slow accrual, and TOP" in told[0].text


def test_an_abbreviation_is_no_word_of_another_case(table):
    assert adverse_trials(passages(table), (*DISEASE, "MG"), DRUG, table)
    assert not adverse_trials(passages(table), ("MG",), DRUG, table)  # of "5 mg"


def test_the_table_itself_may_be_named(table):
    file = table / "trials_phase123.csv"
    assert len(adverse_trials(passages(file), DISEASE, DRUG, file)) == 3


def test_a_study_of_the_register_says_itself_that_it_stopped(tmp_path):
    study = {
        "protocolSection": {
            "identificationModule": {"nctId": "NCT9", "briefTitle": "A Study"},
            "statusModule": {"overallStatus": "TERMINATED", "whyStopped": "futility"},
            "conditionsModule": {"conditions": ["Alzheimer Disease"]},
            "armsInterventionsModule": {"interventions": [{"type": "DRUG", "name": "Azeliragon"}]},
            "descriptionModule": {"briefSummary": "It is tried."},
        }
    }
    documents = study_documents(study)
    (tmp_path / "passages.jsonl").write_text("".join(json.dumps(vars_of(one)) + "\n" for one in documents))
    (trial,) = adverse_trials(passages(tmp_path), DISEASE, DRUG, tmp_path)
    assert (trial.id, trial.status, trial.failed, trial.reason) == ("NCT9", "terminated", None, "")
    study["protocolSection"]["statusModule"]["overallStatus"] = "COMPLETED"
    running = list(chunk(study_documents(study), lambda texts: [1 for _ in texts]))
    assert adverse_trials(running, DISEASE, DRUG, tmp_path) == []


def vars_of(document):
    return {name: getattr(document, name) for name in ("id", "source", "title", "text", "url")}
