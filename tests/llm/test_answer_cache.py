"""The log of answers: what a kill at any byte leaves, and who may write."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from kedrec.errors import KedrecError
from kedrec.llm.answer_cache import known, open_log, spending_path
from kedrec.llm.requests import Answer, Request

MODEL = "teacher-1"


def request(number, **settings):
    return Request(({"role": "user", "content": f"question {number}"},), **settings)


def answer(number):
    return Answer(f"answer {number}: Grüße, 5 µg\n\u2028 end", 7, 3, "stop")


def fill(path, count):
    with open_log(path) as log:
        for number in range(count):
            log.keep(MODEL, request(number), answer(number))


def test_an_answer_is_found_again_by_model_prompt_and_settings(tmp_path):
    fill(tmp_path / "a.jsonl", 3)
    with open_log(tmp_path / "a.jsonl") as log:
        assert [log[request(number).key(MODEL)] for number in range(3)] == [answer(number) for number in range(3)]
        assert request(0).key("another") not in log
        for other in ({"temperature": 0.7}, {"max_tokens": 9}, {"seed": 1}, {"schema": {"type": "object"}}):
            assert request(0, **other).key(MODEL) not in log
        assert request(0, local_only=True).key(MODEL) in log  # what may be shown to whom changes no answer


def test_a_cut_at_any_byte_of_the_last_two_lines_loses_only_what_is_cut(tmp_path):
    path = tmp_path / "a.jsonl"
    fill(path, 4)
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 4
    for length in range(ends[1], len(whole) + 1):
        path.write_bytes(whole[:length])
        left = sum(end <= length for end in ends)
        with open_log(path) as log:
            kept = [number for number in range(4) if request(number).key(MODEL) in log]
            assert kept == list(range(left))
            assert all(log[request(number).key(MODEL)] == answer(number) for number in kept)
            for number in range(left, 4):
                log.keep(MODEL, request(number), answer(number))
        assert path.read_bytes() == whole


def test_a_cut_of_the_spending_at_any_byte_never_makes_it_less(tmp_path):
    path = tmp_path / "a.jsonl"
    spending = spending_path(path)
    with open_log(path, 10) as log:
        attempt = log.ledger.begin(MODEL, 2.0)
        begun = spending.stat().st_size
        log.ledger.settle(attempt, MODEL, Answer("x", 100, 10, "stop"), None)
    whole = spending.read_bytes()
    for length in range(begun, len(whole)):
        spending.write_bytes(whole[:length])
        with open_log(path, 10) as log:
            assert log.ledger.spent == 2.0  # the answer's cost is not known, so the worst counts
    spending.write_bytes(whole)
    with open_log(path, 10) as log:
        assert log.ledger.spent == 0.0


def test_duplicates_and_damaged_lines_do_no_harm(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    fill(path, 2)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"\0" * 40 + b"\n" + b'["no object"]\n' + b'{"key": 3}\n' + first + second + second[:9])
    with open_log(path) as log:
        assert len(log) == 2
        assert log[request(1).key(MODEL)] == answer(1)
    assert "2 damaged lines" in caplog.text
    assert "incomplete" in caplog.text


def test_a_plan_reads_the_keys_and_touches_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    assert known(path) == set()
    assert list(tmp_path.iterdir()) == []
    fill(path, 2)
    torn = path.read_bytes()[:-5]
    path.write_bytes(torn)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert known(path) == {request(0).key(MODEL)}
    assert path.read_bytes() == torn
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def _append_for_ever(path, started):
    with open_log(path) as log:
        for number in range(10_000_000):
            log.keep(MODEL, request(number), Answer("x" * (number % 50_000), 1, 1, "stop"))
            started.set()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.11])
def test_a_killed_writer_leaves_whole_answers(tmp_path, seconds):
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("fork")
    started = context.Event()
    writer = context.Process(target=_append_for_ever, args=(path, started))
    writer.start()
    assert started.wait(20)
    time.sleep(seconds)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    with open_log(path) as log:
        count = len(log)
        assert count > 0
        assert all(len(log[request(number).key(MODEL)].text) == number % 50_000 for number in range(count))
    lines = path.read_bytes().split(b"\n")
    assert lines[-1] == b""
    assert all(json.loads(line) for line in lines[:-1])


def _hold(path, opened, release):
    with open_log(path) as log:
        log.keep(MODEL, request(0), answer(0))
        opened.set()
        release.wait()


@pytest.mark.slow
def test_a_second_process_says_so_and_waits(tmp_path, capfd):
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("fork")
    events = [context.Event() for _ in range(4)]
    first = context.Process(target=_hold, args=(path, events[0], events[1]))
    first.start()
    assert events[0].wait(20)
    second = context.Process(target=_hold, args=(path, events[2], events[3]))
    second.start()
    assert not events[2].wait(0.6)
    events[1].set()
    assert events[2].wait(20)
    events[3].set()
    for process in (first, second):
        process.join()
        assert process.exitcode == 0
    assert "waiting for another process that writes" in capfd.readouterr().err


def test_a_full_disk_is_one_clear_error(tmp_path):
    path = tmp_path / "a.jsonl"
    fill(path, 1)
    with open_log(path) as log:
        with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(KedrecError, match="the disk is full"):
            real, log._journal._file = log._journal._file, full
            log.keep(MODEL, request(1), answer(1))
        log._journal._file = real
    assert len(known(path)) == 1
