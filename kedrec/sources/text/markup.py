r"""Turns publishers' XML into plain text: a safe parser, and the text of inline elements in one line.

Sub- and superscripts are joined to the text before them (``CO2``, ``Ca2+``); between two numbers ``^`` or ``_`` is
inserted (``10^5``). MathML is written in one line (``a/b``, ``x^2``), other formulas as their TeX; formulas that are
images are dropped. Citation marks, and references to figures and tables alone in brackets, are removed; names that are
part of the sentence ("as Smith et al. showed") remain.
"""

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

_GONE = frozenset(
    """
    fig fig-group table-wrap table-wrap-group table graphic inline-graphic media supplementary-material object-id label
    inline-supplementary-material fn fn-group table-wrap-foot annotation annotation-xml ref-list index-term permissions
    """.split()  # noqa: SIM905
)
_SPACED = frozenset("disp-formula disp-formula-group p title list list-item def-list break hr".split())  # noqa: SIM905
_SIGNS = {  # (MathML element, number of its parts) -> characters between the parts
    ("mfrac", 2): "/",
    ("msub", 2): "_",
    ("munder", 2): "_",
    ("msup", 2): "^",
    ("msubsup", 3): "_^",
    ("munderover", 3): "_^",
}
_RELATION = re.compile(r"[=<>≤≥≈≠≃≅∼±×·⋅→∝∈+−–]|&|:=")  # noqa: RUF001  (mathematics means these)

# A reference is marked by two characters that occur in no text; a letter after the first one says whether it is a
# number, a year, or points to a figure or table.
_OPEN, _SHUT = "\ufdd0", "\ufdd1"
_CITING = {"bibr": "n", "fig": "f", "table": "f", "supplementary-material": "f"}
_NOTES = frozenset(("fn", "table-fn", "aff", "corresp", "author-notes"))
_YEAR = re.compile(r"\W*(?:1[5-9]|20)\d\d[a-z]?\W*")
_MARK = f"{_OPEN}[^{_SHUT}]*{_SHUT}"
_NUMBER = f"{_OPEN}n[^{_SHUT}A-Za-z]*[a-z]?[^{_SHUT}A-Za-z]*{_SHUT}"
_BETWEEN = (
    r"(?:[\s,;:&–—−‐-]|\band\b|\bsee\b|\balso\b|\be\.g\.|\bcf\.|\breviewed in\b|"  # noqa: RUF001
    r"\bFigs?\b\.?|\bFigures?\b|\bTables?\b|\bAdditional files?\b|\b[A-Za-z]\b)*"
)
_NAME = r"(?:[a-z]{1,3} )*[A-ZÀ-Þ][\w’'-]+"  # noqa: RUF001  (a typographic apostrophe is meant)
_NAMED = rf"{_NAME}(?:,? (?:and|&) {_NAME}| et al\.?)?,?\s*{_OPEN}y[^{_SHUT}]*{_SHUT}"
_BRACKETED = re.compile(rf"\s*[(\[]{_BETWEEN}(?:(?:{_MARK}|{_NAMED}){_BETWEEN})+[)\]]")
_NUMBERED = re.compile(rf"\s*{_NUMBER}(?:[\s,;–—−‐-]*{_NUMBER})*")  # noqa: RUF001
_LEFT_OVER = re.compile(r"\s+(?=[,;:]|\.(?:\s|$))|[,;]\s*(?=[)\]])")
_TEX = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)


def parse_xml(body: bytes) -> "etree._Element":
    """Return the root of a document, without comments and processing instructions.

    Entities are not expanded, no DTD is loaded, and nothing is fetched.

    Raises:
        ValueError: the XML is not well-formed.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(body, parser)
    except etree.XMLSyntaxError as fault:
        raise ValueError(f"not well-formed XML: {fault}") from fault


def local_name(element: "etree._Element") -> str:
    """Return the name of an element without its namespace; empty for an entity."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def flat_text(element: "etree._Element | None") -> str:
    """Return the text of an element in one line; empty for ``None``."""
    return "" if element is None else tidy("".join(inline_pieces(element)))


def inline_pieces(element: "etree._Element") -> list[str]:
    """Return the pieces of an element's inner text, for `tidy`, without the text after the element."""
    pieces = [element.text or ""]
    for child in element:
        pieces += (inline_piece(child, "".join(pieces[-3:])), child.tail or "")
    return pieces


def inline_piece(child: "etree._Element", before: str) -> str:
    """Return the text that an inline element contributes to its line.

    Args:
        child: the element.
        before: the end of the line before it.
    """
    name = local_name(child)
    if not name:
        entity = child.text or ""
        return "" if html.unescape(entity) == entity else html.unescape(entity)
    if name in _GONE or (name == "xref" and child.get("ref-type") in _NOTES):
        return ""
    if name in _WRITTEN:
        return _WRITTEN[name](child)
    inner = "".join(inline_pieces(child))
    if name in ("sup", "sub"):
        if before[-1:].isdigit() and re.match(r"\s*[+−–-]?\s*\d", inner):  # noqa: RUF001
            inner = f"{'^' if name == 'sup' else '_'}{inner.strip()}"
    elif name == "xref" and (kind := _CITING.get(child.get("ref-type", ""))):
        inner = f"{_OPEN}{'y' if kind == 'n' and _YEAR.fullmatch(inner) else kind}{inner}{_SHUT}"
    elif name in _SPACED:
        inner = f" {inner} "
    return inner


def tidy(text: str) -> str:
    """Return text in one line with single spaces, without the marks of references."""
    if _OPEN in text:
        text = _BRACKETED.sub("", text)
        text = _NUMBERED.sub("", text)
        text = re.sub(f"{_OPEN}[nyf]|{_SHUT}", "", text)
        text = _LEFT_OVER.sub("", text)
    return " ".join(text.split())


def _best_alternative(element: "etree._Element") -> str:
    """Return the first alternative that has text: MathML, then TeX, then any other."""
    ranked = sorted(element, key=lambda child: {"math": 0, "tex-math": 1}.get(local_name(child), 2))
    return next((text for child in ranked if (text := inline_piece(child, "")).strip()), "")


def _tex(element: "etree._Element") -> str:
    text = "".join(map(str, element.itertext()))
    found = _TEX.search(text)
    return f" {(found[1] if found else text).strip().strip('$').strip()} "


def _math(element: "etree._Element") -> str:
    """Return MathML in one line."""
    name = local_name(element)
    parts = [_math(child) for child in element if local_name(child) not in ("", "annotation", "annotation-xml")]
    if not parts:
        text = " ".join((element.text or "").split())
        return f" {text} " if name == "mo" and _RELATION.fullmatch(text) else text
    if signs := _SIGNS.get((name, len(parts))):
        base, *others = parts
        base = _grouped(base) if name == "mfrac" else base
        return base + "".join(f"{sign}{_grouped(other)}" for sign, other in zip(signs, others, strict=True))
    line = {"mtr": ", ", "mtable": "; "}.get(name, "").join(parts)
    return f"√({line.strip()})" if name == "msqrt" else line


def _grouped(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"[\w.]*", text) else f"({text})"


_WRITTEN = {"math": _math, "tex-math": _tex, "alternatives": _best_alternative}
