"""Rendering templates to a self-contained HTML file."""

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from markupsafe import Markup

_KIT = "kedrec.commands.html"
_LONGEST = 71  # characters of an id, without the hyphen and eight characters of a checksum
_CITATION = re.compile(r"\[(\d+)\]")


def render(template: str, *, package: str = _KIT, **context: Any) -> str:
    """Return the page of a template.

    Values of the context are text and are escaped. Only `markupsafe.Markup`, such as a figure of
    `kedrec.commands.html.svg_figures`, is inserted unchanged. A name that the context lacks is an error.

    Args:
        template: name of a file in the package's folder ``templates``, which may extend ``base.html`` and import
            ``macros.html`` of the kit.
        package: dotted name of the package with the templates.
        context: values of the template. ``base.html`` needs ``title``, and has blocks ``head``, ``contents`` and
            ``main``.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    folders = [PackageLoader(name) for name in dict.fromkeys((package, _KIT))]
    environment = Environment(
        loader=ChoiceLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"web_link": web_link, "anchor": anchor, "citations": citations}
    return environment.get_template(template).render(**context)


def web_link(url: str | None) -> str:
    """Return a link if it is absolute and http or https; else an empty string."""
    if not url:
        return ""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    return url.strip() if parts.scheme in ("http", "https") and parts.netloc else ""


def anchor(text: str) -> str:
    """Return a text as an HTML id or a part of a file name: at most 80 letters, digits and hyphens.

    The id of a text that is too long, or has other characters, ends in a checksum, so that ids stay unique.

    >>> anchor("LLaDR: Hits@10, sample")
    'lladr-hits-10-sample'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if text.isascii() and len(plain) <= _LONGEST:
        return plain or "x"
    return f"{plain[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")


def citations(text: str, prefix: str, shown: int) -> "Markup":
    """Return a rationale, escaped, with each ``[n]`` of a passage shown as a link to ``#PREFIX-n``.

    Args:
        text: the rationale.
        prefix: of the ids of the passages, as the macro `passage` gives them.
        shown: number of passages; larger numbers stay text.
    """
    from markupsafe import Markup, escape

    parts: list[Markup] = []
    end = 0
    for found in _CITATION.finditer(text):
        number = int(found[1])
        if 1 <= number <= shown:
            parts += [
                escape(text[end : found.start()]),
                Markup('<a href="#{}-{}">[{}]</a>').format(prefix, number, number),
            ]
            end = found.end()
    return Markup("").join([*parts, escape(text[end:])])
