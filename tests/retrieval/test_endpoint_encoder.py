"""Embeddings from a server: order, batches, faults, and what the anchors need of an encoder."""

import numpy as np
import pytest

from kedrec.errors import KedrecError
from kedrec.retrieval.bi_encoder import Encoder
from kedrec.retrieval.endpoint_encoder import EndpointEncoder, text_encoder
from kedrec.storage.artifact_store import Store
from tests.support.misbehaving_llm_server import Reply, error, serving


def vector(text):
    return [float(len(text)), 3.0, float(ord(text[0]) % 7)]


def embedding(body, _=0):
    rows = [{"object": "embedding", "index": n, "embedding": vector(text)} for n, text in enumerate(body["input"])]
    return Reply({"object": "list", "model": "m", "data": rows[::-1], "usage": {"prompt_tokens": 1, "total_tokens": 1}})


def encoder(server, folder, **settings):
    made = EndpointEncoder("m", server.url, store=Store(folder), **settings)
    made.endpoint.pause = 0.01
    return made


def test_vectors_come_in_the_order_of_the_texts_with_length_1(tmp_path):
    texts = [f"{'x' * (n % 9)}{n}" for n in range(300)]
    with serving(rule=embedding) as server:
        found = encoder(server, tmp_path, concurrency=3).encode(texts)
        assert sorted(len(body["input"]) for body in server.seen) == [44, 128, 128]
        assert server.busiest <= 3
    expected = np.array([vector(text) for text in texts], np.float32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)


def test_large_texts_are_spread_over_more_requests(tmp_path):
    with serving(rule=embedding) as server:
        encoder(server, tmp_path).encode(["y" * 90_000] * 5)
        assert sorted(len(body["input"]) for body in server.seen) == [1, 2, 2]


def test_the_dimension_is_asked_once_and_kept(tmp_path):
    with serving(rule=embedding) as server:
        assert encoder(server, tmp_path).dimension == 3
        assert encoder(server, tmp_path).dimension == 3
        assert len(server.seen) == 1
    assert text_encoder("http://127.0.0.1:9/v1#m", Store(tmp_path)).dimension == 3


@pytest.mark.parametrize(
    "fault",
    [
        error(500, "oops"),
        Reply('{"data": ['),
        Reply({"data": []}),
        Reply({"data": [{"index": 0, "embedding": [0, 0]}]}),
    ],
)
def test_a_fault_that_passes_is_tried_again(tmp_path, fault):
    with serving(rule=lambda body, number: fault if number == 0 else embedding(body)) as server:
        assert encoder(server, tmp_path).encode(["a"]).shape == (1, 3)
        assert len(server.seen) == 2


def test_a_model_that_does_not_embed_is_one_clear_error(tmp_path):
    with (
        serving(rule=lambda *_: error(400, "not an embedding model")) as server,
        pytest.raises(KedrecError, match=r"'m' does not embed these texts \(status 400: not an embedding model\)"),
    ):
        encoder(server, tmp_path).encode(["a", "b"])
    with (
        serving(rule=lambda *_: error(404, "Not Found")) as server,
        pytest.raises(KedrecError, match="does not know the model 'm'"),
    ):
        encoder(server, tmp_path).encode(["a"])


def test_the_name_tells_which_encoder_it_is(tmp_path, tiny_encoder_folder):
    assert isinstance(text_encoder(str(tiny_encoder_folder), Store(tmp_path)), Encoder)
    made = text_encoder("https://api.openai.com/v1#text-embedding-3-small", Store(tmp_path))
    assert (made.endpoint.model, made.endpoint.key_variable) == ("text-embedding-3-small", "OPENAI_API_KEY")
    assert made.identity == EndpointEncoder("text-embedding-3-small", "http://elsewhere/v1").identity
    assert made.identity != EndpointEncoder("text-embedding-3-large").identity
    with pytest.raises(KedrecError, match="expected an address and a model"):
        text_encoder("https://api.openai.com/v1", Store(tmp_path))
