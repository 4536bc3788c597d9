"""The page and the table show all that an answer holds, as text, in a real browser."""

from dataclasses import replace

import pytest
from rich.console import Console

from kedrec.commands.recommend.drug_ranking import Candidate
from kedrec.commands.recommend.objections import Objection
from kedrec.commands.recommend.rank_confidence import Confidence
from kedrec.commands.recommend.recommendation import (
    NOTICE,
    Answer,
    Citation,
    Details,
    Disease,
    Explanation,
    NamedPath,
    Node,
    PublishedDrug,
    Recommendation,
    Run,
    ShownPassage,
    StudentFacts,
)
from kedrec.commands.recommend.recommendation_page import page
from kedrec.commands.recommend.recommendation_table import show
from kedrec.graph.paths import Edge, MetaPath
from tests.support.browser import chromium

EVIL = "<script>document.title='owned'</script>[bold]x[/bold]"
NEW = Candidate("Compound::DB1", 2, 1, 1, 1.25, "S::treats", None)
KNOWN = Candidate("Compound::DB2", 1, None, None, 2.5, "S::treats", "training")


def passage(number, url, cited=True):
    return ShownPassage(number, f"NCT{number}", "pmc", "Alpha", f"Title {EVIL}", EVIL, "2014", "CC", url, cited)


def answer(**changed):
    link = Edge("DRUGBANK::target::Compound:Gene", "DRUGBANK", True)
    back = Edge("bioarx::DrugHumGen:Compound:Gene", "bioarx", False)
    nodes = (Node("Compound::DB1", "Alpha"), Node("Gene::1", EVIL), Node("Disease::D1", "Ache"))
    explanation = Explanation(
        alternative="Compound::DB3",
        alternative_name="Gamma",
        margin=-0.5,
        prefers_drug=False,
        agreed=False,
        confidence=0.62,
        rationale=f"It helps [1]. {EVIL} [7]",
        passages=(passage(1, "https://example.org/1"), passage(2, "javascript:alert(1)", cited=False)),
        citations=(Citation("1", "NCT1", False), Citation("7", "", False)),
    )
    details = Details(
        explanation=explanation,
        paths=(NamedPath("Compound-Gene-Disease", 0.0123, nodes, ((link,), (back,))),),
        metapaths=(MetaPath("Compound-Gene-Disease", 3, 0.5),),
        direct=(Edge("GNBR::Sa::Compound:Disease", "GNBR", True),),
        naming_both=2,
        against=(
            Objection("failed_trial", f"A trial {EVIL} failed.", "NCT5", "https://clinicaltrials.gov/study/NCT5"),
            Objection("contraindication", "Not to be given.", "X::contra", "javascript:alert(2)"),
        ),
    )
    made = Answer(
        disease=Disease("ache", "Disease::D1", ("Disease::D1", "Disease::D2"), "Ache", 1234, 1),
        run=Run("runs/x", "0123456789", "TransE", "graph", "ab" * 32, ("S::treats",), 17),
        dropped_known=False,
        metapath=None,
        recommendations=(
            Recommendation(EVIL, KNOWN, None, None),
            Recommendation("Alpha", NEW, Confidence(0.0123, 45.6, 3, 1500, 1, 2), details),
        ),
        student=StudentFacts("runs/s", "smollm2", 2.0, "texts/", ("pmc",), 99),
        published=(PublishedDrug(1, "alpha", NEW), PublishedDrug(2, "omega", None)),
    )
    return replace(made, **changed)


