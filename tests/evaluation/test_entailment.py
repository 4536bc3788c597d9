"""NLI models: which label is entailment, what is cut, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from kedrec.errors import KedrecError
from kedrec.evaluation.entailment import Entailment
from tests.support.tiny_nli_model import relabel, tiny_nli

PAIRS = [
    ("aspirin prevents stroke in adults", "aspirin treats pain"),
    ("metformin for diabetes", "metformin treats diabetes in children with asthma"),
    ("insulin lowers blood sugar . " * 4, "insulin"),
    ("", "stroke"),
]


@pytest.fixture(scope="module")
def nli_folder(tmp_path_factory, tiny_encoder_folder):
    return tiny_nli(tmp_path_factory.mktemp("nli"), tiny_encoder_folder)


@pytest.fixture(scope="module")
def nli(nli_folder):
    return Entailment(str(nli_folder))


@pytest.fixture
def copied(nli_folder, tmp_path):
    return shutil.copytree(nli_folder, tmp_path / "copy")


def softmax(folder, premise, hypothesis):
    """What the model says of one pair, (labels,), without any of ours."""
    read = AutoTokenizer.from_pretrained(folder)(premise, hypothesis, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    return model(**read).logits.softmax(-1)[0].detach().numpy()


def test_probabilities_are_those_of_the_label_by_that_name_in_the_order_of_the_pairs(nli, nli_folder):
    expected = [softmax(nli_folder, *pair)[2] for pair in PAIRS]
    np.testing.assert_allclose(nli.probabilities(PAIRS), expected, rtol=1e-3)
    np.testing.assert_allclose(nli.probabilities(PAIRS * 20), expected * 20, rtol=1e-3)
    assert min(expected) < max(expected) / 5
    assert nli.probabilities([]).shape == (0,)


@pytest.mark.parametrize(
    ("labels", "row"), [(("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), 0), (("not_entailment", "entailment", "other"), 1)]
)
def test_the_label_is_found_by_its_name(copied, labels, row):
    found = Entailment(relabel(copied, *labels)).probabilities(PAIRS[:1])
    assert found[0] == pytest.approx(softmax(copied, *PAIRS[0])[row], abs=1e-5)


def test_the_premise_is_cut_at_its_end_and_never_the_hypothesis(nli):
    premise, hypothesis = "aspirin prevents stroke in adults . " * 20, "the heart and the lung with asthma"
    room = 64 - 3 - len(hypothesis.split())
    kept = " ".join(premise.split()[:room])
    shorter = " ".join(premise.split()[: room - 1])
    whole, other_end, cut, less, other_claim = nli.probabilities(
        [
            (premise, hypothesis),
            (premise + "warfarin causes pain", hypothesis),
            (kept, hypothesis),
            (shorter, hypothesis),
            (premise, hypothesis.replace("asthma", "diabetes")),
        ]
    )
    assert whole == pytest.approx(other_end, abs=1e-6) == pytest.approx(cut, abs=1e-6)
    assert abs(whole - less) > 1e-5
    assert abs(whole - other_claim) > 1e-5


def test_a_hypothesis_that_leaves_no_room_is_entailed_by_nothing(nli):
    none, long, short = nli.probabilities(
        [("aspirin", "pain " * 61), ("aspirin " * 90, "pain " * 60), ("aspirin", "pain " * 60)]
    )
    assert none == 0 < long == pytest.approx(short, rel=1e-3)


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1", "LABEL_2"), ("entailment", "entails", "neutral")])
def test_a_model_that_does_not_say_which_label_it_is_is_refused(copied, labels):
    with pytest.raises(KedrecError, match=r"'entail'.*id2label of its config\.json"):
        Entailment(relabel(copied, *labels))


def test_a_model_that_was_not_trained_to_classify_is_refused(tiny_encoder_folder, tmp_path):
    plain = shutil.copytree(tiny_encoder_folder, tmp_path / "plain")
    with pytest.raises(KedrecError, match=r"lack 'classifier\.bias'.*name an NLI model"):
        Entailment(relabel(plain, "entailment", "neutral"))


def test_absent_and_damaged_models_are_refused(copied, tmp_path):
    with pytest.raises(KedrecError, match=r"no config\.json"):
        Entailment(str(tmp_path))
    with pytest.raises(KedrecError, match=r"'no/such'.*a folder or a hub name"):
        Entailment("no/such")
    (copied / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(KedrecError, match="cannot be loaded"):
        Entailment(str(copied))
    (copied / "model.safetensors").unlink()
    with pytest.raises(KedrecError, match="safetensors"):
        Entailment(str(copied))


def test_code_that_comes_with_a_model_is_not_run(copied, tmp_path):
    config = json.loads((copied / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "modeling.Planted", "AutoConfig": "modeling.Planted"}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Planted: ...\n")
    Entailment(str(copied))
    assert not (tmp_path / "ran").exists()
