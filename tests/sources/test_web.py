import errno
import gzip
import hashlib
import json
import logging
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from kedrec.errors import KedrecError
from kedrec.sources.web import Web, offline
from tests.sources.faulty_server import FaultyServer, chunked, file, gzipped, redirect, send, slow, status, text

DATA = random.Random(0).randbytes(300_000)
DAMAGED = DATA[:-1] + bytes([DATA[-1] ^ 1])
SHA256 = hashlib.sha256(DATA).hexdigest()
HTML = b"<!DOCTYPE html>\n<html><body>We are down for maintenance.</body></html>"
KEY = "s3cr3t-0123456789"


@pytest.fixture(autouse=True)
def network(monkeypatch):
    for name in ("KEDREC_OFFLINE", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with FaultyServer() as running:
        yield running


@pytest.fixture(scope="module")
def web():
    return Web(rate=1000, tries=4, timeout=2, patience=2)


def fails(ask, *expected):
    """The one clear error that ``ask`` ends in."""
    with pytest.raises(KedrecError) as fault:
        ask()
    for part in expected:
        assert part in str(fault.value)
    assert "\n" not in str(fault.value)
    assert KEY not in str(fault.value)
    return str(fault.value)


def ranges(server):
    return [seen.headers.get("range") for seen in server.seen]


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_body_is_parsed_and_the_query_and_headers_are_sent(server):
    url = server.script("/a", text('{"x": 1}'))
    web = Web(rate=1000, headers={"X-Api-Key": KEY})
    assert web.get(url, json.loads, {"q": "a b", "n": "2"}) == {"x": 1}
    assert web.post(url, json.loads, {"api_key": KEY}) == {"x": 1}
    get, post = server.seen
    assert get.query == {"q": "a b", "n": "2"}
    assert (post.method, post.form, post.query) == ("POST", {"api_key": KEY}, {})
    assert get.headers["x-api-key"] == KEY
    assert get.headers["user-agent"].startswith("kedrec")
    assert web.requests == 2


def test_a_query_in_the_address_is_kept(server, web):
    url = server.script("/a", text("{}"))
    web.get(f"{url}?db=pmc", json.loads)
    assert server.seen[0].query == {"db": "pmc"}


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 521])
def test_a_passing_fault_is_asked_again(server, web, code):
    url = server.script("/a", status(code), status(code), text("[1]"))
    assert web.get(url, json.loads) == [1]
    assert len(server.seen) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 501, 304])
def test_a_lasting_fault_is_told_at_once(server, web, code):
    url = server.script("/a", status(code))
    fails(lambda: web.get(url, json.loads, {"api_key": KEY}), url, f"status {code}")
    assert len(server.seen) == 1


def test_faults_that_stay_end_after_the_last_try(server, web):
    url = server.script("/a", status(500))
    message = fails(lambda: web.get(url, json.loads), url, "status 500", "after 4 tries", "start again later")
    assert "what came is kept" not in message
    assert len(server.seen) == 4


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


@pytest.mark.parametrize("said", ["3600", formatdate(time.time() + 3600, usegmt=True), "999999999999"])
def test_retry_after_beyond_the_patience_ends_the_request(server, web, said):
    url = server.script("/a", status(429, Retry_After=said))
    fails(lambda: web.get(url, json.loads), "status 429", "asks to wait", "after 1 try;")
    assert len(server.seen) == 1


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
    assert len(server.seen) == 1


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
    assert len(server.seen) == 2
    url = server.script("/b", gzipped(lines, cut))
    fails(lambda: web.get(url, bytes), "gzip body", "after 4 tries")


def test_gzip_bodies_of_several_members_are_read_and_other_codings_refused(server, web):
    def members(handler):
        send(handler, 200, {"Content-Encoding": "x-gzip"}, gzip.compress(b"one ") + gzip.compress(b"two"))

    assert web.get(server.script("/a", members), bytes) == b"one two"
    url = server.script("/b", gzipped(b"[]", coding="br"))
    fails(lambda: web.get(url, bytes), "the coding 'br', which was not asked for")
    assert server.seen[0].headers["accept-encoding"] == "gzip"


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
    assert len(server.seen) == web.requests == 10


# --- keys ------------------------------------------------------------------------------------------------------------


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
    assert f'{server.url("/a")} "HTTP/1.1 500' in caplog.text


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
    assert server.seen[1].headers["x-api-key"] == KEY


def test_a_redirect_to_another_host_loses_the_keys(server):
    headers = {"X-Api-Key": KEY, "Authorization": f"Bearer {KEY}", "User-Agent": "me"}
    with FaultyServer() as other:
        url = server.script("/a", redirect(other.script("/b", text("[1]"))))
        assert Web(rate=1000, headers=headers).get(url, json.loads, {"api_key": KEY}) == [1]
    (seen,) = other.seen
    assert KEY not in json.dumps(seen.headers)
    assert seen.headers["user-agent"] == "me"
    assert seen.query == {}


