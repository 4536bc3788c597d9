"""The endpoint teacher against a server that misbehaves: each fault ends in a further try or in one clear error."""

import json
import logging
import multiprocessing
import os
import signal
import time

import pytest

from kedrec.errors import KedrecError
from kedrec.llm.answer_cache import open_log
from kedrec.llm.batch_runner import answer_all
from kedrec.llm.budget import worst_cost
from kedrec.llm.endpoint_model import EndpointModel
from kedrec.llm.requests import Answer, Prices, Request
from tests.support.misbehaving_llm_server import Reply, chat, error, events, serving

FINE = Answer("a fine answer", 10, 5, "stop")
SCHEMA = {"type": "object", "properties": {}}


@pytest.fixture
def ask(tmp_path):
    """Ask a server some questions with quick tries, and return the answers."""

    def asked(server, count=1, max_cost=None, request=None, **settings):
        model = EndpointModel("m", getattr(server, "url", server), **{"timeout": 5, **settings})
        model.endpoint.pause = 0.01
        requests = [Request(({"role": "user", "content": f"question {n}"},), 20, **request or {}) for n in range(count)]
        with open_log(tmp_path / "a.jsonl", max_cost) as log:
            try:
                return answer_all(model, requests, log)
            finally:
                asked.kept, asked.spent, asked.tallies = len(log), log.ledger.spent, log.ledger.tallies

    return asked


FAULTS = {
    "429 with Retry-After": error(429, "slow down", {"retry-after": "0"}),
    "500": error(500, "oops"),
    "503, a page": Reply("<html>busy</html>", 503, kind="text/html"),
    "cut": Reply(chat(), cut=60),
    "malformed": Reply('{"choices": [{"mess'),
    "no JSON at all": Reply("<html>hello</html>", kind="text/html"),
    "JSON of another form": Reply({"choices": []}),
    "a list": Reply([1, 2]),
    "null": Reply("null"),
    "empty": Reply(""),
    "slow": Reply(chat(), wait=1.0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_tried_again(ask, fault):
    with serving(FAULTS[fault]) as server:
        assert ask(server, timeout=0.5) == [FINE]
        assert len(server.seen) == 2
        assert server.seen[0] == server.seen[1]


@pytest.mark.parametrize("fault", ["500", "cut", "malformed", "slow"])
def test_a_fault_that_stays_is_one_clear_error(ask, fault):
    with serving(rule=lambda *_: FAULTS[fault]) as server, pytest.raises(KedrecError) as found:
        ask(server, timeout=0.2, tries=3)
    said = {"500": "status 500", "cut": "broke off", "malformed": "cannot be read", "slow": "no answer within"}[fault]
    assert said in str(found.value)
    assert "after 3 tries" in str(found.value)
    assert server.url in str(found.value)
    assert len(server.seen) == 3


STREAM_FAULTS = {
    "cut in mid-stream": Reply(events("a fine answer"), kind="text/event-stream", cut=300),
    "ends without a reason": Reply(events("a fine", finish=None), kind="text/event-stream"),
    "an error in the stream": Reply('data: {"error": {"message": "out of memory"}}\n\n', kind="text/event-stream"),
    "malformed event": Reply('data: {"choices": [{"del\n\n', kind="text/event-stream"),
    "a page": Reply("<html>", kind="text/html"),
}


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_stream_that_breaks_is_tried_again(ask, fault):
    with serving(STREAM_FAULTS[fault], Reply(events("a fine answer", (10, 5)), kind="text/event-stream")) as server:
        assert ask(server, stream=True) == [Answer("a fine answer ", 10, 5, "stop")]
        assert len(server.seen) == 2
        assert server.seen[0]["stream_options"] == {"include_usage": True}


def test_retry_after_is_waited_for(ask):
    with serving(error(429, "slow down", {"retry-after": "1"})) as server:
        started = time.monotonic()
        assert ask(server) == [FINE]
        assert 1.0 <= time.monotonic() - started < 3.0


def test_a_wait_too_long_ends_the_run_at_once(ask):
    with (
        serving(error(429, "tomorrow", {"retry-after": "86400"})) as server,
        pytest.raises(KedrecError, match="86400 s"),
    ):
        ask(server)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error(401, "Incorrect API key provided: top-secret"), "status 401, the key is not accepted; check the key in"),
        (error(403, "top-secret may not"), "status 403"),
        (error(404, "The model `m` does not exist"), r"does not know the model 'm'.*The model `m` does not.*/models"),
        (Reply({"detail": "Not Found"}, 404), r"404.*Not Found.*/v1"),
        (error(429, "You exceeded your current quota", code="insufficient_quota"), "the account's quota is used up"),
        (Reply("", 307, {"location": "http://example.org/v1/chat/completions"}), "redirects to another address"),
        (error(402, "pay first, top-secret"), "status 402, pay first"),
    ],
)
def test_a_fault_that_no_try_mends_is_an_error_at_once(ask, monkeypatch, reply, expected):
    monkeypatch.setenv("SOME_KEY", "top-secret")
    with serving(rule=lambda *_: reply) as server, pytest.raises(KedrecError, match=expected) as found:
        ask(server, key_variable="SOME_KEY")
    assert len(server.seen) == 1
    assert "top-secret" not in str(found.value)


