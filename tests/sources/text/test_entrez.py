"""PubMed by the E-utilities: a server on loopback that keeps history as NCBI's does, and recorded exchanges."""

import gzip
import json
import re

import pytest
import yaml

from kedrec.errors import KedrecError
from kedrec.sources.http.client import Web
from kedrec.sources.text import entrez
from kedrec.sources.text.documents import read_documents
from kedrec.sources.text.entrez import Service, fetch, fetch_abstracts, rate, search
from tests.support.harvest_folder import contents, left_out, stopped_after
from tests.support.loopback_server import Answer, Loopback

LOST = b"<?xml version='1.0'?><eFetchResult><ERROR>Unable to obtain query #1</ERROR></eFetchResult>"


@pytest.fixture(autouse=True)
def without_a_key(online, monkeypatch):
    monkeypatch.delenv("NCBI_API_KEY", raising=False)


def record(pmid, year=1999):
    return (
        f"<PubmedArticle><MedlineCitation><PMID>{pmid}</PMID><Article><Journal><JournalIssue><PubDate><Year>{year}</Year>"
        f"</PubDate></JournalIssue></Journal><ArticleTitle>T{pmid}</ArticleTitle><Abstract><AbstractText>Words {pmid}."
        f"</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>"
    )


class Ncbi:
    """esearch, epost and efetch over some records, each with its day of entry."""

    def __init__(self, records, days=None):
        self.records = {str(pmid): xml for pmid, xml in records.items()}
        self.days = {str(pmid): day for pmid, day in (days or {}).items()}
        self.history = []
        self.withheld = set()
        self.history_order = list

    def __call__(self, asked):
        form = asked.form
        assert asked.method == "POST" and not asked.query
        assert form["db"] == "pubmed" and form["tool"] == "kedrec" and form["email"] == "me@x.org"
        return Answer(getattr(self, asked.path.rpartition("/")[2].removesuffix(".fcgi"))(form).encode())

    def esearch(self, form):
        first, last = form.get("mindate", ""), form.get("maxdate", "9")
        found = [pmid for pmid in reversed(self.records) if first <= self.days.get(pmid, "2001/01/01") <= last]
        ids = "".join(f"<Id>{pmid}</Id>" for pmid in found[: int(form["retmax"])])
        where = self._remember(found) if form.get("usehistory") == "y" else ""
        return f"<eSearchResult><Count>{len(found)}</Count>{where}<IdList>{ids}</IdList></eSearchResult>"

    def epost(self, form):
        return f"<ePostResult>{self._remember(form['id'].split(','))}</ePostResult>"

    def efetch(self, form):
        try:
            found = self.history[int(form["WebEnv"].removeprefix("ENV")) + int(form["query_key"]) - 1]
        except IndexError:
            return LOST.decode()
        start = int(form["retstart"])
        page = [pmid for pmid in found[start : start + int(form["retmax"])] if pmid not in self.withheld]
        return f"<PubmedArticleSet>{''.join(self.records[pmid] for pmid in page)}</PubmedArticleSet>"

    def _remember(self, pmids):
        self.history.append(self.history_order(pmids))
        return f"<QueryKey>1</QueryKey><WebEnv>ENV{len(self.history) - 1}</WebEnv>"


@pytest.fixture
def service(web):
    """Of a server, the E-utilities there."""
    return lambda server: Service(web, "me@x.org", url=server.url)


def asked(server):
    return [one.path.rpartition("/")[2].removesuffix(".fcgi") for one in server.asked]


def test_all_pages_come_from_the_history_server(tmp_path, service):
    with Loopback(Ncbi({pmid: record(pmid) for pmid in range(1, 8)})) as server:
        path = fetch(service(server), "aspirin", tmp_path, size=3)
        assert asked(server) == ["esearch", "efetch", "efetch", "efetch"]
        form = server.asked[0].form
        assert (
            (form["term"], form["usehistory"]) == ("aspirin", "y") and "mindate" not in form and "api_key" not in form
        )
        pages = [
            (one.form["WebEnv"], one.form["query_key"], one.form["retstart"], one.form["retmax"])
            for one in server.asked[1:]
        ]
        assert pages == [("ENV0", "1", "0", "3"), ("ENV0", "1", "3", "3"), ("ENV0", "1", "6", "1")]
        fetch(service(server), "aspirin", tmp_path)
        assert len(server.asked) == 4
    assert [document.id for document in read_documents(path)] == [f"PMID{pmid}" for pmid in range(1, 8)]


def test_the_key_is_sent_in_the_form_and_shown_nowhere(tmp_path, monkeypatch, service):
    assert rate() == 3
    monkeypatch.setenv("NCBI_API_KEY", "SECRETKEY")
    assert rate() == 10
    with Loopback(Ncbi({1: record(1)})) as server:
        fetch(service(server), "aspirin", tmp_path / "good")
        assert all(one.form["api_key"] == "SECRETKEY" for one in server.asked)
        for body in (b'{"error":"API key invalid","api-key":"SECRETKEY"}', b"<e><ERROR>key SECRETKEY</ERROR></e>"):
            server.faults = [Answer(body)] * 4
            with pytest.raises(KedrecError, match=r"NCBI reports.*\(key\)") as error:
                fetch(service(server), "aspirin", tmp_path / "bad")
            assert "SECRETKEY" not in str(error.value)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.json*"))
    assert written and b"SECRETKEY" not in written


