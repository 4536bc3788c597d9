"""PubMed Central's bucket: a server on loopback in its layout, versions, closed articles, damage and kills."""

import gzip
import hashlib
import json

import pytest

from kedrec.errors import KedrecError
from kedrec.sources.text.documents import read_documents
from kedrec.sources.text.jats import parse
from kedrec.sources.text.pmc import fetch, fetch_article
from tests.support.harvest_folder import contents, left_out, stopped_after
from tests.support.loopback_server import Answer, Loopback

pytestmark = pytest.mark.usefixtures("online")


def article(number, text="Words.", year=2010, terms=""):
    return (
        f"<article><front><article-meta><article-id pub-id-type='pmc'>{number}</article-id><title-group>"
        f"<article-title>T</article-title></title-group><pub-date pub-type='epub'><year>{year}</year></pub-date>{terms}"
        f"</article-meta></front><body><p>{text}</p></body></article>"
    ).encode()


class Bucket:
    """Keys and their content, listed and served as S3 does; an article's parts are added in one call."""

    def __init__(self, *numbers):
        self.keys = {}
        for number in numbers:
            self.add(number)

    def add(self, number, version=1, xml=None, **described):
        name = f"PMC{number}.{version}"
        xml = article(number, f"Words of version {version}.") if xml is None else xml
        self.keys[f"{name}/{name}.xml"] = xml
        self.keys[f"{name}/figure.jpg"] = b"a picture"
        facts = {"pmcid": f"PMC{number}", "version": version, "is_pmc_openaccess": True, "is_manuscript": False}
        facts |= {"is_historical_ocr": False, "is_retracted": False, "license_code": "CC BY"}
        facts["xml_url"] = f"s3://pmc-oa-opendata/{name}/{name}.xml?md5={hashlib.md5(xml).hexdigest()}"
        self.keys[f"metadata/{name}.json"] = json.dumps({**facts, **described}).encode()

    def __call__(self, asked):
        if asked.query.get("list-type") == "2":
            assert asked.path == "/" and asked.query["delimiter"] == "/"
            found = sorted({key.split("/")[0] for key in self.keys if key.startswith(asked.query["prefix"])})
            inner = "".join(f"<CommonPrefixes><Prefix>{name}/</Prefix></CommonPrefixes>" for name in found)
            root = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            return Answer(f"{root}<Name>pmc-oa-opendata</Name>{inner}</ListBucketResult>".encode())
        if asked.path[1:] not in self.keys:
            return Answer(b"<Error><Code>NoSuchKey</Code></Error>", 404, {"Content-Type": "application/xml"})
        return Answer(self.keys[asked.path[1:]])


def test_articles_come_and_closed_ones_are_listed(tmp_path, web):
    bucket = Bucket(1, 20, 300)
    bucket.add(4, is_pmc_openaccess=False, is_manuscript=True)
    bucket.add(5, is_retracted=True)
    bucket.add(6, xml_url=None)
    bucket.add(7, is_historical_ocr=True)
    bucket.add(8, xml=article(8, ""))
    bucket.add(9, xml=article(99))
    bucket.add(10, xml=b"<article><front>")
    with Loopback(bucket) as server:
        ids = ["PMC300", "pmc1", "20", "PMC1", *(f"PMC{number}" for number in (4, 5, 6, 7, 8, 9, 10, 11))]
        path = fetch(web, ids, tmp_path, url=server.url)
        count = len(server.asked)
        fetch(web, ids, tmp_path, url=server.url)
        assert len(server.asked) == count
    found = list(read_documents(path))
    assert [document.id for document in found] == ["PMC1", "PMC20", "PMC300"]
    assert found[0].text == "Words of version 1." and found[0].license == "CC BY"  # JATS names none
    assert left_out(tmp_path) == {
        "not in the open-access subset": ["PMC11", "PMC4"],
        "retracted": ["PMC5"],
        "no XML of its text": ["PMC6", "PMC7"],
        "no text": ["PMC8"],
        "its XML is that of PMC99": ["PMC9"],
        "its XML cannot be read": ["PMC10"],
    }


@pytest.mark.parametrize(("manuscripts", "taken"), [((), 10), ((10,), 9), ((9, 10), 1), ((1, 9, 10), 10)])
def test_of_several_versions_the_last_is_taken_but_no_manuscript_of_a_published_one(manuscripts, taken, web):
    bucket = Bucket()
    for version in (1, 9, 10):
        bucket.add(5, version, is_manuscript=version in manuscripts)
    with Loopback(bucket) as server:
        assert fetch_article(web, "PMC5", server.url).text == f"Words of version {taken}."


def test_an_id_that_begins_another_is_not_taken_for_it(web):
    with Loopback(Bucket(123)) as server:
        assert fetch_article(web, "PMC12", server.url) == "not in the open-access subset"
        assert server.asked[0].query["prefix"] == "PMC12."


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("part", ["metadata/PMC5.1.json", "PMC5.1/PMC5.1.xml"])
def test_a_key_that_is_missing_is_no_error(tmp_path, part, status, web):
    bucket = Bucket(5, 6)
    with Loopback(lambda asked: Answer(b"", status) if asked.path[1:] == part else bucket(asked)) as server:
        path = fetch(web, ["PMC5", "PMC6"], tmp_path, url=server.url)
    assert [document.id for document in read_documents(path)] == ["PMC6"]
    assert left_out(tmp_path) == {"not in the open-access subset": ["PMC5"]}