def test_a_redirect_that_would_hand_a_key_to_another_host_is_refused(server, web):
    with FaultyServer() as other:
        other.script("/b", text("[1]"))
        url = server.script("/a", redirect(lambda handler: other.url("/b") + "?" + handler.path.partition("?")[2]))
        fails(lambda: web.get(url, json.loads, {"api_key": KEY}), "redirects to another host, 127.0.0.1", "refused")
        for code in (307, 308):
            url = server.script("/c", redirect(other.url("/b"), code))
            fails(lambda: web.post(url, json.loads, {"api_key": KEY}), "refused")  # noqa: B023
        assert other.seen == []


def test_redirects_without_an_end_are_refused(server, web):
    url = server.script("/a", redirect("/a"))
    fails(lambda: web.get(url, json.loads), "redirected more than 10 times")


# --- downloads -------------------------------------------------------------------------------------------------------


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_leaves_nothing_beside_it(server, web, tmp_path):
    heard = []
    url = server.script("/f", file(DATA))
    place = web.download(url, tmp_path / "new" / "f.gz", progress=lambda *count: heard.append(count))
    assert place.read_bytes() == DATA
    assert leftovers(place.parent) == ["f.gz"]
    assert heard[-1] == (len(DATA), len(DATA))
    assert heard == sorted(heard)


@pytest.mark.parametrize(
    ("etag", "modified", "told"),
    [
        ('"one"', None, '"one"'),
        ('W/"one"', None, None),
        ('W/"one"', "Sun, 01 Nov 2020 00:00:00 GMT", "Sun, 01 Nov 2020 00:00:00 GMT"),
        (None, "Sun, 01 Nov 2020 00:00:00 GMT", "Sun, 01 Nov 2020 00:00:00 GMT"),
        (None, formatdate(time.time() + 60, usegmt=True), None),  # may change again in the same second
        (None, "yesterday", None),
        (None, None, None),
    ],
)
def test_a_cut_download_goes_on_only_where_the_file_is_surely_the_same(server, web, tmp_path, etag, modified, told):
    good = {"etag": etag, "modified": modified}
    url = server.script("/f", file(DATA, upto=100_000, **good), file(DATA, **good))
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-" if told else None]
    assert server.seen[1].headers.get("if-range") == told


def test_with_a_checksum_a_download_goes_on_without_a_validator(server, web, tmp_path):
    url = server.script("/f", file(DATA, etag=None, upto=100_000), file(DATA, etag=None))
    assert web.download(url, tmp_path / "f", sha256=SHA256.upper()).read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_a_download_goes_on_in_a_later_call_and_from_a_mirror_if_a_checksum_says_so(server, web, tmp_path):
    url = server.script("/f", file(DATA, upto=100_000), status(500))
    fails(lambda: web.download(url, tmp_path / "f"), url, "status 500", "what came is kept")
    assert leftovers(tmp_path) == [".f.partial", ".f.validator"]
    assert (tmp_path / ".f.partial").read_bytes() == DATA[:100_000]
    server.script("/f", file(DATA))
    del server.seen[:]
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == ["bytes=100000-"]

    for checksum, expected in ((None, None), (SHA256, "bytes=100000-")):
        (tmp_path / ".f.partial").write_bytes(DATA[:100_000])
        (tmp_path / ".f.validator").write_text(f'{url}\n"one"')
        del server.seen[:]
        mirror = server.script("/mirror/f", file(DATA))
        assert web.download(mirror, tmp_path / "f", sha256=checksum).read_bytes() == DATA
        assert ranges(server) == [expected]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, web, tmp_path):
    other = DATA[::-1]
    url = server.script("/f", file(DATA, upto=100_000), file(other, etag='"two"'))
    assert web.download(url, tmp_path / "f").read_bytes() == other
    assert len(server.seen) == 2


def test_a_server_without_ranges_sends_it_all_again(server, web, tmp_path):
    url = server.script("/f", file(DATA, upto=100_000), file(DATA, ranges=False))
    assert web.download(url, tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"},
        {"Content-Range": f"bytes 99999-{len(DATA) - 1}/{len(DATA)}"},
        {"Content-Range": "nonsense"},
        {"Content-Type": "multipart/byteranges; boundary=x"},
        {"Content-Range": f"bytes 100000-{len(DATA) - 1}/{len(DATA)}", "ETag": '"two"'},
    ],
)
def test_a_range_that_was_not_asked_for_is_not_joined(server, web, tmp_path, headers):
    def wrong(handler):
        send(handler, 206, headers, DATA[100_000:])

    url = server.script("/f", file(DATA, upto=100_000), wrong, file(DATA))
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", None]


