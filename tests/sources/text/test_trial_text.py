"""What a study of ClinicalTrials.gov says, field by field."""

import json

import pytest

from kedrec.sources.text.clinical_trials import study_documents
from kedrec.sources.text.trial_text import prose, protocol_paragraphs, result_paragraphs


def test_a_protocol_is_written_field_by_field():
    protocol = {
        "statusModule": {"overallStatus": "ACTIVE_NOT_RECRUITING", "whyStopped": "NO"},
        "descriptionModule": {"briefSummary": "Why."},
        "conditionsModule": {"conditions": ["Asthma", "COPD"], "keywords": ["NO"]},
        "designModule": {"phases": ["EARLY_PHASE1"]},
        "armsInterventionsModule": {
            "armGroups": [
                {
                    "label": "A",
                    "type": "ACTIVE_COMPARATOR",
                    "interventionNames": ["Drug: x"],
                    "description": "As \\* said",
                },
                {"label": "B"},
            ],
            "interventions": [
                {"type": "DRUG", "name": "x", "otherNames": ["y", "z"], "description": "Daily."},
                {"type": "DEVICE", "name": "pump"},
            ],
        },
        "outcomesModule": {"primaryOutcomes": [{"measure": "FEV1", "timeFrame": "12 weeks", "description": "Litres."}]},
        "eligibilityModule": {"eligibilityCriteria": "Adults", "minimumAge": "18 Years", "sex": "FEMALE"},
        "contactsLocationsModule": {"centralContacts": [{"name": "NO"}]},
    }
    assert protocol_paragraphs(protocol, status=True) == [
        "Conditions: Asthma, COPD. Interventions: x, pump. Phase: early phase 1. Status: active not recruiting.",
        "Why.",
        "Arm A (active comparator; Drug: x). As * said.",
        "Arm B.",
        "Drug x (also y, z): Daily.",
        "Primary outcome: FEV1 (12 weeks). Litres.",
        "Adults.",
        "Ages: from 18 Years. Sex: female.",
    ]
    assert "Status" not in protocol_paragraphs(protocol, status=False)[0]
    assert protocol_paragraphs({"conditionsModule": {"conditions": ["Asthma"]}}, status=True) == []


def test_results_are_written_with_their_numbers():
    groups = [{"id": "O1", "title": "X"}, {"id": "O2", "title": "Placebo"}]
    measure = {
        "type": "PRIMARY",
        "title": "Attacks",
        "timeFrame": "1 year",
        "paramType": "MEAN",
        "dispersionType": "95% Confidence Interval",
        "unitOfMeasure": "attacks",
        "groups": groups,
        "denoms": [{"units": "Participants", "counts": [{"groupId": "O1", "value": "50"}]}],
        "classes": [
            {
                "title": "men",
                "categories": [
                    {
                        "measurements": [
                            {"groupId": "O1", "value": "1.5", "lowerLimit": "1.0", "upperLimit": "2.0"},
                            {"groupId": "O2", "value": "NA", "comment": "NO"},
                        ]
                    }
                ],
            }
        ],
        "analyses": [{"groupIds": ["O1", "O2"], "pValue": "0.03", "statisticalMethod": "ANCOVA", "paramType": "Ratio",
                      "paramValue": "0.5", "ciPctValue": "95", "ciLowerLimit": "0.3", "ciUpperLimit": "0.8"}],
    }  # fmt: skip
    event = {"term": "Headache", "stats": [{"groupId": "E1", "numAffected": 5, "numAtRisk": 100}]}
    rare = {"term": "RARE", "stats": [{"groupId": "E1", "numAffected": 4, "numAtRisk": 100}]}
    events = {
        "eventGroups": [{"id": "E1", "title": "X", "seriousNumAffected": 2, "seriousNumAtRisk": 100}],
        "seriousEvents": [rare, event],
    }
    limits = {"limitationsAndCaveats": {"description": "Small."}, "pointOfContact": {"title": "NO"}}
    found = {"outcomeMeasuresModule": {"outcomeMeasures": [measure, {"title": "NOT POSTED"}]}}
    assert result_paragraphs({**found, "adverseEventsModule": events, "moreInfoModule": limits}) == [
        "Primary outcome: Attacks (1 year). Mean, attacks: men: X 1.5 (95% confidence interval 1.0 to 2.0); Placebo NA."
        " Analysed: X 50.",
        "Analysis of X with Placebo: ANCOVA, p = 0.03, Ratio 0.5 (95% confidence interval 0.3 to 0.8).",
        "Serious adverse events: X 2 of 100. Headache: X 5 of 100.",
        "Limitations: Small.",
    ]
    assert result_paragraphs({}) == []


@pytest.mark.parametrize("name", ["NCT00763412", "NCT02210780", "NCT02552212", "NCT04207047", "NCT06171568"])
def test_a_real_study_says_what_it_holds(name, real_data):
    folder = real_data / "text" / "ctgov_v2"
    content = json.loads((folder / f"{name}.json").read_text())
    protocol, *results = study_documents(content)
    module = content["protocolSection"]
    assert (protocol.id, protocol.source) == (name, "clinical_trials")
    assert protocol.date == module["statusModule"]["studyFirstPostDateStruct"]["date"]
    assert protocol.title == module["identificationModule"]["briefTitle"]
    assert protocol.url == f"https://clinicaltrials.gov/study/{name}" and "ClinicalTrials.gov" in protocol.license
    for intervention in module["armsInterventionsModule"]["interventions"]:
        assert intervention["name"] in protocol.text
    assert "Status: " in protocol.text and ("Phase: " in protocol.text) == ("phases" in module["designModule"])
    assert len(results) == content["hasResults"]
    if results:
        measures = content["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"]
        categories = [one for measure in measures for part in measure.get("classes", ()) for one in part["categories"]]
        numbers = [number["value"] for one in categories for number in one["measurements"]]
        assert results[0].id == f"{name}-results"
        assert results[0].date == module["statusModule"]["resultsFirstPostDateStruct"]["date"] > protocol.date
        assert all(number in results[0].text for number in numbers) and numbers[0] not in protocol.text
    early = study_documents(content, before="2015-01-01")
    assert [document.id for document in early] == ([name] if protocol.date < "2015" else [])


def test_markdown_becomes_paragraphs_and_sentences():
    markup = (
        "Inclusion Criteria:\n\n* Age \\>18\n  years;\n* HbA1c 7-9 %.\n\n  1. nested\n\nNo other.\n\n\nA wrapped\nline"
    )
    assert prose(markup) == [
        "Inclusion Criteria: Age >18 years. HbA1c 7-9 %. nested.",
        "No other.",
        "A wrapped line.",
    ]
    assert prose("") == [] and prose("\n\n") == []
