import gzip
import json
import logging
import random
import socket
import threading
import time
from email.utils import formatdate

import pytest

from kedrec.errors import KedrecError
from kedrec.sources.http.client import Web, offline
from kedrec.sources.http.responses import StatusError
from tests.support.faulty_server import (
    HTML,
    KEY,
    FaultyServer,
    chunked,
    fails,
    file,
    gzipped,
    redirect,
    send,
    slow,
    status,
    text,
)

pytestmark = pytest.mark.usefixtures("online")

DATA = random.Random(0).randbytes(300_000)


def test_a_body_is_parsed_and_the_query_and_headers_are_sent(server):
    url = server.script("/a", text('{"x": 1}'))
    web = Web(rate=1000, headers={"X-Api-Key": KEY})
    assert web.get(url, json.loads, {"q": "a b", "n": "2"}) == {"x": 1}
    assert web.post(url, json.loads, {"api_key": KEY}) == {"x": 1}
    get, post = server.asked
    assert get.query == {"q": "a b", "n": "2"}
    assert (post.method, post.form, post.query) == ("POST", {"api_key": KEY}, {})
    assert get.headers["x-api-key"] == KEY
    assert get.headers["user-agent"].startswith("kedrec")
    assert web.requests == 2


def test_a_query_in_the_address_is_kept(server, web):
    url = server.script("/a", text("{}"))
    web.get(f"{url}?db=pmc", json.loads)
    assert server.asked[0].query == {"db": "pmc"}


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 521])
def test_a_passing_fault_is_asked_again(server, web, code):
    url = server.script("/a", status(code), status(code), text("[1]"))
    assert web.get(url, json.loads) == [1]
    assert len(server.asked) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 501, 304])
def test_a_lasting_fault_is_told_at_once(server, web, tmp_path, code):
    url = server.script("/a", status(code))
    fails(lambda: web.get(url, json.loads, {"api_key": KEY}), url, f"status {code}")
    assert len(server.asked) == 1
    for ask in (lambda: web.get(url, json.loads), lambda: web.download(url, tmp_path / "f")):
        with pytest.raises(StatusError) as fault:
            ask()
        assert fault.value.status == code


def test_faults_that_stay_end_after_the_last_try(server, web):
    url = server.script("/a", status(500))
    message = fails(lambda: web.get(url, json.loads), url, "status 500", "after 4 tries", "start again later")
    assert "resumes" not in message
    assert len(server.asked) == 4


def test_a_servers_explanation_is_shown_unless_a_key_was_sent(server, web):
    def echo(handler):
        body = f"Unknown parameter\nin {handler.path}".encode()
        send(handler, 400, {"Content-Type": "text/plain"}, body)

    url = server.script("/a", echo)
    fails(lambda: web.get(url, json.loads, {"sort": "x"}), "(Unknown parameter in /a?sort=x)")
    message = fails(lambda: web.get(url, json.loads, {"api_key": KEY}))
    assert "Unknown" not in message
    assert "Unknown" not in fails(lambda: Web(rate=1000, headers={"Authorization": KEY}).get(url, json.loads))


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(server, web, as_date):
    said = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    url = server.script("/a", status(429, Retry_After=said), text("[1]"))
    started = time.monotonic()
    assert web.get(url, json.loads) == [1]
    assert 0.99 <= time.monotonic() - started < 3


TOMORROW = pytest.param(formatdate(time.time() + 86_400, usegmt=True), id="tomorrow")  # one name in every process


@pytest.mark.parametrize("said", ["3600", TOMORROW, "999999999999"])
def test_retry_after_beyond_the_patience_ends_the_request(server, web, said):
    url = server.script("/a", status(429, Retry_After=said))
    fails(lambda: web.get(url, json.loads), "status 429", "asks to wait", "after 1 try;")
    assert len(server.asked) == 1