def test_a_file_that_was_all_there_already_is_taken(server, web, tmp_path):
    url = server.script("/f", file(DATA))
    (tmp_path / ".f.partial").write_bytes(DATA)
    (tmp_path / ".f.validator").write_text(f'{url}\n"one"')
    assert web.download(url, tmp_path / "f", sha256=SHA256).read_bytes() == DATA
    assert ranges(server) == [f"bytes={len(DATA)}-"]
    assert leftovers(tmp_path) == ["f"]


def test_more_than_the_file_is_thrown_away(server, web, tmp_path):
    url = server.script("/f", file(DATA))
    (tmp_path / ".f.partial").write_bytes(DATA + b"more")
    (tmp_path / ".f.validator").write_text(f'{url}\n"one"')
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [f"bytes={len(DATA) + 4}-", None]


def test_a_status_416_that_nothing_asked_for_is_an_error(server, web, tmp_path):
    url = server.script("/f", status(416))
    fails(lambda: web.download(url, tmp_path / "f"), "status 416")


def test_cuts_without_number_end_in_the_whole_file_as_long_as_each_try_brings_some(server, web, tmp_path):
    url = server.script("/f", file(DATA, upto=20_000))
    assert web.download(url, tmp_path / "f", sha256=SHA256).read_bytes() == DATA
    assert len(server.seen) == 15 > web.tries


def test_a_server_that_sends_small_ranges_is_asked_on(server, web, tmp_path):
    def small(handler):
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        part = DATA[start : start + 60_000]
        told = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(DATA)}", "ETag": '"one"'}
        send(handler, 206, told, part)

    url = server.script("/f", file(DATA, upto=60_000), small)
    assert web.download(url, tmp_path / "f", sha256=SHA256).read_bytes() == DATA


