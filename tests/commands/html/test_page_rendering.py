import re

import pytest

from kedrec.commands.html.page_rendering import anchor, citations, render, web_link
from tests.support.browser import chromium

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"

PAGE = """
{% extends "base.html" %}
{% import "macros.html" as kit %}
{% block contents %}<nav aria-label="Contents"><ul><li><a href="#s">S</a></li></ul></nav>{% endblock %}
{% block main %}
<h2 id="s">{{ evil }}</h2>
{{ kit.table(evil, ["model", "F1", "why"], [["group"], [evil, "0.8", evil]], text=(2,), kinds=("group", "last")) }}
{{ kit.table("wide", ["model"] + ["a number, named at length"] * 20, [["x"] + ["0.123456"] * 20]) }}
{{ kit.definitions([["a", evil]]) }}
{{ kit.passage("p", 1, "NCT1", evil, evil, url=url, about="2014") }}
<p>{{ rationale|citations("p", 1) }}</p>
{% call kit.figure(svg, evil) %}{{ kit.table("data", ["x"], [["1"]]) }}{% endcall %}
{% endblock %}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of its own with the page as a template."""
    folder = tmp_path / "planted_pages"
    (folder / "templates").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "templates" / "page.html").write_text(PAGE)
    monkeypatch.syspath_prepend(tmp_path)
    return "planted_pages"


def planted(package, **changed):
    from kedrec.commands.html.svg_figures import MARKERS, SERIES, STROKES, as_svg, drawing

    with drawing() as (figure, axes):
        for row in range(3):
            axes.plot([0, 1, 2], [row, row + 1, row], SERIES[row], marker=MARKERS[row], ls=STROKES[row], label=EVIL)
        axes.legend()
        axes.set_xlabel(EVIL)
        svg = as_svg(figure, "fig-one", EVIL, EVIL)
    context = {"title": EVIL, "evil": EVIL, "url": "javascript:alert(1)", "rationale": f"{EVIL} [1] [2]", "svg": svg}
    return render("page.html", package=package, **{**context, **changed})


def test_what_goes_in_is_text(package):
    page = planted(package)
    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert '<a href="#p-1">[1]</a> [2]' in page


def test_the_same_context_gives_the_same_page(package):
    assert planted(package) == planted(package)


def test_the_page_asks_for_nothing_outside(package):
    page = planted(package, url="https://clinicaltrials.gov/study/NCT1")
    assert "default-src 'none'" in page
    assert "Research use, not medical advice." in page
    outside = set(re.findall(r"(?:src|href)=\"(?!#)([^\"]+)", page))
    assert outside == {"https://clinicaltrials.gov/study/NCT1"}
    assert not re.search(r"@import|url\((?!#)", page)


def test_figures_of_a_page_share_no_id(package):
    from kedrec.commands.html.svg_figures import as_svg, drawing

    pictures = []
    for name in ("fig-one", "fig-two"):
        with drawing() as (figure, axes):
            axes.bar([1, 2], [3, 4], hatch="//")
            pictures.append(as_svg(figure, name, "bars", "two bars"))
    ids = [set(re.findall(r"\bid=\"([^\"]+)", svg)) for svg in pictures]
    assert len(ids[0]) > 5
    assert not ids[0] & ids[1]
    for svg, own in zip(pictures, ids, strict=True):
        used = re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)", svg)
        assert {one or other for one, other in used} <= own


def test_figures_take_their_colours_from_the_page():
    from kedrec.commands.html.svg_figures import INK, SERIES, as_svg, drawing

    with drawing() as (figure, axes):
        axes.plot([0, 1], [0, 1], SERIES[0])
        svg = as_svg(figure, "fig", "t", "d")
    assert "var(--series-1)" in svg
    assert "var(--ink)" in svg
    assert INK not in svg
    assert "DejaVu" not in svg  # the page's own letters


def test_a_missing_name_is_an_error(package):
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render("page.html", package=package, title="t")


def test_links_lead_to_the_web_alone():
    assert web_link("https://pmc.ncbi.nlm.nih.gov/articles/PMC1/") == "https://pmc.ncbi.nlm.nih.gov/articles/PMC1/"
    for bad in (
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//host/x",
        "https://",
        "",
        None,
        "http://[x",
    ):
        assert web_link(bad) == ""


def test_citations_link_what_is_shown():
    assert citations("a < b [1][3].", "q", 2) == 'a &lt; b <a href="#q-1">[1]</a>[3].'
    assert citations("[0]", "q", 2) == "[0]"


def test_anchor():
    assert anchor("Both sources (2)") == "both-sources-2"
    assert anchor("...") == "x"


@pytest.mark.slow
def test_in_chromium(package, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(planted(package), encoding="utf-8")
    with chromium(tmp_path / "profile") as browser:
        for width in (400, 1280):
            for dark in (False, True):
                browser.open(file, width=width, dark=dark)
                browser.picture(tmp_path / f"{width}-{'dark' if dark else 'light'}.png")
                assert browser.complaints() == []
                assert browser.requests() == []
                assert browser.overflow() == 0
                assert browser.contrasts()[0][0] >= 4.5, browser.contrasts()[:3]
        assert browser.run("return document.title") == EVIL
        assert browser.tabbed(4) == ["a Skip to the content", "a S", f"div {EVIL}"[:44], "div wide"]
        assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert browser.printed(tmp_path / "page.pdf").stat().st_size > 5000