@pytest.mark.parametrize("said", ["soon", "²", "-5", "", "1e9", "Mon, 99 Foo", formatdate(0, usegmt=True)])
def test_retry_after_that_says_nothing_of_use_is_passed_over(server, web, said):
    def answer(handler):
        send(handler, 503, {"Retry-After": said})

    url = server.script("/a", answer, text("[1]"))
    assert web.get(url, json.loads) == [1]


def test_html_in_place_of_json_is_asked_again_and_then_told(server, web):
    url = server.script("/a", text(HTML.decode(), "text/html"), text("[1]"))
    assert web.get(url, json.loads) == [1]
    url = server.script("/b", text(HTML.decode(), "text/html"))
    fails(lambda: web.get(url, json.loads), url, "a page of HTML that cannot be read", "after 4 tries")


def test_a_parsers_own_error_is_not_asked_again(server, web):
    def refuse(body):
        raise KedrecError("the service says no")

    url = server.script("/a", text("{}"))
    fails(lambda: web.get(url, refuse), "the service says no")
    assert len(server.asked) == 1


def test_a_connection_cut_in_the_body_is_asked_again(server, web):
    def cut(handler):
        send(handler, 200, {}, b"[1, 2", length=600)

    url = server.script("/a", cut, chunked(b"[1, 2", whole=False), text("[1, 2, 3]"))
    assert web.get(url, json.loads) == [1, 2, 3]


@pytest.mark.parametrize("cut", [0, 5, 30, -8, -1])
def test_a_gzip_body_that_was_cut_is_never_taken_for_a_whole_one(server, web, cut):
    lines = b"".join(b"line %d\n" % number for number in range(2_000))
    url = server.script("/a", gzipped(lines, cut), gzipped(lines))
    assert web.get(url, bytes) == lines
    assert len(server.asked) == 2
    url = server.script("/b", gzipped(lines, cut))
    fails(lambda: web.get(url, bytes), "gzip body", "after 4 tries")


def test_gzip_bodies_of_several_members_are_read_and_other_codings_refused(server, web):
    def members(handler):
        send(handler, 200, {"Content-Encoding": "x-gzip"}, gzip.compress(b"one ") + gzip.compress(b"two"))

    assert web.get(server.script("/a", members), bytes) == b"one two"
    url = server.script("/b", gzipped(b"[]", coding="br"))
    fails(lambda: web.get(url, bytes), "the coding 'br', which was not requested")
    assert server.asked[0].headers["accept-encoding"] == "gzip"


def test_a_server_that_says_nothing_is_given_up(server):
    web = Web(rate=1000, tries=2, timeout=0.1)
    url = server.script("/a", slow(0.5), text("[1]"))
    assert web.get(url, json.loads) == [1]
    url = server.script("/b", slow(0.5))
    fails(lambda: web.get(url, json.loads), url, "timed out", "after 2 tries")


def test_nobody_there_is_one_clear_error(web):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x?api_key={KEY}"
        fails(lambda: web.get(url, json.loads), "Connection refused", "check the network")


@pytest.mark.parametrize(
    "url", ["ftp://host/x?key=" + KEY, "host/x?key=" + KEY, "http://[::1/x?key=" + KEY, "http://a\n"]
)
def test_what_is_no_address_is_told_at_once(web, url, tmp_path):
    started = time.monotonic()
    fails(lambda: web.get(url, json.loads), "check")
    fails(lambda: web.download(url, tmp_path / "f"), "check")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("value", [KEY + "\n", KEY + "é"])
def test_a_key_with_a_letter_that_no_header_takes_is_told_without_it(server, value):
    url = server.script("/a", text("[]"))
    fails(lambda: Web(rate=1000, headers={"X-Key": value}).get(url, json.loads), "key")


