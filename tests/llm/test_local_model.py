"""The local teacher: batches, seeds, limits, and more than one process."""

import json
import shutil

import pytest
import torch

from kedrec.errors import KedrecError
from kedrec.llm.answer_cache import open_log
from kedrec.llm.batch_runner import answer_all
from kedrec.llm.generation import GumbelDraws, Prompt
from kedrec.llm.local_model import LocalModel
from kedrec.llm.requests import Request

TEXTS = ["aspirin", "what does warfarin do to the blood, and why?", "heart", "stroke and pain " * 12, "insulin", "x"]


def requests(**settings):
    return [Request(({"role": "user", "content": text},), **{"max_tokens": 12, **settings}) for text in TEXTS]


@pytest.fixture(scope="module")
def lively(tiny_base, tmp_path_factory):
    """The tiny base with larger weights: as it is, it answers everything alike."""
    from safetensors.torch import load_file, save_file

    copy = tmp_path_factory.mktemp("lively") / "base"
    shutil.copytree(tiny_base, copy)
    weights = load_file(copy / "model.safetensors")
    save_file({name: 12 * weight for name, weight in weights.items()}, copy / "model.safetensors", {"format": "pt"})
    return copy


@pytest.fixture
def ask(lively, tmp_path):
    def asked(wanted, base=lively, log_name="a", **settings):
        model = LocalModel(str(base), **{"batch_size": 1, "precision": "32", "accelerator": "cpu", **settings})
        with open_log(tmp_path / f"{log_name}.jsonl") as log:
            answers = answer_all(model, wanted, log)
            asked.tallies = log.ledger.tallies
        return answers

    return asked


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_does_not_depend_on_what_shares_its_batch(ask, temperature):
    wanted = requests(temperature=temperature, seed=3)
    alone = ask(wanted, log_name="one")
    together = ask(wanted, log_name="four", batch_size=4)
    assert [answer.text for answer in alone] == [answer.text for answer in together]
    assert len({answer.text for answer in alone}) > 1
    assert {answer.completion_tokens for answer in alone if answer.finish == "length"} <= {12}


@pytest.mark.slow
def test_two_processes_answer_as_one(ask):
    wanted = requests(temperature=1.0)
    one = ask(wanted, log_name="one")
    two = ask(wanted, log_name="two", devices=2)
    assert one == two
    assert next(iter(ask.tallies.values())).answers == len(TEXTS)


@pytest.mark.real_weights  # for the time that processes take to start
def test_faults_in_and_around_processes_are_clear_errors(ask, lively, tmp_path, monkeypatch):
    copy = tmp_path / "base"
    shutil.copytree(lively, copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(KedrecError, match=r"cannot be loaded.*download it again"):
        ask(requests(), copy, devices=2)
    kept = []

    def keep(self, model, request, answer):
        kept.append(request)
        raise KedrecError("the disk is full")

    monkeypatch.setattr("kedrec.llm.answer_cache.AnswerLog.keep", keep)
    with pytest.raises(KedrecError, match="the disk is full"):
        ask(requests(max_tokens=300), devices=2)
    assert len(kept) == 1
    assert not torch.multiprocessing.active_children()


def test_seeds_differ_and_repeat(ask):
    first, again, other = (
        [answer.text for answer in ask(requests(temperature=1.0, seed=seed), log_name=name)]
        for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert first == again
    assert first != other


def test_each_answer_keeps_to_its_own_bound(ask):
    wanted = [Request(({"role": "user", "content": text},), max_tokens=3 + number) for number, text in enumerate(TEXTS)]
    for request, answer in zip(wanted, ask(wanted, batch_size=6), strict=True):
        assert answer.completion_tokens <= request.max_tokens
        assert answer.finish in ("stop", "length")


def test_a_question_longer_than_the_context_is_refused_and_the_others_are_answered(ask):
    long = Request(({"role": "user", "content": "stroke " * 3000},), max_tokens=4)
    answers = ask([*requests(max_tokens=4)[:1], long])
    assert [answer.finish == "refused" for answer in answers] == [False, True]
    assert "context is 2048 tokens" in answers[1].text


def test_a_whole_log_needs_no_weights(ask, tiny_base, tmp_path):
    copy = tmp_path / tiny_base.name
    shutil.copytree(tiny_base, copy)
    wanted = requests(max_tokens=2)[:2]
    first = ask(wanted, copy)
    model = LocalModel(str(copy))
    model._predict = None
    with open_log(tmp_path / "a.jsonl") as log:
        assert answer_all(model, wanted, log) == first


def test_the_name_tells_the_weights_apart(tiny_base, tmp_path):
    copy = tmp_path / "other"
    shutil.copytree(tiny_base, copy)
    assert LocalModel(str(copy)).name.split("@")[1] == LocalModel(str(tiny_base)).name.split("@")[1]
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    assert LocalModel(str(copy)).name.split("@")[1] != LocalModel(str(tiny_base)).name.split("@")[1]


def test_a_model_without_a_chat_template_is_refused(ask, tiny_base, tmp_path):
    copy = tmp_path / "base"
    shutil.copytree(tiny_base, copy)
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(KedrecError, match=r"no chat template.*instruct"):
        ask(requests(), copy)


def test_weights_that_are_damaged_are_one_clear_error(ask, tiny_base, tmp_path):
    copy = tmp_path / "base"
    shutil.copytree(tiny_base, copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(KedrecError, match=r"cannot be loaded.*download it again"):
        ask(requests(), copy)


def test_a_system_message_reaches_a_template_without_that_role(ask, tiny_base, tmp_path):
    copy = tmp_path / "base"
    shutil.copytree(tiny_base, copy)
    template = (copy / "chat_template.jinja").read_text()
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    (copy / "chat_template.jinja").write_text(strict + template)
    model = LocalModel(str(copy))
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"})
    assert "Be brief.\n\nWhy?" in model._tokenizer.decode(model._tokens(messages))


def test_gumbel_draws_follow_the_softmax():
    scores = torch.log(torch.tensor([0.6, 0.3, 0.1]))
    counts = torch.zeros(3)
    prompts = [Prompt(0, (n,), 1, 1.0, 0) for n in range(4000)]
    draws = GumbelDraws(prompts, torch.device("cpu"))
    for drawn in draws(torch.zeros(4000, 1), scores.repeat(4000, 1)).argmax(1).tolist():
        counts[drawn] += 1
    assert torch.allclose(counts / 4000, torch.tensor([0.6, 0.3, 0.1]), atol=0.03)
    cold = GumbelDraws([Prompt(0, (1,), 1, 0.0, 0)], torch.device("cpu"))
    assert torch.equal(cold(torch.zeros(1, 1), scores[None]), scores[None])