def test_a_server_that_stops_sending_is_asked_for_the_rest(server, tmp_path):
    def stuck(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(DATA[:50_000])
        handler.wfile.flush()
        time.sleep(0.6)
        handler.close_connection = True

    url = server.script("/f", stuck, file(DATA))
    assert Web(rate=1000, timeout=0.2).download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=50000-"]


def test_a_wrong_checksum_leaves_no_file(server, web, tmp_path):
    url = server.script("/f", file(DAMAGED))
    fails(lambda: web.download(url, tmp_path / "f", sha256=SHA256), url, f"not {SHA256}", "thrown away")
    assert leftovers(tmp_path) == []


def test_an_older_file_stays_where_the_new_one_is_damaged(server, web, tmp_path):
    (tmp_path / "f").write_text("old")
    url = server.script("/f", file(DAMAGED))
    fails(lambda: web.download(url, tmp_path / "f", sha256=SHA256))
    assert (tmp_path / "f").read_text() == "old"


def test_a_chunked_file_is_whole_by_its_last_chunk(server, web, tmp_path):
    url = server.script("/f", chunked(DATA, whole=False), chunked(DATA))
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    url = server.script("/g", chunked(DATA, whole=False))
    fails(lambda: web.download(url, tmp_path / "g"), "incomplete chunked read")
    assert not (tmp_path / "g").exists()


def test_a_file_of_untold_length_needs_a_checksum(server, web, tmp_path):
    def untold(handler):
        send(handler, 200, {}, DATA, length=None)

    url = server.script("/f", untold)
    fails(lambda: web.download(url, tmp_path / "f"), "does not say how long the file is", "SHA-256")
    assert leftovers(tmp_path) == []
    assert web.download(url, tmp_path / "f", sha256=SHA256).read_bytes() == DATA


@pytest.mark.parametrize(
    ("body", "kind"),
    [(HTML, "a page of HTML"), (b"\xef\xbb\xbf \n" + HTML, "a page of HTML"), (b"no", "something else")],
)
def test_another_thing_in_place_of_a_file_is_told_and_what_came_is_kept(server, web, tmp_path, body, kind):
    archive = b"\x1f\x8b" + DATA
    url = server.script("/f", file(archive, upto=100_000), text(body, "text/html"))
    fails(lambda: web.download(url, tmp_path / "f", starts=b"\x1f\x8b"), f"answered {kind} in place of the file")
    server.script("/f", file(archive))
    del server.seen[:]
    assert web.download(url, tmp_path / "f", starts=b"\x1f\x8b").read_bytes() == archive
    assert ranges(server) == ["bytes=100000-"]


def test_html_is_told_without_a_known_start_and_an_empty_file_with_one(server, web, tmp_path):
    fails(lambda: web.download(server.script("/f", text(HTML)), tmp_path / "f"), "a page of HTML in place of the file")
    empty = server.script("/g", file(b""))
    fails(lambda: web.download(empty, tmp_path / "g", starts=b"PK"), "answered nothing in place of the file")
    assert web.download(empty, tmp_path / "g").read_bytes() == b""


def test_a_first_byte_alone_is_not_taken_for_the_start(server, web, tmp_path):
    def slowly(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "4")
        handler.end_headers()
        for byte in (b"P", b"!", b"!", b"!"):
            handler.wfile.write(byte)
            handler.wfile.flush()
            time.sleep(0.02)

    url = server.script("/f", slowly)
    fails(lambda: web.download(url, tmp_path / "f", starts=b"PK"), "something else")


def test_a_file_compressed_on_the_way_is_refused_unless_it_is_gzip_itself(server, web, tmp_path):
    packed = gzip.compress(DATA, mtime=0)
    url = server.script("/f", file(packed, headers={"Content-Encoding": "gzip"}))
    fails(lambda: web.download(url, tmp_path / "f.obo"), "in the coding 'gzip', which was not asked for")
    assert web.download(url, tmp_path / "f.tsv.gz").read_bytes() == packed
    assert server.seen[0].headers["accept-encoding"] == "identity"


def test_a_download_follows_redirects_with_its_range(server, web, tmp_path):
    with FaultyServer() as mirror:
        url = server.script("/f", redirect(mirror.script("/m", file(DATA, upto=100_000), file(DATA))))
        assert web.download(url, tmp_path / "f").read_bytes() == DATA
        assert ranges(mirror) == [None, "bytes=100000-"]


def test_a_key_in_the_query_is_in_no_file(server, web, tmp_path):
    url = server.script("/f", file(DATA, upto=100_000), status(404))
    fails(lambda: web.download(f"{url}?token={KEY}", tmp_path / "f"), "status 404")
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


# --- the disk and the process ----------------------------------------------------------------------------------------


def test_a_full_disk_is_one_clear_error_and_the_download_goes_on(server, web, tmp_path, monkeypatch):
    url = server.script("/f", file(DATA))
    room = {"left": 120_000}
    opened = Path.open

    def small(self, mode="r", *args, **kwargs):
        handle = opened(self, mode, *args, **kwargs)
        if "a" in mode:
            write = handle.write

            def filling(block):
                if (fits := min(len(block), room["left"])) < len(block):
                    write(block[:fits])
                    room["left"] -= fits
                    raise OSError(errno.ENOSPC, "No space left on device")
                room["left"] -= len(block)
                return write(block)

            return _Disk(handle, filling)
        return handle

    monkeypatch.setattr(Path, "open", small)
    fails(lambda: web.download(url, tmp_path / "f"), str(tmp_path / "f"), "the disk is full", "the download goes on")
    assert not (tmp_path / "f").exists()
    assert (tmp_path / ".f.partial").read_bytes() == DATA[:120_000]
    room["left"] = len(DATA)
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=120000-"]


class _Disk:
    """A file handle whose writes fail when the room is used up."""

    def __init__(self, handle, write):
        self.handle, self.write = handle, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.handle.close()

    def __getattr__(self, name):
        return getattr(self.handle, name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_truly_full_device_is_one_clear_error(server, web, tmp_path, monkeypatch):
    (tmp_path / ".f.partial").symlink_to("/dev/full")
    monkeypatch.setattr("kedrec.sources.download.Unfinished.discard", lambda self: None)  # keeps the link
    url = server.script("/f", file(DATA))
    fails(lambda: web.download(url, tmp_path / "f"), str(tmp_path / "f"), "the disk is full", "start again")
    assert not (tmp_path / "f").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_clear_error(server, web, tmp_path):
    tmp_path.chmod(0o500)
    fails(lambda: web.download(server.script("/f", file(DATA)), tmp_path / "f"), "cannot be written")


def _download(url, place):
    Web(rate=1000).download(url, Path(place))


def test_a_killed_download_goes_on_in_the_next_process(server, web, tmp_path):
    sent = threading.Event()

    def stuck(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(DATA[:200_000])
        handler.wfile.flush()
        sent.set()
        time.sleep(3)

    url = server.script("/f", stuck, file(DATA))
    process = multiprocessing.get_context("spawn").Process(target=_download, args=(url, str(tmp_path / "f")))
    process.start()
    assert sent.wait(20)
    part = tmp_path / ".f.partial"
    while not part.exists() or part.stat().st_size < 100_000:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    have = part.stat().st_size
    assert 100_000 <= have < len(DATA)
    assert not (tmp_path / "f").exists()
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, f"bytes={have}-"]


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
    assert server.seen == []
    monkeypatch.setenv(name, "0")
    assert not offline()
