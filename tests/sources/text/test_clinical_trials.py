"""ClinicalTrials.gov: pages walked on a real server, faults on the way, and what a study says."""

import gzip
import json
import signal
import subprocess
import sys

import pytest
import yaml
import zstandard

from kedrec.errors import KedrecError
from kedrec.sources.text.clinical_trials import STUDIES, TrialQuery, fetch, study_documents
from kedrec.sources.text.documents import read_documents
from tests.support.harvest_folder import contents, left_out, stopped_after
from tests.support.loopback_server import Answer, Loopback

pytestmark = pytest.mark.usefixtures("online")

ASTHMA = TrialQuery("asthma", "salmeterol")


def study(number, **status):
    return {
        "protocolSection": {
            "identificationModule": {"nctId": f"NCT{number:08}", "briefTitle": f"Salmeterol in Asthma {number}"},
            "statusModule": {
                "overallStatus": "TERMINATED",
                "whyStopped": "SECRET REASON",
                "startDateStruct": {"date": "2003-05"},
                "studyFirstPostDateStruct": {"date": "2003-04-01"},
                "lastUpdatePostDateStruct": {"date": "2009-01-01"},
                **status,
            },
            "descriptionModule": {"briefSummary": f"Salmeterol was given to {number} people with \\>2 attacks."},
            "designModule": {"phases": ["PHASE2", "PHASE3"]},
            "conditionsModule": {"conditions": ["Asthma"]},
        },
        "hasResults": False,
    }


class Register:
    """Answers ``/studies`` from lists of studies by condition."""

    def __init__(self, **studies):
        self.studies = studies
        self.tokens = {}  # page number -> token of the next page in place of the right one

    def __call__(self, asked):
        assert asked.query["format"] == "json"
        found = self.studies.get(asked.query.get("query.cond", ""), [])
        size, page = int(asked.query["pageSize"]), int(asked.query.get("pageToken", "0"))
        body = {"studies": found[page * size : (page + 1) * size]}
        if len(body["studies"]) == size:  # as the service does, though the next page be empty
            body["nextPageToken"] = self.tokens.get(page, str(page + 1))
        return Answer(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def test_all_pages_of_all_queries_come_once_and_sorted(tmp_path, web):
    register = Register(asthma=[study(n) for n in (9, 3, 5, 1)], copd=[study(n) for n in (5, 7)])
    with Loopback(register) as server:
        path = fetch(web, [ASTHMA, TrialQuery("copd")], tmp_path, url=f"{server.url}/studies", page_size=2)
        assert [document.id for document in read_documents(path)] == [f"NCT{n:08}" for n in (1, 3, 5, 7, 9)]
        assert [asked.query.get("pageToken") for asked in server.asked] == [None, "1", "2", None, "1"]
        first, last = server.asked[0].query, server.asked[-1].query
        assert (first["query.cond"], first["query.intr"], first["pageSize"]) == ("asthma", "salmeterol", "2")
        assert last["query.cond"] == "copd" and "query.intr" not in last and "filter.advanced" not in last
        fetch(web, [TrialQuery("copd"), ASTHMA, ASTHMA], tmp_path, url=f"{server.url}/studies")  # nothing to do
        assert len(server.asked) == 5
    assert json.loads((tmp_path / "harvest.json").read_text())["documents"] == 5


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("lung cancer", "lung cancer"),
        ("Crohn's  disease\n", "Crohn's disease"),
        ("5-fluorouracil", "5-fluorouracil"),
        ("Diabetes Mellitus, Type 2", '"Diabetes Mellitus, Type 2"'),
        ("Alzheimer's disease (early onset)", '"Alzheimer\'s disease (early onset)"'),
        ("5-(N,N-hexamethylene)amiloride", '"5-(N,N-hexamethylene)amiloride"'),
        ("[18F]fluorodeoxyglucose", '"[18F]fluorodeoxyglucose"'),
        ("AND-1", '"AND-1"'),
        ("ALL", '"ALL"'),
        ("Head and Neck Neoplasms", '"Head and Neck Neoplasms"'),
        *((f"x {word} y", f'"x {word} y"') for word in ("OR", "NOT", "MISSING", "DISTANCE", "TILT", "EXPANSION")),
        *((f"{word}[x]y", f'"{word}[x]y"') for word in ("AREA", "SEARCH", "RANGE", "COVERAGE")),
        ("normal landing area-x", '"normal landing area-x"'),
        ("oral and-rogens", '"oral and-rogens"'),
        ("Norland notable orality", "Norland notable orality"),  # words that only begin as operators do
        ('"quoted"', '"\\"quoted\\""'),
        ('5" lesion', '"5\\" lesion"'),
        ("a\\", "a"),
        ('a\\" OR ALL', '"a \\" OR ALL"'),
    ],
)
def test_a_name_is_sent_as_one_term(tmp_path, web, name, sent):
    with Loopback(Register()) as server:
        fetch(web, [TrialQuery(name, name)], tmp_path, url=server.url)
    query = server.asked[0].query
    assert (query["query.cond"], query["query.intr"]) == (sent, sent)