def test_a_server_that_is_not_there_is_an_error_soon(ask):
    with serving() as server:
        url = server.url
    started = time.monotonic()
    with pytest.raises(KedrecError, match=rf"{url}: cannot connect .* after 2 tries; check base_url"):
        ask(url)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://x/v1", "http:///v1", "", "http://me:pw@x/v1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(KedrecError, match="base_url"):
        EndpointModel("m", url)


def test_no_key_is_an_error_before_anything_is_sent(ask, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(KedrecError, match=r"api\.openai\.com.*variable OPENAI_API_KEY holds no key"):
        ask("https://api.openai.com/v1", prices=Prices(1, 1))


def test_a_key_goes_only_where_it_is_meant_to(ask, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    monkeypatch.setenv("MINE", "of-mine")
    with serving() as server:
        ask(server)
        assert "of-openai" not in json.dumps(server.headers)
    with serving() as server:
        ask(server, 2, key_variable="MINE")
        assert {name.lower(): value for name, value in server.headers[0].items()}["authorization"] == "Bearer of-mine"


def test_no_key_and_no_text_stands_in_the_log(ask, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("MINE", "of-mine")
    caplog.set_level(logging.INFO)
    with serving(FAULTS["500"]) as server:
        ask(server, key_variable="MINE")
    written = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "of-mine" not in written + caplog.text
    assert "question 0" not in caplog.text


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("[::1]", True),
        ("localhost.example.org", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("api.openai.com", False),
        ("2130706433.example.org", False),
    ],
)
def test_only_this_machine_is_shown_patients_text(ask, host, local):
    model = EndpointModel("m", f"http://{host}:1/v1")
    assert model.local == local
    if not local:
        with pytest.raises(KedrecError, match="patient data"):
            ask(f"http://{host}:1/v1", request={"local_only": True})
        with pytest.raises(KedrecError, match="patient data"):
            model.ask([Request((), local_only=True)], None, None)


def test_a_loopback_server_is_reached_past_the_proxies_of_the_environment(ask, monkeypatch):
    with serving() as proxy, serving() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert ask(server, request={"local_only": True}) == [FINE]
        assert proxy.seen == []


def refusing(*names, named=True):
    def rule(body, _):
        bad = [name for name in names if name in body]
        if bad:
            return error(400, f"Unsupported parameter: {bad[0]}" if named else "invalid request")
        return Reply(events("a fine answer"), kind="text/event-stream") if body.get("stream") else Reply(chat())

    return rule


@pytest.mark.parametrize("named", [True, False])
def test_a_refused_schema_is_given_up_once_a_run(ask, named):
    with serving(rule=refusing("response_format", named=named)) as server:
        assert ask(server, 4, request={"schema": SCHEMA}, concurrency=1) == [FINE] * 4
    with_schema = ["response_format" in body for body in server.seen]
    assert with_schema == [True, False, False, False, False]
    assert server.seen[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    assert all("seed" in body for body in server.seen)


def test_other_settings_that_a_server_refuses_are_given_up_too(ask):
    with serving(rule=refusing("stream_options", "seed")) as server:
        assert ask(server, 2, stream=True, concurrency=1)[1].text == "a fine answer "
    assert len(server.seen) == 4


def test_the_newer_name_of_the_bound_is_used_where_the_server_wants_it(ask):
    def rule(body, _):
        if "max_tokens" in body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return Reply(chat(str(body["max_completion_tokens"])))

    with serving(rule=rule) as server:
        assert [answer.text for answer in ask(server, 2, concurrency=1)] == ["20", "20"]
    assert len(server.seen) == 3


def test_one_refused_question_does_not_end_the_run(ask, tmp_path):
    def rule(body, _):
        if "question 2" in body["messages"][0]["content"]:
            return error(400, "maximum context length exceeded")
        return Reply(chat())

    with serving(rule=rule) as server:
        answers = ask(server, 4, request={"schema": SCHEMA}, concurrency=1)
        assert [answer.finish for answer in answers] == ["stop", "stop", "refused", "stop"]
        assert "maximum context length" in answers[2].text
        assert ask.kept == 3
        assert "response_format" in server.seen[-1]  # that the long question failed without it too is remembered


def test_a_server_that_refuses_everything_ends_the_run(ask):
    with serving(rule=lambda *_: error(400, "temperature must be 1")) as server:
        with pytest.raises(KedrecError, match="refuses these requests: status 400: temperature must be 1"):
            ask(server, 50, concurrency=2)
        assert len(server.seen) < 20


def test_the_temperature_can_be_left_to_the_model(ask):
    with serving() as server:
        ask(server, request={"temperature": None})
        ask(server, 2, request={"temperature": 0.7, "seed": 5})
    assert "temperature" not in server.seen[0]
    assert (server.seen[1]["temperature"], server.seen[1]["seed"]) == (0.7, 5)


def test_as_many_are_in_flight_as_allowed_and_no_more(ask):
    with serving(rule=lambda *_: Reply(chat(), wait=0.05)) as server:
        ask(server, 12, concurrency=4)
        assert server.busiest == 4
        assert len(server.seen) == 12


def test_a_whole_log_needs_neither_server_nor_key(ask, monkeypatch):
    with serving() as server:
        first = ask(server, 3)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert ask("https://api.openai.com/v1", 3) == first


def test_answers_in_flight_are_kept_when_another_fails(ask):
    def rule(body, number):
        slow = "question 0" in body["messages"][0]["content"]
        return Reply(chat(), wait=0.3) if slow else error(401, "no")

    with serving(rule=rule) as server, pytest.raises(KedrecError, match="401"):
        ask(server, 30, concurrency=3)
    assert ask.kept == 1
    assert len(server.seen) <= 4


def test_the_cost_never_passes_its_bound_and_the_run_goes_on_when_it_is_raised(ask):
    prices = Prices(1000.0, 10_000.0)
    worst = worst_cost(Request(({"role": "user", "content": "question 10"},), 20), prices)
    most = 4.2 * worst
    seen_most = 0.0

    def rule(body, _):
        nonlocal seen_most
        # what is answered at the worst now, and what was charged before
        charged = len([1 for body in server.seen]) - server.busy
        seen_most = max(seen_most, server.busy * worst + charged * prices.cost(10, 20))
        return Reply(chat(completion_tokens=20), wait=0.02)

    with serving(rule=rule) as server:
        with pytest.raises(
            KedrecError, match=r"has cost \$.* exceed max_cost, \$.*; the answers so far are stored: raise"
        ):
            ask(server, 100, max_cost=most, concurrency=8, prices=prices)
        asked, kept = len(server.seen), ask.kept
        assert kept == asked > 4
        assert 0.5 * most < ask.spent <= most
        assert seen_most <= most
        assert server.busiest <= 4
        with pytest.raises(KedrecError, match="has cost"):  # the same bound again: nothing more is asked
            ask(server, 100, max_cost=most, concurrency=8, prices=prices)
        assert len(server.seen) == asked
        assert len(ask(server, 100, max_cost=1000 * most, concurrency=8, prices=prices)) == 100
        assert len(server.seen) == 100


def test_tries_that_may_have_been_charged_count_against_the_bound(ask):
    prices = Prices(1000.0, 10_000.0)
    worst = worst_cost(Request(({"role": "user", "content": "question 0"},), 20), prices)
    with serving(rule=lambda *_: FAULTS["cut"]) as server, pytest.raises(KedrecError, match="has cost"):
        ask(server, 1, max_cost=2.5 * worst, prices=prices)
    assert len(server.seen) == 2
    assert ask.spent == pytest.approx(2 * worst)


def test_tries_that_were_surely_not_charged_do_not(ask):
    prices = Prices(1000.0, 10_000.0)
    worst = worst_cost(Request(({"role": "user", "content": "question 0"},), 20), prices)
    with serving(*[FAULTS["500"]] * 4) as server:
        assert ask(server, 1, max_cost=1.1 * worst, prices=prices) == [FINE]
    assert ask.spent == pytest.approx(prices.cost(10, 5))


def test_tokens_and_cost_are_told_by_model(ask):
    with serving() as server:
        ask(server, 3, prices=Prices(1.0, 2.0))
    tally = ask.tallies["m"]
    assert (tally.answers, tally.prompt_tokens, tally.completion_tokens) == (3, 30, 15)
    assert tally.cost == pytest.approx(60e-6)


def _run(url, path, prices, bound):
    model = EndpointModel("m", url, concurrency=4, prices=prices)
    requests = [Request(({"role": "user", "content": f"question {n}"},), 20) for n in range(40)]
    with open_log(path, bound) as log:
        answer_all(model, requests, log)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_loses_only_what_was_in_flight_and_is_never_charged_more_than_it_counts(tmp_path, signum):
    prices = Prices(1000.0, 10_000.0)
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("fork")
    with serving(rule=lambda body, _: Reply(chat(body["messages"][0]["content"]), wait=0.02)) as server:
        for kill in range(1, 4):
            runner = context.Process(target=_run, args=(server.url, path, prices, 1000.0))
            runner.start()
            deadline = time.monotonic() + 20
            while len(server.seen) < 9 * kill and time.monotonic() < deadline:
                time.sleep(0.003)
            os.kill(runner.pid, signum)
            runner.join(20)
            assert runner.exitcode not in (None, 0)
            time.sleep(0.1)
            with open_log(path) as log:
                assert len(server.seen) - 4 * kill <= len(log) <= len(server.seen)
                assert len(server.seen) * prices.cost(10, 5) <= log.ledger.spent
        _run(server.url, path, prices, 1000.0)
        assert len(server.seen) <= 40 + 3 * 4
        _run("http://127.0.0.1:9/v1", path, prices, 1000.0)
    with open_log(path) as log:
        assert len(log) == 40
