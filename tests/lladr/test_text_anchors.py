import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.lladr import text_anchors as anchors
from kedrec.lladr.entity_texts import EntityTexts
from kedrec.lladr.text_anchors import text_modalities
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.runtime.progress import told_to
from kedrec.storage.artifact_store import Store

NAMES = ["aspirin", "asthma", "", "aspirin", ""]
DESCRIPTIONS = ["treats pain", "", "", "treats stroke", "lowers blood sugar"]


def texts(names=NAMES, descriptions=DESCRIPTIONS, masked=("",) * 5):
    return EntityTexts(list(names), list(descriptions), list(masked), {})


@pytest.fixture
def embedded(monkeypatch):
    """What was embedded, call by call."""
    calls, encode = [], Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, part: (calls.append(list(part)), encode(self, part))[1])
    return calls


def test_each_half_has_the_vectors_of_its_texts(tiny_encoder_folder, tmp_path):
    name, description = text_modalities(texts(), str(tiny_encoder_folder), Store(tmp_path))
    encoder = Encoder(str(tiny_encoder_folder))
    assert (name.name, description.name) == ("name", "description")
    assert name.vectors.dtype == np.float32
    assert name.known.tolist() == [True, True, False, True, False]
    assert description.known.tolist() == [True, True, False, True, True]
    expected = encoder.encode(["aspirin", "asthma", "treats pain", "treats stroke", "lowers blood sugar"])
    zero = np.zeros(32)
    for found, rows in (
        (name, [expected[0], expected[1], zero, expected[0], zero]),
        (description, [expected[2], expected[1], zero, expected[3], expected[4]]),  # the second has its name's
    ):
        np.testing.assert_allclose(found.vectors, np.stack(rows), atol=2e-2)  # bfloat16, in other batches


def test_slices_change_nothing(tiny_encoder_folder, tmp_path, monkeypatch):
    whole = text_modalities(texts(), str(tiny_encoder_folder), Store(tmp_path / "whole"))
    monkeypatch.setattr(anchors, "_SLICE", 2)
    said = []
    with told_to(lambda *told: said.append(told)):
        sliced = text_modalities(texts(), str(tiny_encoder_folder), Store(tmp_path / "sliced"))
    for one, other in zip(whole, sliced, strict=True):
        np.testing.assert_allclose(one.vectors, other.vectors, atol=2e-2)
        assert np.array_equal(one.known, other.known)
    assert ("descriptions embedded", 3, 3) in said


def test_a_text_is_embedded_once_and_names_are_kept_apart(tiny_encoder_folder, tmp_path, embedded):
    store, encoder = Store(tmp_path), str(tiny_encoder_folder)
    first = text_modalities(texts(), encoder, store)
    assert embedded == [["aspirin", "asthma"], ["lowers blood sugar", "treats pain", "treats stroke"]]
    again = text_modalities(texts(), encoder, store)
    assert len(embedded) == 2
    assert all(np.array_equal(one.vectors, other.vectors) for one, other in zip(first, again, strict=True))
    text_modalities(texts(descriptions=["new"] + [""] * 4), encoder, store)
    assert embedded[2:] == [["new"]]


def test_a_masked_description_is_not_used_and_masking_embeds_nothing_anew(tiny_encoder_folder, tmp_path, embedded):
    store, encoder = Store(tmp_path), str(tiny_encoder_folder)
    name, whole = text_modalities(texts(), encoder, store)
    hidden = ["treats pain", "", "", "", "lowers blood sugar"]
    shown = ["", "", "", "treats stroke", ""]
    _, masked = text_modalities(texts(descriptions=shown, masked=hidden), encoder, store)
    assert len(embedded) == 2
    assert np.array_equal(masked.vectors[0], name.vectors[0])
    assert np.array_equal(masked.vectors[3], whole.vectors[3])
    assert masked.known.tolist() == [True, True, False, True, False]
    assert not masked.vectors[4].any()


def test_vectors_that_are_not_finite_are_refused_and_not_kept(tiny_encoder_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Encoder, "encode", lambda self, part: np.full((len(part), 32), np.nan, np.float32))
    with pytest.raises(KedrecError, match="NaN"):
        text_modalities(texts(), str(tiny_encoder_folder), Store(tmp_path))
    assert not list(tmp_path.rglob("vectors.npy"))
