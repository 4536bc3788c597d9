"""From cases to the files of rationales, with any teacher."""

import json
import re
from collections import Counter

import pytest

from kedrec.errors import KedrecError
from kedrec.kedrec_lm import answer_checks as checks
from kedrec.kedrec_lm.model_teacher import ModelTeacher
from kedrec.kedrec_lm.rationale_cache import explain_cases, plan_cases
from kedrec.kedrec_lm.rationale_cases import Case, Evidence
from kedrec.kedrec_lm.rationale_teachers import RecordedTeacher
from kedrec.kedrec_lm.rationale_writing import plan_rationales, write_rationales
from kedrec.kedrec_lm.teacher_prompts import RationaleSettings, rationale_prompt
from kedrec.llm.answer_cache import answers_path, known, open_log
from kedrec.llm.batch_runner import answer_all
from kedrec.llm.endpoint_model import EndpointModel
from kedrec.llm.requests import Answer, Prices
from kedrec.storage.artifact_store import Store
from kedrec.text.citations import cited
from tests.support.misbehaving_llm_server import Reply, chat, serving

SETTINGS = RationaleSettings(seed=1)
PRICES = Prices(1.0, 2.0)


def case(number):
    """A case whose relevant drug is the one that its passage says to relieve."""
    names = {"Disease::d": ("asthma",), f"Compound::x{number}": (f"goodol{number}",), "Compound::y": ("badol",)}
    helps = f"Goodol{number} relieved wheezing in asthma.\u2028"
    evidence = (Evidence(f"G-{number}", (helps,)), Evidence("B-1", ("Badol worsened wheezing of many.",)))
    return Case("Disease::d", f"Compound::x{number}", "Compound::y", names, evidence)


def read(body, _):
    """Answer as a model would that reads the prompt; of five cases four go wrong, each in its own way."""
    messages = body["messages"]
    text = messages[1]["content"]
    a, b = re.search(r"A: (\w+)\nB: (\w+)", text).groups()
    at = next(int(n) for n, said in re.findall(r"<passage> (\d): (.*) </passage>", text) if "relieved" in said)
    name, right = (a, "A") if a.startswith("good") else (b, "B")
    way = int(name.removeprefix("goodol")) % 5
    if way == 3 and len(messages) == 2:
        return Reply(chat("The answer is obvious."))
    choice = "BA"["AB".index(right)] if way == 1 else right
    rationale = {
        2: f"{name} relieved wheezing [7].",
        4: f"{name} was unanimously endorsed everywhere [{3 - at}].",
    }.get(way, f"{name} relieved wheezing [{at}].")
    return Reply(chat(json.dumps({"choice": choice, "rationale": rationale, "confidence": 0.8})))


def distil(server, folder, count=10):
    model = EndpointModel("m", getattr(server, "url", server), timeout=5)
    with open_log(folder / "answers.jsonl") as log:
        return write_rationales(model, [case(number) for number in range(count)], folder, log, SETTINGS)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_each_case_is_kept_or_rejected_with_its_reason(tmp_path):
    with serving(rule=read) as server:
        report = distil(server, tmp_path)
        assert len(server.seen) == 10 + 4
    assert (report.cases, report.accepted, report.repaired) == (10, 4, 2)
    assert report.reasons == Counter({checks.WRONG: 2, checks.UNKNOWN: 2, checks.UNSUPPORTED: 2})
    kept, rejected = lines(tmp_path / "rationales.jsonl"), lines(tmp_path / "rejected.jsonl")
    assert [row["relevant"][-1] for row in kept] == ["0", "3", "5", "8"]
    assert [row["relevant"][-1] for row in rejected] == ["1", "2", "4", "6", "7", "9"]
    assert all(row["reason"] and row["detail"] and row["text"] for row in rejected)
    teacher = RecordedTeacher(tmp_path / "rationales.jsonl")
    assert teacher.explain(case(3)) == "goodol3 relieved wheezing [G-3]."
    assert cited(teacher.explain(case(8))) == ["G-8"]
    assert kept[0]["confidence"] == 0.8
    assert kept[0]["answer"] in known(tmp_path / "answers.jsonl")


def test_the_repair_says_what_was_wrong_and_does_not_give_the_answer_away(tmp_path):
    with serving(rule=read) as server:
        distil(server, tmp_path)
    again = [body["messages"][3]["content"] for body in server.seen if len(body["messages"]) == 4]
    assert sum("there is no JSON object" in text for text in again) == 2
    assert sum("it cites [7], but the passages are numbered 1 to 2" in text for text in again) == 2
    assert not any("wrong" in text.lower() for text in again)


def test_a_run_from_the_log_opens_no_connection_and_writes_the_same_bytes(tmp_path):
    with serving(rule=read) as server:
        distil(server, tmp_path)
        first = {name: (tmp_path / name).read_bytes() for name in ("rationales.jsonl", "rejected.jsonl")}
        (tmp_path / "rationales.jsonl").unlink()
    distil("http://127.0.0.1:9/v1", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in first} == first


