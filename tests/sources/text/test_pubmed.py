"""PubMed's XML read: dates in each form, labels, chapters, what gives no document; and real records."""

import pytest

from kedrec.sources.text.documents import read_documents
from kedrec.sources.text.markup import parse_xml
from kedrec.sources.text.pubmed import parse_records


def record(date="<Year>1999</Year>", abstract="<AbstractText>Words.</AbstractText>", more="", ids="", pmid="7"):
    return (
        f"<PubmedArticle><MedlineCitation><PMID>{pmid}</PMID><Article><Journal><JournalIssue><PubDate>{date}</PubDate>"
        f"</JournalIssue></Journal><ArticleTitle>On <i>aspirin</i>.</ArticleTitle><Abstract>{abstract}</Abstract>{more}"
        f"</Article></MedlineCitation><PubmedData><ArticleIdList>{ids}</ArticleIdList><ReferenceList><Reference>"
        f"<ArticleIdList><ArticleId IdType='pmc'>PMC999</ArticleId></ArticleIdList></Reference></ReferenceList>"
        f"</PubmedData></PubmedArticle>"
    )


def read(*records):
    return parse_records(parse_xml(f"<PubmedArticleSet>{''.join(records)}</PubmedArticleSet>".encode()))


def test_ids_are_those_of_abstracts_from_a_file(tmp_path):
    rows = '{"pmid": "7", "title": "On aspirin.", "abstract": "Words.", "year": "1999"}\n'
    rows += '{"pmid": "8", "pmcid": "PMC5", "title": "On aspirin.", "abstract": "Words.", "year": "1999"}\n'
    path = tmp_path / "pubmed_abstracts.jsonl"
    path.write_text(rows)
    found = read(record(), record(pmid="8", ids="<ArticleId IdType='pmc'>PMC5</ArticleId>"))
    assert [one.document for one in found] == list(read_documents(path))


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("<Year>1999</Year><Month>Sep</Month><Day>3</Day>", "1999-09-03"),
        ("<Year>1999</Year><Season>Winter</Season>", "1999"),
        ("<MedlineDate>1998 Dec-1999 Jan</MedlineDate>", "1999-01"),
        ("<MedlineDate>2000 Nov-Dec</MedlineDate>", "2000-12"),
        ("<MedlineDate>1976-1977</MedlineDate>", "1977"),
        ("<MedlineDate>Spring</MedlineDate>", ""),
    ],
)
def test_the_date_is_as_whole_as_it_is_known(date, expected):
    assert read(record(date))[0].document.date == expected


def test_of_print_and_electronic_publication_the_earlier_counts():
    electronic = "<ArticleDate><Year>1998</Year><Month>12</Month><Day>30</Day></ArticleDate>"
    assert read(record("<Year>1999</Year>", more=electronic))[0].document.date == "1998-12-30"
    assert read(record("<Year>1997</Year>", more=electronic))[0].document.date == "1997"


def test_labels_open_paragraphs():
    parts = (
        "<AbstractText Label='AIM'>T<sub>4</sub> rose.</AbstractText>"
        "<AbstractText Label='UNLABELLED'>So.</AbstractText>"
        "<AbstractText Label='NONE'></AbstractText><AbstractText>More.</AbstractText>"
    )
    assert read(record(abstract=parts))[0].document.text == "AIM: T4 rose.\n\nSo.\n\nMore."


def test_what_gives_no_document_says_why():
    types = "<PublicationType UI='D016428'>x</PublicationType><PublicationType UI='D016441'>y</PublicationType>"
    retracted = f"<PublicationTypeList>{types}</PublicationTypeList>"
    found = read(
        record(abstract=""), record(more=retracted, pmid="8"), "<DeleteCitation><PMID>3</PMID></DeleteCitation>"
    )
    assert [(one.pmid, one.document, one.reason) for one in found] == [
        ("7", None, "no abstract"),
        ("8", None, "retracted"),
    ]


def test_a_record_without_a_number_is_refused():
    for wrong in (record(pmid=""), "<PubmedArticle/>", "<PubmedBookArticle/>"):
        with pytest.raises(ValueError, match="without"):
            read(wrong)


def test_real_records_are_read(real_data):
    folder = real_data / "text" / "efetch"
    found = {path.stem: parse_records(parse_xml(path.read_bytes()))[0] for path in folder.glob("*.xml")}
    assert len(found) == 40 and all(one.pmid == name for name, one in found.items())
    documents = {name: one.document for name, one in found.items() if one.document}
    assert {name: one.reason for name, one in found.items() if one.reason} == dict.fromkeys(
        ("100000", "11618220", "11636720", "11873782", "1234567", "32160763", "32294727"), "no abstract"
    )
    assert documents["1000"].id == "PMC1165682" and documents["24349601"].id == "PMC3858957"
    assert documents["24808625"].date == "2013-10-25" and documents["23657305"].date == "2013"
    assert documents["20301546"].date == "2020-09-17"  # a chapter first written in 2006
    assert documents["20301546"].text.startswith("CLINICAL CHARACTERISTICS: Hereditary motor")
    assert "\n\nMANAGEMENT: Treatment of manifestations: Walking aids" in documents["20301546"].text
    assert "El autismo" not in documents["30776274"].text
    assert not any("<" in one.title for one in documents.values())
