"""JATS read: made-up articles of each oddity, and real ones of several publishers and versions."""

import gzip
import re

import pytest
import yaml

from kedrec.sources.text.jats import parse

LINKS = 'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:ali="http://www.niso.org/schemas/ali/1.0/"'


def article(body="<p>Text.</p>", meta="", ids='<article-id pub-id-type="pmc">77</article-id>', tag="article"):
    return f"""<?xml version="1.0"?><!DOCTYPE article SYSTEM "JATS.dtd"><{tag} {LINKS}><front><article-meta>{ids}
    <title-group><article-title>On <italic>in vivo</italic> aspirin<xref ref-type="fn">*</xref></article-title>
    </title-group>{meta}</article-meta></front><body>{body}</body><back><ack><p>THANKS</p></ack>
    <ref-list><ref><mixed-citation>REFERENCE</mixed-citation></ref></ref-list></back></{tag}>""".encode()


def published(kind, day="", month="", year="2008", name="pub-type"):
    parts = {"day": day, "month": month, "year": year}
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in parts.items() if value)
    return f'<pub-date {name}="{kind}">{inner}</pub-date>'


def test_sections_become_paragraphs_and_headings_sentences():
    found = parse(
        article(
            "<p>First.</p><sec><label>1</label><title>Methods</title><p>We gave <bold>aspirin</bold>.</p>"
            "<sec><title>Who?</title><p>Adults:<list><list-item><p>men</p></list-item><list-item>women</list-item>"
            "</list>only.</p></sec></sec><sec sec-type='supplementary-material'><title>Files</title><p>NO</p></sec>"
            "<sec><title>Authors' contributions</title><p>NOR THAT</p></sec>"
            "<fig><caption><p>CAPTION</p></caption></fig><table-wrap><table><tr><td>TABLE</td></tr></table></table-wrap>"
            "<boxed-text><title>Box</title><p>Boxed.</p></boxed-text><p> . </p>",
            "<abstract><title>Abstract</title><sec><title>Background</title><p>Why.</p></sec></abstract>"
            "<abstract abstract-type='summary'><p>FOR LAY READERS</p></abstract>",
        )
    )
    assert (found.id, found.source, found.title) == ("PMC77", "pmc", "On in vivo aspirin")
    assert found.url == "https://pmc.ncbi.nlm.nih.gov/articles/PMC77/"
    assert found.text.split("\n\n") == [
        *("Background.", "Why.", "First.", "Methods.", "We gave aspirin.", "Who?", "Adults:", "men", "women", "only."),
        *("Box.", "Boxed."),
    ]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (published("ppub", month="12") + published("epub", "1", "8"), "2008-08-01"),
        (published("epub", "12", "11", "2012") + published("ppub", month="3", year="2013"), "2012-11-12"),
        (published("collection") + published("epub", "2", "8"), "2008-08-02"),
        (published("pub", "3", "4", name="date-type") + published("collection", name="date-type"), "2008-04-03"),
        (published("nihms-submitted", "1", "1", "2007") + published("pmc-release", "5", "6"), "2008-06-05"),
        (published("collection", month="5"), "2008-05"),
        ("", ""),
    ],
)
def test_the_date_is_that_of_the_earliest_publication(dates, expected):
    assert parse(article(meta=dates)).date == expected


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ('<license xlink:href="http://creativecommons.org/licenses/by/2.0"><p>Words.</p></license>', "2.0"),
        ("<license><ali:license_ref>https://creativecommons.org/licenses/by/4.0/</ali:license_ref></license>", "4.0/"),
        (
            '<license><license-p>See <ext-link xlink:href="https://creativecommons.org/publicdomain/zero/1.0/">CC0'
            "</ext-link></license-p></license>",
            "1.0/",
        ),
        ("<license><license-p>Free  to\n use.</license-p></license>", "Free to use."),
        ("<copyright-statement>© Somebody</copyright-statement>", "© Somebody"),
        ("", ""),
    ],
)
def test_the_licence_is_kept(terms, expected):
    found = parse(article(meta=f"<permissions>{terms}</permissions>")).license
    assert (
        found.endswith(expected) and (found == expected or found.startswith("http")) and bool(found) == bool(expected)
    )