def test_a_plan_sees_what_a_cut_run_left_to_do(tmp_path):
    cases = [case(number) for number in range(10)]
    store = Store(tmp_path / "store")
    with serving(rule=read) as server:
        model = EndpointModel("m", server.url, prices=PRICES)
        teacher = ModelTeacher(model, SETTINGS)
        with open_log(answers_path("m", store)) as log:  # the first questions about four, of which two go wrong
            answer_all(model, [rationale_prompt(one, SETTINGS).request for one in cases[:4]], log)
        work = plan_cases(teacher, cases, store).work
        assert (work["questions to ask"], work["second tries, at most"]) == (6 + 2, 6)
        assert work["tokens of all answers, at most"] == (6 + 2 + 6) * 512
        with open_log(answers_path("m", store)) as log:
            write_rationales(model, cases[:4], tmp_path, log, SETTINGS)
        stage = plan_cases(teacher, cases, store)
        assert (stage.work["questions to ask"], stage.work["second tries, at most"]) == (6, 6)
        assert not stage.there
        explain_cases(teacher, cases, store)
    stage = plan_cases(teacher, cases, store)
    assert stage.there
    assert not any(stage.work.values())


def test_what_has_an_end_is_not_planned_again_though_a_question_was_refused(tmp_path):
    class Refusing:
        name, local, prices = "m", True, None

        def ask(self, requests, ledger, keep):
            for place in range(len(requests)):
                keep(place, Answer("too long", 0, 0, "refused") if place else Answer("?", 1, 1, "stop"))

    store, cases = Store(tmp_path), [case(number) for number in range(3)]
    explain_cases(ModelTeacher(Refusing(), SETTINGS), cases, store)
    assert plan_cases(ModelTeacher(Refusing(), SETTINGS), cases, store).work["questions to ask"] == 0


@pytest.mark.parametrize("told", [True, False])
def test_the_dollars_that_a_plan_tells_are_enough_for_first_and_second_tries(tmp_path, told):
    cases = [case(number) for number in range(6)]

    def useless(*_):
        body = chat("It is quite obvious to any clinician. " * 25, 300, 200)
        return Reply(body if told else {**body, "usage": None})  # what is not told counts at its worst

    with serving(rule=useless) as server:
        model = EndpointModel("m", server.url, concurrency=2, prices=PRICES)
        found = plan_rationales(model, cases, SETTINGS, {})
        assert (found.questions, found.again, found.answer_tokens) == (6, 6, 12 * 512)
        bound = found.stage("rationales", PRICES).work["US dollars, at most"]
        with open_log(tmp_path / "answers.jsonl", max_cost=bound) as log:
            report = write_rationales(model, cases, tmp_path, log, SETTINGS)
            spent = log.ledger.spent
        assert report.reasons == Counter({checks.FORM: 6})
        assert len(server.seen) == 12
        assert (spent < bound / 2) if told else (bound / 2 < spent <= bound)
        other = open_log(tmp_path / "other.jsonl", max_cost=0.9 * spent)
        with other as log, pytest.raises(KedrecError, match="max_cost"):
            write_rationales(model, cases, tmp_path, log, SETTINGS)


def test_passages_yet_to_be_found_are_counted_in_each_try():
    model = EndpointModel("m", "http://127.0.0.1:9/v1")
    found = plan_rationales(model, [case(0)], SETTINGS, {})
    less, more = (found.stage("rationales", PRICES, unseen=unseen).work for unseen in (0, 100))
    assert more["tokens of their prompts, about"] - less["tokens of their prompts, about"] == 100
    assert more["tokens of all prompts, at most"] - less["tokens of all prompts, at most"] == 2 * 400
    assert more["US dollars, at most"] - less["US dollars, at most"] == pytest.approx(PRICES.cost(800, 0))
    assert "US dollars, at most" not in found.stage("rationales", None).work


def test_nothing_is_written_when_the_teacher_fails(tmp_path):
    with pytest.raises(KedrecError, match="cannot connect"):
        distil("http://127.0.0.1:9/v1", tmp_path)
    assert not (tmp_path / "rationales.jsonl").exists()


def test_a_refused_case_is_counted(tmp_path):
    class Refusing:
        name, local, prices = "m", True, None

        def ask(self, requests, ledger, keep):
            for place in range(len(requests)):
                answer = Answer("too long", 0, 0, "refused") if place == 1 else Answer("?", 1, 1, "stop")
                keep(place, answer)

    with open_log(tmp_path / "a.jsonl") as log:
        report = write_rationales(Refusing(), [case(n) for n in range(3)], tmp_path, log, SETTINGS)
    assert report.reasons[checks.NO_ANSWER] >= 1
    assert sum(report.reasons.values()) == 3