def printed(one):
    console = Console(width=200, record=True, highlight=False, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show(one, console)
    return console.export_text()


@pytest.mark.parametrize("shown", [page, printed])
def test_all_that_matters_is_shown(shown):
    text = shown(answer())
    for words in (
        NOTICE,
        "Ache",
        "Disease::D2",
        "1,234",
        "17",
        "1.2 %",
        "46",
        "training",
        "Alpha",
        "It prefers Gamma (margin -0.50, confidence 0.62), but its choice depends on the order",
        "no passage has the number 7",
        "passage 1 shares hardly a word",
        "NCT5",
        "Not to be given.",
        "target",
        "DrugHumGen",
        "bioarx",
        "https://example.org/1",
        "not in the graph",
        "runs/s",
        "lower bound",
    ):
        assert words in text, words


def test_what_comes_from_outside_is_text_and_links_are_of_the_web():
    text = page(answer())
    assert "<script" not in text
    assert "javascript:" not in text
    assert 'href="https://clinicaltrials.gov/study/NCT5"' in text
    assert '<a href="#compound-db1-1">[1]</a>' in text
    assert EVIL in printed(answer())  # as it is, not as rich's markup


def test_text_from_outside_does_not_command_the_terminal():
    mean = "\x1b[2J\x1b]0;owned\x07\x9b31m :pill: \u202egpj"
    (known, new), link = answer().recommendations, Edge(mean, mean, True)
    told = replace(new.details.explanation, rationale=mean, alternative_name=mean)
    told = replace(told, passages=(replace(passage(1, mean), title=mean, excerpt=mean, date=mean, license=mean),))
    details = replace(new.details, explanation=told, against=(Objection("failed_trial", mean, mean, mean),))
    details = replace(details, direct=(link,), paths=(NamedPath(mean, 0.1, (Node(mean, mean),) * 2, ((link,),)),))
    mean_one = answer(
        disease=Disease(mean, mean, (mean,), mean, 1, 1),
        run=Run(mean, mean, mean, mean, mean, (mean,), 1),
        student=StudentFacts(mean, mean, None, mean, (mean,), 1),
        recommendations=(replace(known, name=mean), replace(new, name=mean, details=details)),
        published=(PublishedDrug(1, mean, NEW),),
    )
    for text in (printed(mean_one), page(mean_one)):
        assert "\\u001b[2J" in text
        assert ":pill:" in text  # no emoji in its place
        assert not [one for one in text if one != "\n" and not one.isprintable()]


@pytest.mark.parametrize("shown", [page, printed])
def test_where_no_path_was_found_it_says_of_which_types(shown):
    bare = Recommendation("Alpha", NEW, None, Details(None, (), (), (), None, ()))
    assert "No path through one or two other entities." in shown(answer(recommendations=(bare,)))
    asked = answer(recommendations=(bare,), metapath="Compound-Gene-Disease")
    assert "No path of the types Compound-Gene-Disease." in shown(asked)


def test_names_of_drugs_stay_whole_in_a_terminal_of_80_columns():
    counted = Confidence(0.0012, 1.2, 2, 1632, 10, 20)
    one = Recommendation("methylthioninium", replace(NEW, drug="Compound::DB09241"), counted, None)
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show(answer(recommendations=(one,)), console)
    text = console.export_text()
    assert "methylthioninium" in text
    assert "0.12 % (2/1,632)" in text
    assert "lift" in text


def test_an_answer_of_a_ranking_alone_says_so_little():
    alone = answer(
        student=None,
        published=(),
        recommendations=(Recommendation("Alpha", NEW, None, None),),
    )
    for text in (page(alone), printed(alone)):
        assert NOTICE in text
        assert "holds out no treatments" in text
        assert "published" not in text.lower()
        assert "xplained by" not in text


def test_without_texts_or_a_comparable_drug_the_answer_says_why():
    details = Details(None, (), (), (), None, ())
    bare = answer(
        recommendations=(Recommendation("Alpha", NEW, None, details),),
        student=StudentFacts("", "smollm2", None, "", (), 0),
    )
    for text in (page(bare), printed(bare)):
        assert "so the student did not explain" in text
        assert "no texts" in text
        assert "the base smollm2, which is not trained" in text


def test_the_same_answer_gives_the_same_page():
    assert page(answer()) == page(answer())


@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path):
    place = tmp_path / "page.html"
    place.write_text(page(answer()), encoding="utf-8")
    with chromium(tmp_path / "profile") as browser:
        for width in (1280, 400):
            for dark in (False, True):
                browser.open(place, width, dark)
                assert browser.overflow() <= 0
                assert browser.contrasts()[0][0] >= 4.5
        browser.open(place, media="print")
        sizes = "return ['dd', '.note'].map(e => parseFloat(getComputedStyle(document.querySelector(e)).fontSize))"
        text, note = browser.run(sizes)
        assert note < text  # of a page that is printed too
        browser.open(place)
        assert browser.run("return document.title") == "Drugs for Ache"
        assert browser.complaints() == []
        assert browser.requests() == []
        assert browser.tabbed(3)[1:] == ["a Ranking", "a Alpha"]
        assert browser.run("return document.querySelectorAll('main h2').length") == 3
        assert browser.run("return [...document.querySelectorAll('[id]')].length") == browser.run(
            "return new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"
        )