def test_another_refusal_is_an_error_though_its_words_name_a_status(tmp_path, web):
    bucket, said = Bucket(5), Answer(b"see: status 404", 410, {"Content-Type": "text/plain"})
    with (
        Loopback(lambda asked: said if asked.path.endswith(".xml") else bucket(asked)) as server,
        pytest.raises(KedrecError, match=r"status 410 .*see: status 404"),
    ):
        fetch(web, ["PMC5"], tmp_path, url=server.url)


def test_a_listing_that_is_refused_is_an_error_and_not_a_closed_article(tmp_path, web):
    with (
        Loopback(lambda _: Answer(b"", 403)) as server,
        pytest.raises(KedrecError, match=rf"{server.url}/: status 403"),
    ):
        fetch(web, ["PMC5"], tmp_path, url=server.url)


def test_no_article_at_all_is_an_end(tmp_path, web):
    with Loopback(Bucket()) as server:
        assert fetch(web, [], tmp_path / "none", url=server.url).read_bytes() == b""
        assert fetch(web, ["PMC1"], tmp_path / "closed", url=server.url).read_bytes() == b""


XML = article(5, "Words of version 1.")
FAULTS = {
    "told to wait": Answer(b"", 429, {"Retry-After": "0"}),
    "slow down": Answer(b"<Error><Code>SlowDown</Code></Error>", 503),
    "cut in the body": Answer(XML, cut=90),
    "a page of HTML": Answer(b"<html><body>sign in</body></html>"),
    "truncated gzip": Answer(gzip.compress(XML)[:-9], headers={"Content-Encoding": "gzip"}),
    "half of the XML": Answer(XML[:90]),
    "a changed letter": Answer(XML.replace(b"Words", b"Swords")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damage_never_enters_the_folder(tmp_path, fault, web):
    bucket, faults = Bucket(5), []

    def answer(asked):
        return faults.pop() if asked.path.endswith(".xml") and faults else bucket(asked)

    with Loopback(answer) as server:
        faults[:] = [FAULTS[fault]] * 2
        (found,) = read_documents(fetch(web, ["PMC5"], tmp_path / "passing", url=server.url))
        assert found.text == "Words of version 1."
        faults[:] = [FAULTS[fault]] * 4
        with pytest.raises(KedrecError, match=rf"{server.url}/PMC5.1/PMC5.1.xml: .*4 tries"):
            fetch(web, ["PMC5"], tmp_path / "lasting", url=server.url)
        assert not (tmp_path / "lasting" / "documents.jsonl").exists()


@pytest.mark.parametrize("fault", ["a page of HTML", "half of the XML"])
@pytest.mark.parametrize("place", ["/", "/metadata/PMC5.1.json"])
def test_a_damaged_listing_or_description_is_not_taken_for_a_closed_article(tmp_path, place, fault, web):
    bucket = Bucket(5)
    with (
        Loopback(lambda asked: FAULTS[fault] if asked.path == place else bucket(asked)) as server,
        pytest.raises(KedrecError, match=rf"{server.url}{place}: .*4 tries"),
    ):
        fetch(web, ["PMC5"], tmp_path, url=server.url)


@pytest.mark.parametrize(
    "elsewhere", ["https://example.org/x.xml", "s3://b/PMC6.1/PMC6.1.xml", "s3://b/PMC5.1/../x.xml"]
)
def test_a_description_that_points_elsewhere_is_not_followed(tmp_path, elsewhere, web):
    bucket = Bucket()
    bucket.add(5, xml_url=elsewhere)
    with (
        Loopback(bucket) as server,
        pytest.raises(KedrecError, match=r"the XML of PMC5 has the address .*; expected a path .* not fetched"),
    ):
        fetch(web, ["PMC5"], tmp_path, url=server.url)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_after_a_kill_only_what_is_missing_is_asked_for(tmp_path, kept, web):
    bucket = Bucket(*range(10, 15))
    bucket.add(12, is_retracted=True)
    ids = [f"PMC{number}" for number in range(10, 16)]
    with Loopback(bucket) as server:
        fetch(web, ids, tmp_path / "whole", url=server.url)
        with stopped_after(kept):
            fetch(web, ids, tmp_path / "killed", url=server.url, workers=2)
        server.asked.clear()
        fetch(web, ids, tmp_path / "killed", url=server.url, workers=1)
        listed = {asked.query["prefix"].rstrip(".") for asked in server.asked if asked.path == "/"}
        assert listed == set(ids[kept:])
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_cut_off_leaves_later_articles_out(tmp_path, web):
    bucket = Bucket()
    bucket.add(1, xml=article(1, year=2013))
    bucket.add(2, xml=article(2, year=2014))
    with Loopback(bucket) as server:
        path = fetch(web, ["PMC1", "PMC2"], tmp_path, before="2014-06-01", url=server.url)
    assert [document.id for document in read_documents(path)] == ["PMC1"]
    assert left_out(tmp_path) == {"not surely before 2014-06-01": ["PMC2"]}


def test_what_is_no_id_is_refused(tmp_path, web):
    for wrong in ("PMC", "12a", "PMID5", "../x", "PMC0"):
        with pytest.raises(KedrecError, match=r"not a PubMed Central id; expected one such as PMC1790863"):
            fetch(web, [wrong], tmp_path)


def test_real_articles_come_whole(tmp_path, real_data, web):
    bucket, expected = Bucket(), {}
    for path in (real_data / "text" / "jats").glob("*.nxml"):
        document = parse(path.read_bytes())
        expected[document.id] = document
        bucket.add(document.id.removeprefix("PMC"), xml=path.read_bytes())
    with Loopback(bucket) as server:
        found = list(read_documents(fetch(web, expected, tmp_path, url=server.url)))
    assert {document.id: document for document in found} == expected and len(found) == 7