def test_a_folder_that_was_filled_for_a_name_is_not_taken_for_another(tmp_path, web):
    with Loopback(Register()) as server:
        fetch(web, [TrialQuery("x y")], tmp_path, url=server.url)
        with pytest.raises(KedrecError, match="belongs to the request"):
            fetch(web, [TrialQuery("x, y")], tmp_path, url=server.url)


def test_a_query_without_studies_ends_well(tmp_path, web):
    with Loopback(Register()) as server:
        path = fetch(web, [ASTHMA], tmp_path, url=server.url)
    assert path.read_bytes() == b"" and json.loads((tmp_path / "harvest.json").read_text())["documents"] == 0


@pytest.mark.parametrize("page", [2, 3])
def test_a_page_token_that_repeats_is_an_error_and_no_loop(tmp_path, page, web):
    register = Register(asthma=[study(n) for n in range(8)])
    register.tokens[page - 1] = "1"  # the token of the second page
    with Loopback(register) as server:
        with pytest.raises(KedrecError, match=rf"page {page} of .*asthma.* names a next page that was already fetched"):
            fetch(web, [ASTHMA], tmp_path, url=server.url, page_size=2)
        assert len(server.asked) == page
        register.tokens.clear()
        assert len(list(read_documents(fetch(web, [ASTHMA], tmp_path, url=server.url, page_size=2)))) == 8


def test_a_page_token_that_the_service_forgot_is_told_with_the_way_out(tmp_path, web):
    register = Register(asthma=[study(n) for n in range(4)])
    register.tokens[1] = "1"
    with Loopback(register) as server:
        for _ in range(2):
            with pytest.raises(KedrecError) as error:
                fetch(web, [ASTHMA], tmp_path, url=server.url, page_size=2)
            assert "earlier process" not in str(error.value)
            server.faults = [Answer(b"invalid page token", 400, {"Content-Type": "text/plain"})]
            with pytest.raises(KedrecError, match=rf"400.*earlier process: .* delete {tmp_path} and start again"):
                fetch(web, [ASTHMA], tmp_path, url=server.url, page_size=2)


PAGE = json.dumps({"studies": []}).encode()
FAULTS = {
    "told to wait": Answer(b"slow down", 429, {"Retry-After": "0"}),
    "down": Answer(b"", 503),
    "cut in the body": Answer(PAGE, cut=5),
    "a page of HTML": Answer(b"<!DOCTYPE html><html>down</html>", headers={"Content-Type": "text/html"}),
    "truncated gzip": Answer(gzip.compress(PAGE * 50)[:-12], headers={"Content-Encoding": "gzip"}),
    "half of the JSON": Answer(PAGE[:9]),
    "other JSON": Answer(b'{"error": "x"}'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_asked_again_and_a_lasting_one_is_one_clear_error(tmp_path, fault, web):
    with Loopback(Register(asthma=[study(n) for n in range(3)])) as server:
        server.faults = [FAULTS[fault]] * 2
        path = fetch(web, [ASTHMA], tmp_path / "passing", url=server.url)
        assert len(list(read_documents(path))) == 3 and len(server.asked) == 3
        server.faults = [FAULTS[fault]] * 4
        with pytest.raises(KedrecError) as error:
            fetch(web, [ASTHMA], tmp_path / "lasting", url=server.url)
        assert server.url in str(error.value) and "4 tries" in str(error.value) and "asthma" not in str(error.value)
        assert not (tmp_path / "lasting" / "documents.jsonl").exists()


def test_a_wait_beyond_patience_ends_at_once(tmp_path, web):
    with Loopback(Register()) as server:
        server.faults = [Answer(b"", 429, {"Retry-After": "86400"})]
        with pytest.raises(KedrecError, match=r"429.*wait 86,400 s.*1 try"):
            fetch(web, [ASTHMA], tmp_path, url=server.url)


@pytest.mark.parametrize("pages", [1, 2, 4])
def test_after_a_kill_only_what_is_missing_is_asked_for(tmp_path, pages, web):
    register = Register(asthma=[study(n) for n in range(5)], copd=[study(n) for n in range(3, 9)])
    queries = [ASTHMA, TrialQuery("copd")]
    with Loopback(register) as server:
        fetch(web, queries, tmp_path / "whole", url=server.url, page_size=2)
        asked = [(one.query["query.cond"], one.query.get("pageToken")) for one in server.asked]
        server.asked.clear()
        with stopped_after(pages):
            fetch(web, queries, tmp_path / "killed", url=server.url, page_size=2)
        server.asked.clear()
        fetch(web, queries, tmp_path / "killed", url=server.url, page_size=2)
        assert [(one.query["query.cond"], one.query.get("pageToken")) for one in server.asked] == asked[pages:]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_kill_9_and_again_gives_the_same_bytes_from_real_studies(tmp_path, real_data, web):
    path = real_data / "text" / "ctgov_v2" / "studies_nsclc.json.zst"
    register = Register(nsclc=json.loads(zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()))
    program = (
        "import sys; from pathlib import Path; from kedrec.sources.http.client import Web\n"
        "from kedrec.sources.text.clinical_trials import TrialQuery, fetch\n"
        "fetch(Web(rate=2000), [TrialQuery('nsclc')], Path(sys.argv[1]), url=sys.argv[2], page_size=20)"
    )
    with Loopback(register) as server:
        whole = fetch(web, [TrialQuery("nsclc")], tmp_path / "whole", url=server.url, page_size=20)
        documents = {document.id: document for document in read_documents(whole)}
        server.asked.clear()
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "killed"), server.url])

        def deadly(asked):
            if asked.query.get("pageToken") == "3":
                process.send_signal(signal.SIGKILL)
                process.wait()
            return register(asked)

        server.answer = deadly
        assert process.wait(60) == -signal.SIGKILL
        server.answer = register
        server.asked.clear()
        fetch(web, [TrialQuery("nsclc")], tmp_path / "killed", url=server.url, page_size=20)
        assert [asked.query["pageToken"] for asked in server.asked] == ["3", "4", "5"]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(documents) == 105 and sum(name.endswith("-results") for name in documents) == 5
    assert all(document.text and document.title and document.date for document in documents.values())
    assert not any("nctId" in document.text or "\\>" in document.text for document in documents.values())


