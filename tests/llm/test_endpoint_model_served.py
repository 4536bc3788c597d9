"""The endpoint teacher against a real server of the protocol: `transformers serve` with the bundled model."""

import json
import urllib.request

import pytest

from kedrec.errors import KedrecError
from kedrec.kedrec_lm.rationale_cases import Case, Evidence
from kedrec.kedrec_lm.rationale_writing import write_rationales
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings
from kedrec.llm.answer_cache import open_log
from kedrec.llm.batch_runner import answer_all
from kedrec.llm.endpoint_model import EndpointModel
from kedrec.llm.local_model import LocalModel
from kedrec.llm.requests import Request
from kedrec.sources.weights import base_folder
from kedrec.storage.artifact_store import Store
from tests.support.misbehaving_llm_server import Reply, chat, error, serving
from tests.support.transformers_server import transformers_serve

pytestmark = pytest.mark.real_weights
pytest.importorskip("fastapi", reason="transformers serve needs the extra: pip install kedrec[serving]")
pytest.importorskip("uvicorn", reason="transformers serve needs the extra: pip install kedrec[serving]")

QUESTIONS = [
    Request(({"role": "user", "content": text},), max_tokens=8)
    for text in ("Name one drug for asthma.", "What is the capital of France?")
]


@pytest.fixture(scope="module")
def folder(store):
    return base_folder("smollm2", Store(store))


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    """The address of the server."""
    with transformers_serve(folder, tmp_path_factory.mktemp("served") / "log", "bfloat16") as url:
        yield url


def ask(url, folder, log_path, requests=QUESTIONS, **settings):
    model = EndpointModel(str(folder), url, **{"concurrency": 2, "timeout": 60, **settings})
    model.endpoint.pause = 0.01
    with open_log(log_path) as log:
        return answer_all(model, requests, log)


def test_chat_whole_and_streamed_and_the_local_model_agree(served, folder, store, tmp_path):
    whole = ask(served, folder, tmp_path / "whole.jsonl")
    streamed = ask(served, folder, tmp_path / "streamed.jsonl", stream=True)
    assert "Paris" in whole[1].text
    assert [answer.text for answer in whole] == [answer.text for answer in streamed]
    assert all(answer.completion_tokens == 8 and answer.finish == "length" for answer in [*whole, *streamed])
    assert [answer.prompt_tokens for answer in whole] == [answer.prompt_tokens for answer in streamed]
    local = LocalModel("smollm2", batch_size=1, accelerator="cpu", store=store)
    with open_log(tmp_path / "local.jsonl") as log:
        answers = answer_all(local, QUESTIONS, log)
    assert [answer.prompt_tokens for answer in answers] == [answer.prompt_tokens for answer in whole]
    assert "Paris" in answers[1].text


def test_the_bound_on_a_prompts_tokens_holds(served, folder, tmp_path):
    request = Request(({"role": "user", "content": "µ≤∞☃ " * 20},), max_tokens=1)
    (answer,) = ask(served, folder, tmp_path / "a.jsonl", [request])
    assert 80 < answer.prompt_tokens <= request.most_prompt_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_a_faulty_proxy_in_front_changes_nothing(served, folder, tmp_path, stream):
    def forward(body):
        request = urllib.request.Request(
            f"{served}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Reply(answer.read(), kind=answer.headers["content-type"])

    faults = [error(429, "slow down", {"retry-after": "0"}), error(500, "oops"), Reply('{"choices": [')]

    def rule(body, number):
        if number < len(faults):
            return faults[number]
        reply = forward(body)
        if number == len(faults):
            reply.cut = len(reply.body) // 2
        return reply

    with serving(rule=rule) as proxy:
        answers = ask(proxy.url, folder, tmp_path / "a.jsonl", QUESTIONS[1:], concurrency=1, stream=stream)
    assert len(proxy.seen) == 5
    assert answers == ask(served, folder, tmp_path / "b.jsonl", QUESTIONS[1:], stream=stream)


def test_a_model_that_the_server_does_not_have_is_a_clear_error(served, tmp_path):
    with pytest.raises(KedrecError, match=r"refuses these requests.*pinned"):
        ask(served, "another", tmp_path / "a.jsonl")


def test_rationales_come_with_a_verdict_each(served, folder, tmp_path):
    names = {"Disease::d": ("asthma",), "Compound::x": ("albuterol",), "Compound::y": ("propranolol",)}
    case = Case("Disease::d", "Compound::x", "Compound::y", names, (Evidence("P-1", ("Albuterol opens airways.",)),))
    with open_log(tmp_path / "a.jsonl") as log:
        report = write_rationales(
            EndpointModel(str(folder), served), [case], tmp_path, log, RationaleSettings(max_tokens=24)
        )
    assert report.cases == report.accepted + sum(report.reasons.values()) == 1


def test_the_made_up_server_of_the_other_tests_answers_in_the_real_ones_form(served, folder, tmp_path):
    body = {"model": str(folder), "messages": list(QUESTIONS[0].messages), "max_tokens": 2}
    request = urllib.request.Request(
        f"{served}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        real = json.load(answer)
    made_up = chat()
    assert made_up.keys() <= real.keys()
    assert made_up["usage"].keys() <= real["usage"].keys()
    assert made_up["choices"][0].keys() <= real["choices"][0].keys()
