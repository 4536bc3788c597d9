"""Figures as inline SVG, with text as text, and with the colours of the page in light, dark and print."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholder colours for matplotlib; the SVG has the variables of the page instead.
INK, SOFT, LINE, PAPER = "#000001", "#000002", "#000003", "#000004"
SERIES = ("#000011", "#000012", "#000013", "#000014", "#000015", "#000016")
MARKERS = ("o", "s", "^", "D", "v", "X")
STROKES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.5)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "----")
_VARIABLES = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)},
}
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 11.0,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 10.0,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.color": PAPER,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
}


@contextmanager
def drawing(width: float = 5.2, height: float = 3.2) -> Iterator[tuple["Figure", "Axes"]]:
    """Give a figure and its axes in the style of the pages, to be drawn on and passed to `as_svg` within the block.

    Args:
        width: inches of 72 units; a figure is shown at most 464 CSS pixels wide, and shrinks with the page.
        height: inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots()


def as_svg(figure: "Figure", name: str, title: str, description: str) -> "Markup":
    """Return a drawn figure as an SVG element for a page.

    Args:
        figure: of `drawing`.
        name: begins the ids in it; another for each figure of a page, letters, digits and hyphens.
        title: what the figure is, in a few words; read out in place of the picture.
        description: what it shows; read out after the title.
    """
    import matplotlib as mpl
    from lxml import etree
    from markupsafe import Markup

    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    root = etree.fromstring(drawn.getvalue().encode(), parser)
    # Its rule for all elements would be one for the whole page; base.css has it.
    for unwanted in [*root.iter(f"{{{_SVG}}}metadata"), *root.iter(f"{{{_SVG}}}style")]:
        unwanted.getparent().remove(unwanted)
    for element in root.iter(f"{{{_SVG}}}*"):
        _prefix(element, name)
        _dress(element)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, "")
    for row, (kind, text) in enumerate((("title", title), ("desc", description))):
        told = etree.Element(f"{{{_SVG}}}{kind}", id=f"{name}-{kind}")
        told.text = text
        told.tail = "\n"
        root.insert(row, told)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    return Markup(etree.tostring(root, encoding="unicode"))


def _prefix(element: Any, name: str) -> None:
    """Make an element's id, and what it refers to, those of this figure."""
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.get('id')}")
    if element.get(_HREF, "").startswith("#"):
        element.set(_HREF, f"#{name}-{element.get(_HREF)[1:]}")
    for attribute in ("clip-path", "style", "fill"):
        if "url(#" in element.get(attribute, ""):
            element.set(attribute, element.get(attribute).replace("url(#", f"url(#{name}-"))


def _dress(element: Any) -> None:
    """Give an element the page's colours and letters."""
    for attribute in ("style", "fill"):
        if attribute in element.attrib:
            style = re.sub(r"font-family: [^;]*;? ?", "", element.get(attribute))
            element.set(attribute, re.sub(r"#0000[01]\d", lambda found: _VARIABLES[found[0]], style))
