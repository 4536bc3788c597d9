import gzip
import hashlib
import io
import logging
import multiprocessing
import os
import signal
import tarfile
import threading
import time
from pathlib import Path

import pytest
import zstandard

from kedrec.sources.graph import drkg
from kedrec.sources.graph.drkg import drkg_facts, drkg_key, drkg_triples
from kedrec.sources.http.client import Web
from kedrec.storage.artifact_store import Store
from tests.support.faulty_server import KEY, fails, file, status, text

# 5,000 lines are more than one block of the archive, so that lines lie across blocks.
ROWS = [
    f"Compound::DB{row % 7:05}\tDRUGBANK::treats::Compound:Disease\tDisease::MESH:D{row:06}" for row in range(5_000)
]
TABLE = ("\n".join([*ROWS, "Gene::\tHetionet::GiG::Gene:Gene\tGene::5595;5594"]) + "\n").encode()
COUNTS = {"triples": 5_001, "entities": 7 + 5_000 + 2, "relations": 2}


def tarred(*members):
    """A gzipped tar of (name, content); content ``None`` is a folder, a string a link to it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return gzip.compress(out.getvalue(), mtime=0)


NOISE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(3_000))
ARCHIVE = tarred(
    ("./._drkg.tsv", b"\x00\x05\x16\x07 of macOS"),
    ("embed", None),
    ("./drkg.tsv", TABLE),
    ("./._entity2src.tsv", b"\x00"),
    ("entity2src.tsv", b"a\tb\n"),
    ("embed/DRKG_TransE_l2_entity.npy", NOISE),
)


pytestmark = pytest.mark.usefixtures("online")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """DRKG in little."""
    monkeypatch.setattr(drkg, "COUNTS", COUNTS)
    monkeypatch.setattr(drkg, "_BLOCK", 20_003)


@pytest.fixture
def official(server, monkeypatch):
    url = server.script("/drkg.tar.gz", file(ARCHIVE))
    monkeypatch.setattr(drkg, "URL", url)
    return url


def artefacts(root):
    return [path for path in (root / "drkg").iterdir() if path.is_dir() and path.suffix != ".partial"]


def test_the_official_archive_becomes_a_graph(tmp_path, server, official, web, caplog):
    store, heard = Store(tmp_path), []
    assert not store.holds(drkg.KIND, drkg_key())
    path = drkg_triples(store, progress=lambda *count: heard.append(count), web=web)
    assert store.holds(drkg.KIND, drkg_key())
    assert zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read() == TABLE
    sha256 = hashlib.sha256(ARCHIVE).hexdigest()
    assert drkg_facts(path) == {"source": official, "sha256": sha256, **COUNTS, "warning": ""}
    assert heard[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert sorted(place.name for place in path.parent.iterdir()) == ["facts.json", "manifest.json", "triples.tsv.zst"]
    from kedrec.graph.knowledge_graph import load_graph

    graph = load_graph(path, store)
    assert len(graph.triples) == COUNTS["triples"]
    assert len(graph.entities) == COUNTS["entities"]
    assert drkg_triples(store) == path
    assert len(server.asked) == 1
    assert caplog.text == ""


def test_a_store_that_holds_it_needs_no_network(tmp_path, official, web, monkeypatch):
    path = drkg_triples(Store(tmp_path), web=web)
    monkeypatch.setenv("KEDREC_OFFLINE", "1")
    assert drkg_triples(Store(tmp_path)) == path
    fails(lambda: drkg_triples(Store(tmp_path / "other")), official, "KEDREC_OFFLINE")


def test_the_same_archive_gives_the_same_bytes(tmp_path, official, web):
    first, second = (drkg_triples(Store(tmp_path / name), web=web) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert (first.parent / "manifest.json").read_bytes() == (second.parent / "manifest.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("drkg.tar.gz", ARCHIVE),
        ("other.tgz", tarred(("drkg/drkg.tsv", TABLE))),
        ("archive", tarred(("/abs/drkg.tsv", TABLE))),
        ("drkg.tsv", TABLE),
        ("drkg.tsv.gz", gzip.compress(TABLE)),
        ("drkg.tsv.zst", zstandard.compress(TABLE)),
    ],
)
def test_a_local_file_in_any_form_needs_no_network(tmp_path, name, content, caplog, monkeypatch):
    monkeypatch.setenv("KEDREC_OFFLINE", "1")
    (tmp_path / name).write_bytes(content)
    path = drkg_triples(Store(tmp_path / "store"), str(tmp_path / name))
    assert zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read() == TABLE
    assert drkg_facts(path)["source"] == str(tmp_path / name)
    assert drkg_facts(path)["sha256"] == hashlib.sha256(content).hexdigest()
    assert caplog.text == ""
    assert (tmp_path / name).exists()


def test_a_local_file_that_differs_is_told_in_one_line(tmp_path, caplog):
    (tmp_path / "drkg.tsv").write_bytes(TABLE.split(b"\n", 1)[1])
    path = drkg_triples(Store(tmp_path / "store"), str(tmp_path / "drkg.tsv"))
    warning = drkg_facts(path)["warning"]
    assert "5,000 triples, 5,008 entities, 2 relations, but DRKG has 5,001 triples, 5,009 entities" in warning
    assert [record.getMessage() for record in caplog.records] == [warning]


def test_a_mirror_that_differs_needs_its_checksum(tmp_path, server, web, caplog):
    other = tarred(("drkg.tsv", TABLE[: TABLE.index(b"\n") + 1]))
    url = server.script("/drkg.tar.gz", file(other))
    fails(lambda: drkg_triples(Store(tmp_path), url, web=web), url, "1 triples", "give its SHA-256")
    assert artefacts(tmp_path) == []
    path = drkg_triples(Store(tmp_path), url, hashlib.sha256(other).hexdigest(), web=web)
    assert drkg_facts(path)["triples"] == 1
    assert "1 triples" in caplog.text


def test_the_official_archive_must_have_its_counts(tmp_path, server, official, web):
    server.script("/drkg.tar.gz", file(tarred(("drkg.tsv", TABLE + TABLE[: TABLE.index(b"\n") + 1]))))
    fails(lambda: drkg_triples(Store(tmp_path), web=web), official, "5,002 triples", "but DRKG has 5,001")
    assert artefacts(tmp_path) == []
    assert not list(tmp_path.rglob("*.zst"))
    server.script("/drkg.tar.gz", file(ARCHIVE))  # mended: the next start does not find the old one
    assert drkg_facts(drkg_triples(Store(tmp_path), web=web))["triples"] == 5_001


FLIPPED = ARCHIVE[:-2_000] + bytes([ARCHIVE[-2_000] ^ 1]) + ARCHIVE[-1_999:]  # in the embeddings, which are not used


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ARCHIVE[: len(ARCHIVE) // 2], "damaged or cut short"),
        (ARCHIVE[:-1], "damaged or cut short"),
        (FLIPPED, "damaged or cut short"),
        (gzip.compress(TABLE), "damaged or cut short"),
        (gzip.compress(gzip.decompress(ARCHIVE)[:200_000]), "damaged or cut short"),
        (tarred(("readme.txt", b"hello")), "holds no drkg.tsv"),
        (tarred(("._drkg.tsv", TABLE), ("drkg.tsv", None)), "holds no drkg.tsv"),
        (tarred(("drkg.tsv", "/etc/passwd")), "holds no drkg.tsv"),
        (tarred(("drkg.tsv", b"")), "holds no triples"),
        (tarred(("drkg.tsv", b"a\tb\tc\na\tb\n")), "line 2 of the triples: 2 columns"),
    ],
)
def test_a_wrong_archive_is_one_clear_error_and_nothing_is_kept(tmp_path, server, web, content, expected):
    url = server.script("/drkg.tar.gz", file(content))
    for known in (None, hashlib.sha256(content).hexdigest()):
        fails(lambda: drkg_triples(Store(tmp_path), url, known, web=web), url, expected)  # noqa: B023
    local = tmp_path / "local.tar.gz"
    local.write_bytes(content)
    fails(lambda: drkg_triples(Store(tmp_path), str(local)), str(local), expected)
    assert not [path for path in (tmp_path / "drkg").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_html_in_place_of_the_archive_is_told(tmp_path, server, official, web):
    server.script("/drkg.tar.gz", text("<html>gone</html>", "text/html"))
    fails(lambda: drkg_triples(Store(tmp_path), web=web), official, "a page of HTML in place of the file")
    assert artefacts(tmp_path) == []
    local = tmp_path / "drkg.tar.gz"
    local.write_text("<html>gone</html>")
    fails(lambda: drkg_triples(Store(tmp_path), str(local)), str(local), "damaged or cut short")


def test_a_wrong_checksum_keeps_nothing(tmp_path, server, official, web):
    wrong = "0" * 64
    fails(lambda: drkg_triples(Store(tmp_path), None, wrong, web=web), official, f"not {wrong}")
    assert artefacts(tmp_path) == []
    (tmp_path / "drkg.tsv").write_bytes(TABLE)
    fails(lambda: drkg_triples(Store(tmp_path), str(tmp_path / "drkg.tsv"), wrong), f"expected {wrong}")
    fails(lambda: drkg_triples(Store(tmp_path), str(tmp_path / "none.tar.gz")), "no such file")


def test_names_in_the_archive_are_never_paths(tmp_path, web, monkeypatch):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    names = ["../../drkg.tsv", "/tmp/kedrec_test_evil/drkg.tsv", "../evil.txt"]
    (inner / "x.tar.gz").write_bytes(tarred(*((name, TABLE) for name in names), ("link", "../.."), ("link/y", b"y")))
    drkg_triples(Store(inner / "store"), str(inner / "x.tar.gz"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b"]
    assert not Path("/tmp/kedrec_test_evil").exists()


def test_a_key_in_a_mirrors_address_is_kept_nowhere(tmp_path, server, web):
    server.script("/drkg.tar.gz", file(ARCHIVE, upto=1_000), status(403))
    url = f"{server.url}/drkg.tar.gz?part=3&token={KEY}"
    fails(lambda: drkg_triples(Store(tmp_path), url, web=web), "status 403")
    server.script("/drkg.tar.gz", file(ARCHIVE))
    drkg_triples(Store(tmp_path), url, web=web)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert "part=3" in drkg_key(url)["source"]


def _fetch(root, url, sha256):
    logging.disable(logging.WARNING)
    drkg_triples(Store(root), url, sha256, web=Web(rate=1000))


def _start(root, url):
    # Another process does not know the counts of the little DRKG: the checksum says that this file is meant.
    known = (str(root), url, hashlib.sha256(ARCHIVE).hexdigest())
    process = multiprocessing.get_context("spawn").Process(target=_fetch, args=known)
    process.start()
    return process


@pytest.mark.slow
def test_a_killed_download_goes_on_and_a_second_process_waits(tmp_path, server):
    release = threading.Event()
    half = len(ARCHIVE) // 2

    def stuck(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(ARCHIVE)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(ARCHIVE[:half])
        handler.wfile.flush()
        release.wait(20)

    url = server.script("/drkg.tar.gz", stuck, file(ARCHIVE))
    process = _start(tmp_path, url)
    while not [part for part in tmp_path.rglob(".source*.partial") if part.stat().st_size == half]:
        assert process.is_alive()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    release.set()
    two = [_start(tmp_path, url) for _ in range(2)]
    for process in two:
        process.join()
    assert [process.exitcode for process in two] == [0, 0]
    assert [seen.headers.get("range") for seen in server.asked] == [None, f"bytes={half}-"]
    (folder,) = artefacts(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["facts.json", "manifest.json", "triples.tsv.zst"]


def test_a_kill_after_the_download_or_after_the_packing_repeats_neither(tmp_path, server, official, web, monkeypatch):
    packed = []
    pack = drkg._pack

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(drkg, "_pack", killed)
    with pytest.raises(KeyboardInterrupt):
        drkg_triples(Store(tmp_path), web=web)
    monkeypatch.setattr(drkg, "_pack", lambda *arguments: packed.append(1) or pack(*arguments))
    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        drkg_triples(Store(tmp_path), web=web)
    monkeypatch.undo()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(drkg, "URL", official)
    drkg_triples(Store(tmp_path), web=web)
    assert len(server.asked) == len(packed) == 1


def test_a_real_graph_of_drkgs_form(tmp_path, monkeypatch, real_data):
    monkeypatch.undo()
    source = real_data / "graph" / "triples.tsv.zst"
    path = drkg_triples(Store(tmp_path), str(source))
    facts = drkg_facts(path)
    assert (facts["triples"], facts["entities"], facts["relations"]) == (706_867, 56_777, 48)
    assert "but DRKG has 5,874,261 triples, 97,238 entities, 107 relations" in facts["warning"]
    assert zstandard.open(path).read() == zstandard.open(source).read()
