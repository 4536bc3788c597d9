"""What the web is asked about pairs, and that it is asked once."""

import json

import pytest

from kedrec.kedrec_lm.web_texts import WebTexts
from kedrec.storage.artifact_store import Store
from tests.sources.conftest import online  # noqa: F401  (a fixture)
from tests.sources.text.test_clinical_trials import study
from tests.support.loopback_server import Answer, Loopback

pytestmark = pytest.mark.usefixtures("online")


def _one_study_each(asked):
    number = 1 + len(asked.query["query.cond"])
    return Answer(json.dumps({"studies": [study(number)]}).encode(), headers={"Content-Type": "application/json"})


def test_the_register_is_asked_once_about_each_pair_by_names_that_are_no_operators(tmp_path):
    pairs = [("asthma", "salmeterol"), ("Diabetes Mellitus, Type 2", "5-(N,N-hexamethylene)amiloride")]
    with Loopback(_one_study_each) as server:
        texts = WebTexts(email="", abstracts=0, trials_url=f"{server.url}/studies")
        path = texts.fetch(pairs, None, Store(tmp_path))
        assert [(one.query["query.cond"], one.query["query.intr"]) for one in server.asked] == [
            ('"Diabetes Mellitus, Type 2"', '"5-(N,N-hexamethylene)amiloride"'),
            ("asthma", "salmeterol"),
        ]
        assert len(path.read_text(encoding="utf-8").splitlines()) == 2
        texts.fetch(pairs, None, Store(tmp_path))
        texts.fetch([*pairs, ("Diabetes Mellitus Type 2", "metformin")], None, Store(tmp_path))
        assert [one.query["query.cond"] for one in server.asked[2:]] == ["Diabetes Mellitus Type 2"]
