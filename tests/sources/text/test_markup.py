"""Inline XML made flat: spacing, numbers that must not run together, formulas, citation marks; and hostile input."""

import time

import pytest

from kedrec.sources.text.markup import flat_text, parse_xml


def flat(inner, before=""):
    return flat_text(parse_xml(f'{before}<p xmlns:m="http://www.w3.org/1998/Math/MathML">{inner}</p>'.encode()))


def cited(inner, kind="bibr"):
    return f'<xref ref-type="{kind}" rid="x">{inner}</xref>'


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<i>M<b>m</b></i>PPOX  in\n   <i>E. coli</i>.", "MmPPOX in E. coli."),
        ("CO<sub>2</sub>, Ca<sup>2+</sup>, T<sub>4</sub>", "CO2, Ca2+, T4"),
        ("3 × 10<sup>5</sup> and 10<sup>−3</sup>", "3 × 10^5 and 10^−3"),  # noqa: RUF001
        ("10<i>x</i><sup>2</sup>", "10x2"),
        ("1<sup>st</sup>", "1st"),
        ("OR\u200a=\u200a7.3;\u00a0p&lt;0.05", "OR = 7.3; p<0.05"),
        ("one<break/>two", "one two"),
        ("a<!-- no -->b<?no no?>c", "abc"),
        ("kept<fn><p>no</p></fn> text<table-wrap><p>no</p></table-wrap>", "kept text"),
    ],
)
def test_inline_elements_are_flat(inner, expected):
    assert flat(inner) == expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (f"shown {cited('[4]')}&#8211;{cited('[7]')}. Next", "shown. Next"),
        (f"shown [{cited('2')}, {cited('3')}], too", "shown, too"),
        (f"shown.<sup>{cited('1')},{cited('2')}</sup> Next", "shown. Next"),
        (f"humans ({cited('Hites 2004')}; {cited('Law et al. 2003')}).", "humans."),
        (f"function (see e.g. Braff et al., {cited('2007')}) and", "function and"),
        (f"as ({cited('van der Berg and O’Neil, 2007')}) say", "as say"),  # noqa: RUF001
        (f"as Smith and Gould ({cited('2007')}) say", "as Smith and Gould say"),
        (f"as {cited('Smith et al. 2007')} say", "as Smith et al. 2007 say"),
        (f"dupilumab (Dupixent {cited('12')}) is", "dupilumab (Dupixent) is"),
        (f"emission (PET; e.g., Friston, {cited('1995')}) is", "emission (PET; e.g., Friston, 1995) is"),
        (f"rose (Fig. {cited('1', 'fig')}A and {cited('Table 2', 'table')}).", "rose."),
        (f"rose (p = 0.02; {cited('Figure 1', 'fig')}).", "rose (p = 0.02; Figure 1)."),
        (f"in {cited('Figure 1', 'fig')} we", "in Figure 1 we"),
        (f"see {cited('Methods', 'sec')}, Eq. ({cited('3', 'disp-formula')})", "see Methods, Eq. (3)"),
        (f"a note{cited('a', 'table-fn')} or {cited('*', 'fn')} two", "a note or two"),
        (f"SD/MLT; {cited('[20]')}) and .05", "SD/MLT) and .05"),
    ],
)
def test_citation_marks_go_and_words_stay(inner, expected):
    assert flat(inner) == expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<m:mfrac><m:mi>a</m:mi><m:mrow><m:mi>b</m:mi><m:mo>+</m:mo><m:mn>1</m:mn></m:mrow></m:mfrac>", "a/(b + 1)"),
        ("<m:msup><m:mi>x</m:mi><m:mn>2</m:mn></m:msup><m:mo>=</m:mo><m:mn>4</m:mn>", "x^2 = 4"),
        ("<m:msubsup><m:mi>S</m:mi><m:mi>i</m:mi><m:mn>2</m:mn></m:msubsup>", "S_i^2"),
        ("<m:msqrt><m:mi>n</m:mi></m:msqrt>", "√(n)"),
        ("<m:mtable><m:mtr><m:mtd><m:mn>1</m:mn></m:mtd><m:mtd><m:mn>2</m:mn></m:mtd></m:mtr></m:mtable>", "1, 2"),
        ("<m:semantics><m:mi>q</m:mi><m:annotation>TeX</m:annotation></m:semantics>", "q"),
    ],
)
def test_mathml_is_written_in_a_line(inner, expected):
    assert flat(f"so<inline-formula><m:math>{inner}</m:math></inline-formula>") == f"so{expected}"


def test_of_several_forms_of_a_formula_one_is_taken():
    tex = r"<tex-math>\documentclass{minimal}\begin{document}$$\hat{x}=1$$\end{document}</tex-math>"
    mathml = "<m:math><m:mi>x</m:mi></m:math>"
    assert flat(f"so <alternatives>{tex}{mathml}<graphic/></alternatives> it is") == "so x it is"
    assert flat(f"so <alternatives><graphic/>{tex}</alternatives> it is") == r"so \hat{x}=1 it is"
    assert flat("so <disp-formula><graphic/></disp-formula> it is") == "so it is"


def test_entities_are_not_fetched(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    doctype = f'<!DOCTYPE p SYSTEM "http://127.0.0.1:9/x.dtd" [<!ENTITY own "OWN"><!ENTITY s SYSTEM "{secret}">]>'
    assert flat("a &alpha; &own; &s; b", doctype) == "a \u03b1 b"


def test_entities_are_not_expanded():
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    start = time.monotonic()
    try:
        found = flat("a &l9; b", f'<!DOCTYPE p [<!ENTITY l0 "ha">{entities}]>')
    except ValueError as fault:  # newer versions of libxml2 refuse such a document
        found = str(fault)
    assert "ha" not in found and time.monotonic() - start < 1


def test_what_is_not_xml_is_a_value_error():
    for body in (b"", b"<p>half", b"\x00\x01", b"<p>&bare;</p>", "<p>ä</p>".encode("latin-1")):
        with pytest.raises(ValueError, match="not well-formed XML"):
            parse_xml(body)


def test_long_hostile_text_takes_no_time():
    start = time.monotonic()
    for hostile in ("( a b" * 4000, "(and " * 4000, "(" * 8000, "(Ab and " * 4000, "(e.g. see also a " * 3000):
        flat(f"{hostile} {cited('1')} {hostile}")
    assert time.monotonic() - start < 5