def test_a_search_that_is_too_large_is_cut_by_day_of_entry(tmp_path, monkeypatch, caplog, service):
    monkeypatch.setattr(entrez, "LIMIT", 3)
    days = {pmid: f"20{pmid:02}/0{1 + pmid % 3}/11" for pmid in range(1, 12)}
    ncbi = Ncbi({pmid: record(pmid) for pmid in days}, days)
    with Loopback(ncbi) as server:
        found = search(service(server), "aspirin")
        assert all(len(one.pmids) <= 3 for one in found)
        assert sorted(int(pmid) for one in found for pmid in one.pmids) == list(range(1, 12))
        assert all(one.form["datetype"] == "edat" for one in server.asked[1:])
        path = fetch(service(server), "aspirin", tmp_path)
        assert len(list(read_documents(path))) == 11
        assert "PubMed counts" not in caplog.text
        ncbi.days["5"] = "1600/01/01"
        search(service(server), "aspirin")
        assert "PubMed counts 11 records for 'aspirin' but returns 10" in caplog.text
        ncbi.days = dict.fromkeys(ncbi.records, "2001/01/01")
        with pytest.raises(KedrecError, match=r"11 records of 'aspirin' were entered on 2001-01-01.*narrower query"):
            search(service(server), "aspirin")


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_after_a_kill_only_what_is_missing_is_asked_for(tmp_path, kept, service):
    records = {pmid: record(pmid) for pmid in (3, 20, 100, 7, 55)}
    with Loopback(Ncbi(records)) as server:
        fetch(service(server), "aspirin", tmp_path / "whole", size=2)
        with stopped_after(kept):
            fetch(service(server), "aspirin", tmp_path / "killed", size=2)
        server.answer.history.clear()  # NCBI forgets a search within hours
        server.asked.clear()
        fetch(service(server), "aspirin", tmp_path / "killed", size=2)
    missing = ["3,7,20,55,100", "3,7,20,55,100", "3,20,100", "3"][kept]  # the server gives the last first
    assert asked(server)[:2] == (["epost", "efetch"] if kept else ["esearch", "efetch"])
    assert asked(server).count("efetch") == -(-len(missing.split(",")) // 2)
    if kept:
        assert server.asked[0].form["id"] == missing
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_records_that_a_page_lacks_are_asked_for_once_more_and_then_listed(tmp_path, service):
    ncbi = Ncbi({pmid: record(pmid) for pmid in range(1, 6)})
    ncbi.withheld = {"2"}
    with Loopback(ncbi) as server:
        path = fetch(service(server), "aspirin", tmp_path)
        assert asked(server) == ["esearch", "efetch", "epost", "efetch"] and server.asked[2].form["id"] == "2"
    assert len(list(read_documents(path))) == 4
    assert left_out(tmp_path) == {"not returned by NCBI": ["PMID2"]}


def test_of_many_records_the_first_come(tmp_path, service):
    ncbi = Ncbi({pmid: record(pmid) for pmid in range(1, 9)})
    with Loopback(ncbi) as server:
        path = fetch(service(server), "aspirin", tmp_path / "few", most=5, size=3)
        assert (server.asked[0].form["sort"], server.asked[0].form["retmax"]) == ("relevance", "5")
        assert [one.form["retmax"] for one in server.asked[1:]] == ["3", "2"]
        assert [document.id for document in read_documents(path)] == [f"PMID{pmid}" for pmid in range(4, 9)]
        ncbi.history_order = lambda found: found[::-1]  # a server whose history is in another order
        other = fetch(service(server), "aspirin", tmp_path / "other", most=5, size=3)
        assert other.read_bytes() == path.read_bytes()
        assert len(list(read_documents(fetch(service(server), "aspirin", tmp_path / "all", most=50)))) == 8
        for wrong in (0, 10_000):
            with pytest.raises(KedrecError, match=f"most: {wrong} is out of range"):
                fetch(service(server), "aspirin", tmp_path / "wrong", most=wrong)


def test_nothing_found_is_an_end_and_no_error(tmp_path, service):
    with Loopback(Ncbi({})) as server:
        assert search(service(server), "aspirin") == []
        assert fetch(service(server), "aspirin", tmp_path).read_bytes() == b""
        assert "efetch" not in asked(server)
    assert json.loads((tmp_path / "harvest.json").read_text())["documents"] == 0


def test_a_cut_off_is_asked_for_and_checked(tmp_path, service):
    records = {
        1: record(1, 2013),
        2: record(2, 2014),
        3: record(3, 2013).replace("<Abstract>", "<No>").replace("</Abstract>", "</No>"),
    }
    with Loopback(Ncbi(records)) as server:
        path = fetch(service(server), "aspirin OR x", tmp_path, before="2014-06-01")
        assert server.asked[0].form["term"] == (
            '(aspirin OR x) AND ("1000/01/01"[Date - Publication] : "2014/05/31"[Date - Publication])'
        )
    assert [document.id for document in read_documents(path)] == ["PMID1"]  # of 2 only the year is known
    assert left_out(tmp_path) == {"no abstract": ["PMID3"], "not surely before 2014-06-01": ["PMID2"]}


GOOD = b"<PubmedArticleSet/>"
FAULTS = {
    "told to wait": Answer(b'{"error":"API rate limit exceeded","count":"4"}', 429, {"Retry-After": "0"}),
    "down": Answer(b"", 502),
    "cut in the body": Answer(GOOD, cut=5),
    "a page of HTML": Answer(b"<html><body>down</body></html>"),
    "truncated gzip": Answer(gzip.compress(GOOD * 50)[:-12], headers={"Content-Encoding": "gzip"}),
    "half of the XML": Answer(GOOD[:9]),
    "an error in status 200": Answer(b"<eSearchResult><ERROR>Search Backend failed</ERROR></eSearchResult>"),
    "the history is lost": Answer(LOST),
    "an error in JSON": Answer(b'{"error":"API rate limit exceeded"}'),
    "no WebEnv": Answer(b"<eSearchResult><Count>1</Count><IdList><Id>1</Id></IdList></eSearchResult>"),
    "fewer numbers than said": Answer(b"<eSearchResult><Count>2</Count><IdList><Id>1</Id></IdList></eSearchResult>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_asked_again_and_a_lasting_one_is_one_clear_error(tmp_path, fault, service):
    with Loopback(Ncbi({pmid: record(pmid) for pmid in range(3)})) as server:
        server.faults = [FAULTS[fault]] * 2
        assert len(list(read_documents(fetch(service(server), "aspirin", tmp_path / "passing")))) == 3
        server.faults = [FAULTS[fault]] * 4
        with pytest.raises(KedrecError) as error:
            fetch(service(server), "aspirin", tmp_path / "lasting")
        assert re.search(rf"{server.url}/esearch.fcgi: .*4 tries", str(error.value)) and "me@x" not in str(error.value)


def test_an_address_and_a_term_are_needed(tmp_path):
    with pytest.raises(KedrecError, match="email: 'nobody' is not an e-mail address"):
        Service(Web(), "nobody")
    with pytest.raises(KedrecError, match="term: the PubMed query is empty"):
        fetch(Service(Web(), "me@x.org"), " ", tmp_path)
    with pytest.raises(KedrecError, match="before: '2015'"):
        fetch(Service(Web(), "me@x.org"), "x", tmp_path, before="2015")
    assert not list(tmp_path.iterdir())


def recorded(folder, name):
    """The recorded answer as it was sent, and its headers."""
    response = yaml.safe_load((folder / name).read_text())["interactions"][0]["response"]
    assert response["headers"]["Content-Encoding"] == ["gzip"]
    return Answer(
        response["body"]["string"], headers={"Content-Encoding": "gzip", "Content-Type": "text/xml; charset=UTF-8"}
    )


def test_recorded_exchanges_are_read(real_data, service):
    folder = real_data / "text" / "eutils"
    with Loopback(lambda _: recorded(folder, "test_esearch")) as server:
        (found,) = search(service(server), "OCRL")
        assert found.pmids == ("763754", "336867", "336322", "168056", "18145")
        assert (found.webenv[:7], found.query_key) == ("NCID_1_", "1")
        for name, pmid in (("test_efetch", "1234567"), ("test_eutils_xmlfacades_pubmedarticle_22351513", "22351513")):
            server.answer = lambda _, name=name: recorded(folder, name)
            ((one,),) = fetch_abstracts(service(server), found)
            assert one.pmid == pmid and (one.document is None) == (name == "test_efetch")
        server.answer = lambda _: recorded(folder, "test_einfo_dblist")
        with pytest.raises(KedrecError, match=r"<eInfoResult> instead of <PubmedArticleSet>"):
            list(fetch_abstracts(service(server), found))


def test_real_records_come_as_documents(tmp_path, real_data, service):
    folder = real_data / "text" / "efetch"
    inner = re.compile(r"<(PubmedArticle|PubmedBookArticle)>.*</\1>", re.DOTALL)
    records = {path.stem: inner.search(path.read_text(encoding="utf-8"))[0] for path in folder.glob("*.xml")}
    with Loopback(Ncbi(records)) as server:
        documents = list(read_documents(fetch(service(server), "all of them", tmp_path, size=15)))
    assert len(documents) == 33 and {"PMC1165682", "PMID20301546"} <= {document.id for document in documents}
    assert len(left_out(tmp_path)["no abstract"]) == 7
