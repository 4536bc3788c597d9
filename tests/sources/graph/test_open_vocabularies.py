import gzip
import hashlib
import re
from dataclasses import replace

import pytest

from kedrec.sources.graph import vocabularies
from kedrec.sources.graph.open_vocabularies import VOCABULARIES
from kedrec.sources.graph.vocabularies import vocabulary_file, vocabulary_key
from kedrec.storage.artifact_store import Store
from tests.support.faulty_server import fails, file, text
from tests.support.vocabulary_samples import DOID, DRUGBANK, GENE_INFO, GO, put

pytestmark = pytest.mark.usefixtures("online")


def official(monkeypatch, name, url):
    table = {**VOCABULARIES, name: replace(VOCABULARIES[name], url=url)}
    for module in ("open_vocabularies", "vocabularies"):
        monkeypatch.setattr(f"kedrec.sources.graph.{module}.VOCABULARIES", table)


def test_a_vocabulary_is_fetched_once_and_goes_on_where_it_was_cut(tmp_path, server, web, monkeypatch):
    packed = gzip.compress(
        GENE_INFO.encode() + b"".join(b"9606\t%d" % n + b"\tx" * 14 + b"\n" for n in range(9_000)), 0
    )
    url = server.script("/Homo_sapiens.gene_info.gz", file(packed, upto=50_000), file(packed))
    official(monkeypatch, "ncbi_gene", url)
    store, heard = Store(tmp_path), []
    assert not store.holds(vocabularies.KIND, vocabulary_key("ncbi_gene"))
    path = vocabulary_file("ncbi_gene", store, progress=lambda *count: heard.append(count), web=web)
    assert path.name == "Homo_sapiens.gene_info.gz"
    assert path.read_bytes() == packed
    assert heard[-1] == (len(packed), len(packed))
    assert store.holds(vocabularies.KIND, vocabulary_key("ncbi_gene"))
    assert vocabulary_file("ncbi_gene", store) == path
    assert [seen.headers.get("range") for seen in server.asked] == [None, "bytes=50000-"]
    monkeypatch.setenv("KEDREC_OFFLINE", "1")
    assert vocabulary_file("ncbi_gene", store) == path
    fails(lambda: vocabulary_file("ncbi_gene", Store(tmp_path / "b")), url, "KEDREC_OFFLINE")


@pytest.mark.parametrize(
    ("ending", "content", "expected"),
    [
        (".gz", gzip.compress(GO.encode())[:-6], "damaged or cut short"),
        (".gz", GO.encode(), "something else in place of the file"),
        (".gz", b"<html></html>", "a page of HTML"),
        (".obo", b"<html></html>", "a page of HTML"),
        (".obo", DOID.encode("utf-16"), "not UTF-8"),
        (".obo", b"name: x\n", "holds no terms"),
    ],
)
def test_a_damaged_vocabulary_never_enters_the_store(tmp_path, server, web, ending, content, expected):
    url = server.script(f"/go{ending}", file(content))
    fails(lambda: vocabulary_file("go", Store(tmp_path), url, web=web), url, expected)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    good = gzip.compress(GO.encode()) if ending == ".gz" else GO.encode()
    server.script(f"/go{ending}", file(good))  # mended: the next start does not find the damaged one
    assert vocabulary_file("go", Store(tmp_path), url, web=web).read_bytes() == good


def test_drugbank_is_never_fetched_from_its_site(tmp_path, server, web):
    for name, source in (
        ("drugbank", None),
        ("drugbank", "https://go.drugbank.com/releases/5-1-13/downloads/all-drugbank-vocabulary"),
        ("mesh", "https://drugbank.com/x"),
    ):
        fails(lambda: vocabulary_file(name, Store(tmp_path), source), "may not download it", "the path of the file")  # noqa: B023
    fails(lambda: vocabulary_file("sider", Store(tmp_path)), "sideeffects.embl.de", "give the path of the file")
    url = server.script("/drugbank.csv", text(DRUGBANK, "text/csv"))
    assert vocabulary_file("drugbank", Store(tmp_path), url, web=web).read_text() == DRUGBANK


def test_a_local_file_is_taken_as_it_is_and_its_checksum_checked(tmp_path):
    path = put(tmp_path, "go", GO, ".obo")
    good = hashlib.sha256(GO.encode()).hexdigest()
    assert vocabulary_file("go", Store(tmp_path / "s"), str(path), good.upper()) == path
    fails(lambda: vocabulary_file("go", Store(tmp_path), str(path), "0" * 64), str(path), good)
    fails(lambda: vocabulary_file("go", Store(tmp_path), str(tmp_path / "none")), "no such file")
    assert not (tmp_path / "s").exists()


def test_a_key_in_an_address_is_kept_nowhere(tmp_path, server, web):
    url = f"{server.script('/go.obo', file(GO.encode()))}?token=s3cr3t&v=2"
    vocabulary_file("go", Store(tmp_path), url, web=web)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert vocabulary_key("go", url)["source"].endswith("/go.obo?v=2")


def test_each_vocabulary_says_its_terms_and_where_it_is():
    for vocabulary in VOCABULARIES.values():
        assert vocabulary.license
        assert bool(vocabulary.url) != bool(vocabulary.page)
        assert vocabulary.url is None or re.match(r"https://[a-z.]+/", vocabulary.url)
