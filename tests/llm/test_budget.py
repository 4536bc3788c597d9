"""The ledger: sums by model, the bound, and what is taken for spent."""

import pytest

from kedrec.errors import KedrecError
from kedrec.llm.answer_cache import open_log
from kedrec.llm.batch_runner import answer_all, plan
from kedrec.llm.budget import Ledger, worst_cost
from kedrec.llm.requests import Answer, Prices, Request

PRICES = Prices(input=1.0, output=10.0)
SAID = Answer("yes", 1000, 100, "stop")  # $0.002


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "spending.jsonl", 0.01)
    yield made
    made.close()


def test_an_attempt_counts_at_its_worst_until_it_is_settled(ledger):
    attempt = ledger.begin("m", 0.008)
    assert ledger.spent == pytest.approx(0.008)
    assert ledger.fits(0.002)
    assert not ledger.fits(0.0021)
    ledger.settle(attempt, "m", SAID, PRICES)
    assert ledger.spent == pytest.approx(0.002)
    tally = ledger.tallies["m"]
    assert (tally.answers, tally.prompt_tokens, tally.completion_tokens) == (1, 1000, 100)


def test_what_the_server_refused_costs_nothing(ledger):
    ledger.release(ledger.begin("m", 0.008), "m")
    assert ledger.spent == 0
    assert ledger.tallies == {}


def test_an_answer_without_tokens_counts_at_its_worst(ledger):
    ledger.settle(ledger.begin("m", 0.008), "m", Answer("yes", None, None, "stop"), PRICES)
    assert ledger.spent == pytest.approx(0.008)


def test_the_sums_outlive_the_process_and_the_lost_counts_at_its_worst(ledger, tmp_path):
    ledger.settle(ledger.begin("m", 0.003), "m", SAID, PRICES)
    ledger.release(ledger.begin("m", 0.001), "m")
    ledger.count("free", SAID)
    ledger.begin("m", 0.005)  # and the process is killed
    again = Ledger(tmp_path / "spending.jsonl", 0.01)
    assert again.spent == pytest.approx(ledger.spent) == pytest.approx(0.007)
    assert again.tallies == ledger.tallies
    assert again.begin("m", 0.001) == 3
    again.close()


def test_the_bound_on_a_prompt_is_never_less_than_its_tokens():
    request = Request(({"role": "user", "content": "≤5 µg/L " * 50},), max_tokens=100)
    assert request.most_prompt_tokens >= len(("≤5 µg/L " * 50).encode())
    assert worst_cost(request, PRICES) >= (request.most_prompt_tokens + 10 * 100) / 1e6
    assert worst_cost(request, None) == 0


@pytest.mark.parametrize("prices", [(-1, 1), (1, float("nan")), (float("inf"), 0)])
def test_prices_and_bounds_that_are_none_are_refused(prices, tmp_path):
    with pytest.raises(KedrecError, match="dollars"):
        Prices(*prices)
    with pytest.raises(KedrecError, match="max_cost must be 0 or more"):
        Ledger(tmp_path / "s.jsonl", prices[0] if prices[0] < 0 else float("nan"))


class Parrot:
    """A model of the test's own, which answers with the last message."""

    name, prices = "parrot", PRICES

    def __init__(self, local=True):
        self.local, self.asked = local, []

    def ask(self, requests, ledger, keep):
        self.asked += requests
        for place, request in enumerate(requests):
            keep(place, Answer(request.messages[-1]["content"], 1, 1, "stop"))


def questions(*texts, **settings):
    return [Request(({"role": "user", "content": text},), **settings) for text in texts]


def test_only_what_is_missing_is_asked_and_each_once(tmp_path):
    model = Parrot()
    with open_log(tmp_path / "a.jsonl") as log:
        answer_all(model, questions("b"), log)
        found = answer_all(model, questions("a", "b", "a", "c"), log)
    assert [answer.text for answer in found] == ["a", "b", "a", "c"]
    assert [request.messages[0]["content"] for request in model.asked] == ["b", "a", "c"]


def test_a_plan_counts_what_is_missing(tmp_path):
    texts = questions("a" * 400, "b", "b", max_tokens=50)
    kept = {texts[1].key("parrot")}
    found = plan(Parrot(), texts, kept)
    assert (found.requests, found.missing, found.prompt_tokens, found.completion_tokens) == (2, 1, 100, 50)
    assert found.cost == worst_cost(texts[0], PRICES)


def test_patients_text_is_for_local_models_only(tmp_path):
    texts = [*questions("a"), *questions("the patient", local_only=True)]
    far = Parrot(local=False)
    with open_log(tmp_path / "a.jsonl") as log, pytest.raises(KedrecError, match=r"patient data.*local model"):
        answer_all(far, texts, log)
    with pytest.raises(KedrecError, match="patient data"):
        plan(far, texts, set())
    assert far.asked == []
    with open_log(tmp_path / "a.jsonl") as log:
        assert len(answer_all(Parrot(), texts, log)) == 2


def test_a_bound_without_prices_is_an_error(tmp_path):
    far = Parrot(local=False)
    far.prices = None
    with open_log(tmp_path / "a.jsonl", 5.0) as log, pytest.raises(KedrecError, match="set prices"):
        answer_all(far, questions("a"), log)