def test_an_article_is_found_in_the_answers_of_efetch_and_oai():
    for wrapped in (
        b"<pmc-articleset>" + article().split(b'dtd">')[1] + b"</pmc-articleset>",
        b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><record><metadata>'
        + article().split(b'dtd">')[1].replace(b"<article ", b'<article xmlns="https://jats.nlm.nih.gov/ns" ')
        + b"</metadata></record></OAI-PMH>",
    ):
        assert (parse(wrapped).id, parse(wrapped).text) == ("PMC77", "Text.")


@pytest.mark.parametrize("written", ["PMC77", "77", "PMC77.2"])
def test_the_id_is_read_in_each_form(written):
    assert parse(article(ids=f'<article-id pub-id-type="pmcid">{written}</article-id>')).id == "PMC77"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"<html><body>down</body></html>", "it holds no article; .*'html'"),
        (article()[:-30], "not well-formed XML"),
        (article(ids='<article-id pub-id-type="doi">10.1/1</article-id>'), "no PMC id"),
        (b"<article/>", "it holds no article"),
    ],
)
def test_what_is_no_article_is_a_value_error(wrong, said):
    with pytest.raises(ValueError, match=said):
        parse(wrong)


def test_an_article_without_words_has_an_empty_text():
    assert parse(article("<fig><caption><p>C</p></caption></fig>")).text == ""


EXPECTED = {
    "1471-2180-11-174": ("PMC3166277", "2011-08-02", "http://creativecommons.org/licenses/by/2.0"),
    "1472-6831-8-11": ("PMC2329613", "2008-04-11", "http://creativecommons.org/licenses/by/2.0"),
    "ehp-116-1694": ("PMC2599765", "2008-08-01", "http://creativecommons.org/publicdomain/mark/1.0/"),
    "mds526": ("PMC3574550", "2012-11-12", "http://creativecommons.org/licenses/by-nc/3.0"),
    "pntd.0002065": ("PMC3585041", "2013-02-28", "This is an open-access article distributed under"),
    "pone.0000217": ("PMC1790863", "2007-02-14", "Tenaillon et al. This is an open-access article"),
    "pone.0046493": ("PMC3460867", "2012-09-28", "This is an open-access article distributed under"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_article_is_read_whole_and_clean(name, real_data):
    xml = (real_data / "text" / "jats" / f"{name}.nxml").read_bytes()
    found = parse(xml)
    assert (found.id, found.date) == EXPECTED[name][:2] and found.license.startswith(EXPECTED[name][2])
    paragraphs = found.text.split("\n\n")
    assert len(found.text) > 20_000 and all(paragraph == " ".join(paragraph.split()) for paragraph in paragraphs)
    assert not re.search(r"\[\d+\]|\(\s*\)|\[\s*\]|\s[,;]|\s\.(\s|$)|[\ufdd0\ufdd1]", found.text)
    body = xml.decode()[xml.decode().index("<body") : xml.decode().index("</body>")]
    prose = re.sub(r"<(table-wrap|fig|supplementary-material)\b.*?</\1>", "", body, flags=re.DOTALL)
    cells = [cell for cell in re.findall(r"<td[^>]*>([^<>]{20,})</td>", body) if cell not in prose]
    assert not any(cell in found.text for cell in cells)
    starts = re.findall(r"<p>([A-Z][a-z]+ [a-z]+ [a-z]+)", prose)
    assert len(starts) > 15 and sum(start in found.text for start in starts) >= len(starts) - 2  # what is set aside


def test_the_recorded_answer_of_efetch_is_read(real_data):
    folder = real_data / "text" / "eutils"
    recorded = yaml.safe_load((folder / "test_eutils_xmlfacades_pubmedcentralarticle_PMC3299399").read_text())
    found = parse(gzip.decompress(recorded["interactions"][0]["response"]["body"]["string"]))
    assert (found.id, found.date) == ("PMC3299399", "2012-03-09")
    assert "changes in brain chemistry, structure, function and connectivity." in found.text
    assert "by Pezawas et al., 2005" in found.text
