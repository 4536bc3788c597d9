import gzip
import hashlib
import random
import time
from email.utils import formatdate

import pytest

from kedrec.sources.http.client import Web
from tests.support.faulty_server import (
    HTML,
    KEY,
    FaultyServer,
    chunked,
    fails,
    file,
    ranges,
    redirect,
    send,
    status,
    text,
)

pytestmark = pytest.mark.usefixtures("online")

DATA = random.Random(0).randbytes(300_000)
DAMAGED = DATA[:-1] + bytes([DATA[-1] ^ 1])
SHA256 = hashlib.sha256(DATA).hexdigest()


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
        # May change again in the same second. Named, as processes that test together must give it one name.
        pytest.param(None, formatdate(time.time() + 86_400, usegmt=True), None, id="tomorrow"),
        (None, "yesterday", None),
        (None, None, None),
    ],
)
def test_a_cut_download_goes_on_only_where_the_file_is_surely_the_same(server, web, tmp_path, etag, modified, told):
    good = {"etag": etag, "modified": modified}
    url = server.script("/f", file(DATA, upto=100_000, **good), file(DATA, **good))
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-" if told else None]
    assert server.asked[1].headers.get("if-range") == told


def test_with_a_checksum_a_download_goes_on_without_a_validator(server, web, tmp_path):
    url = server.script("/f", file(DATA, etag=None, upto=100_000), file(DATA, etag=None))
    assert web.download(url, tmp_path / "f", sha256=SHA256.upper()).read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-"]


def test_a_download_goes_on_in_a_later_call_and_from_a_mirror_if_a_checksum_says_so(server, web, tmp_path):
    url = server.script("/f", file(DATA, upto=100_000), status(500))
    fails(lambda: web.download(url, tmp_path / "f"), url, "status 500", "the download then resumes")
    assert leftovers(tmp_path) == [".f.partial", ".f.validator"]
    assert (tmp_path / ".f.partial").read_bytes() == DATA[:100_000]
    server.script("/f", file(DATA))
    del server.asked[:]
    assert web.download(url, tmp_path / "f").read_bytes() == DATA
    assert ranges(server) == ["bytes=100000-"]

    for checksum, expected in ((None, None), (SHA256, "bytes=100000-")):
        (tmp_path / ".f.partial").write_bytes(DATA[:100_000])
        (tmp_path / ".f.validator").write_text(f'{url}\n"one"')
        del server.asked[:]
        mirror = server.script("/mirror/f", file(DATA))
        assert web.download(mirror, tmp_path / "f", sha256=checksum).read_bytes() == DATA
        assert ranges(server) == [expected]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, web, tmp_path):
    other = DATA[::-1]
    url = server.script("/f", file(DATA, upto=100_000), file(other, etag='"two"'))
    assert web.download(url, tmp_path / "f").read_bytes() == other
    assert len(server.asked) == 2


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
    assert len(server.asked) == 15 > web.tries


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
    fails(lambda: web.download(url, tmp_path / "f", sha256=SHA256), url, f"not {SHA256}", "it is deleted")
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
    fails(lambda: web.download(url, tmp_path / "f"), "does not state the length of the file", "SHA-256")
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
    del server.asked[:]
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
    fails(lambda: web.download(url, tmp_path / "f.obo"), "in the coding 'gzip', which was not requested")
    assert web.download(url, tmp_path / "f.tsv.gz").read_bytes() == packed
    assert server.asked[0].headers["accept-encoding"] == "identity"


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