def test_requests_keep_their_distance_in_many_threads(server):
    url = server.script("/a", text("[]"))
    web = Web(rate=50)
    threads = [threading.Thread(target=web.get, args=(url, json.loads)) for _ in range(10)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 9 / 50 - 0.01
    assert len(server.asked) == web.requests == 10


def test_no_key_is_in_an_error_or_a_log(server, web, caplog):
    web.get(server.script("/first", text("[]")), json.loads)
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "kedrec"):
        caplog.set_level(logging.DEBUG, logger=name)
    url = server.script("/a", status(500)).replace("http://", f"http://user:{KEY}@")
    for ask in (
        lambda: web.get(url, json.loads, {"api_key": KEY}),
        lambda: web.get(f"{url}?api_key={KEY}", json.loads),
        lambda: web.post(url, json.loads, {"api_key": KEY}),
    ):
        message = fails(ask, "status 500")
        assert "user" not in message
    assert KEY not in caplog.text
    assert f'{server.url}/a "HTTP/1.1 500' in caplog.text


def test_a_key_that_an_answer_repeats_is_not_shown(server, web):
    def parse(body):
        raise ValueError(body.decode())

    url = server.script("/a", lambda handler: send(handler, 200, {}, f"invalid api-key {KEY}".encode()))
    for ask in (
        lambda: web.get(url, parse, {"api_key": KEY}),
        lambda: web.get(f"{url}?token={KEY}", parse),
        lambda: web.post(url, parse, {"api_key": KEY}),
        lambda: Web(rate=1000, tries=2, headers={"X-Api-Key": KEY}).get(url, parse),
    ):
        fails(ask, "(invalid api-key (key))")


def test_the_place_in_a_list_of_results_is_no_key(server, web):
    def echo(handler):
        send(handler, 400, {"Content-Type": "text/plain"}, b"bad token 12")

    url = server.script("/a", echo)
    fails(lambda: web.get(url, json.loads, {"pageToken": "12", "query_key": "12"}), "(bad token 12)")


def test_a_redirect_on_the_same_host_keeps_the_headers(server):
    url = server.script("/a", redirect("/b"))
    server.script("/b", text("[1]"))
    assert Web(rate=1000, headers={"X-Api-Key": KEY}).get(url, json.loads) == [1]
    assert server.asked[1].headers["x-api-key"] == KEY


def test_a_redirect_to_another_host_loses_the_keys(server):
    headers = {"X-Api-Key": KEY, "Authorization": f"Bearer {KEY}", "User-Agent": "me"}
    with FaultyServer() as other:
        url = server.script("/a", redirect(other.script("/b", text("[1]"))))
        assert Web(rate=1000, headers=headers).get(url, json.loads, {"api_key": KEY}) == [1]
    (seen,) = other.asked
    assert KEY not in json.dumps(seen.headers)
    assert seen.headers["user-agent"] == "me"
    assert seen.query == {}


def test_a_redirect_that_would_hand_a_key_to_another_host_is_refused(server, web):
    with FaultyServer() as other:
        other.script("/b", text("[1]"))
        url = server.script("/a", redirect(lambda handler: other.url + "/b?" + handler.path.partition("?")[2]))
        fails(lambda: web.get(url, json.loads, {"api_key": KEY}), "redirects to another host, 127.0.0.1", "refused")
        for code in (307, 308):
            url = server.script("/c", redirect(f"{other.url}/b", code))
            fails(lambda: web.post(url, json.loads, {"api_key": KEY}), "refused")  # noqa: B023
        assert other.asked == []


def test_redirects_without_an_end_are_refused(server, web):
    url = server.script("/a", redirect("/a"))
    fails(lambda: web.get(url, json.loads), "redirected more than 10 times")


@pytest.mark.parametrize("name", ["KEDREC_OFFLINE", "HF_HUB_OFFLINE"])
def test_without_network_nothing_is_asked_and_the_remedy_is_named(server, web, tmp_path, monkeypatch, name):
    assert not offline()
    monkeypatch.setenv(name, "1")
    assert offline()
    url = server.script("/f", file(DATA))
    for ask in (
        lambda: web.get(url, json.loads),
        lambda: web.post(url, json.loads, {}),
        lambda: web.download(url, tmp_path / "f"),
    ):
        fails(ask, url, name, "kedrec.prepare")
    assert server.asked == []
    monkeypatch.setenv(name, "0")
    assert not offline()