def test_the_old_form_and_other_objects_are_refused():
    for wrong, word in (({"FullStudiesResponse": {}}, "old API"), ({"x": 1}, "found x"), ({}, "nothing")):
        with pytest.raises(KedrecError, match=rf"API v2.*{word}"):
            study_documents(wrong)
    broken = study(7)
    broken["protocolSection"]["conditionsModule"] = ["Asthma"]
    with pytest.raises(KedrecError, match=r"NCT00000007: not in the format of API v2 .*fetch it again"):
        study_documents(broken)


def test_the_recorded_old_form_is_refused(real_data):
    folder = real_data / "text" / "ctgov_v2"
    for name in ("NCT00023673", "NCT02028676", "NCT04780763"):
        with pytest.raises(KedrecError, match="old API"):
            study_documents(json.loads((folder / f"{name}.json").read_text()))


def test_the_fields_asked_for_are_in_the_apis_own_description(real_data):
    from kedrec.sources.text import clinical_trials

    text = (real_data / "text" / "ctgov_v2" / "openapi-spec.yaml").read_text()
    schemas = yaml.safe_load(text)["components"]["schemas"]
    known = {name.lower() for schema in schemas.values() for name in schema.get("properties", ())}
    asked = clinical_trials._FIELDS.split("|")
    assert all(name.lower() in known for name in asked), asked


def test_a_cut_off_hides_what_came_later(tmp_path, web):
    with Loopback(Register(asthma=[study(1), study(2, studyFirstPostDateStruct={"date": "2008-07-01"})])) as server:
        path = fetch(web, [ASTHMA], tmp_path, before="2008-07-01", url=server.url)
        assert server.asked[0].query["filter.advanced"] == "AREA[StudyFirstPostDate]RANGE[MIN,2008-06-30]"
    (one,) = read_documents(path)
    assert one.id == "NCT00000001" and "Status" not in one.text and "2003-05" not in one.text  # updated in 2009
    assert "Phase: phase 2/phase 3." in one.text
    assert left_out(tmp_path) == {"not surely posted before 2008-07-01": ["NCT00000002"]}
    (later,) = study_documents(study(1), before="2010-01-01")
    assert "Status: terminated. Start: 2003-05." in later.text
    assert "SECRET" not in later.text + study_documents(study(1))[0].text


def test_a_study_without_text_gives_no_document(tmp_path, web):
    bare = {"protocolSection": {"identificationModule": {"nctId": "NCT00000009", "briefTitle": "A title"}}}
    with Loopback(Register(asthma=[bare])) as server:
        assert fetch(web, [ASTHMA], tmp_path, url=server.url).read_bytes() == b""
    assert left_out(tmp_path) == {"no text": ["NCT00000009"]}


def test_what_was_asked_for_wrongly_is_said(tmp_path, web):
    for queries, words, said in (
        ([], {}, "queries: "),
        ([TrialQuery(" ")], {}, "queries: "),
        ([TrialQuery("\\")], {}, "queries: "),
        ([ASTHMA], {"page_size": 1001}, "page_size: 1001 is out of range"),
        ([ASTHMA], {"before": "now"}, "before: 'now'"),
    ):
        with pytest.raises(KedrecError, match=said):
            fetch(web, queries, tmp_path, url=STUDIES, **words)
