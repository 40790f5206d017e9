"""How the documentation is built: `make docs`."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402 (next to this file)

import lossbench  # noqa: E402

generate.write_pages(HERE / "generated")

project = "lossbench"
author = copyright = "the lossbench contributors"
version = release = lossbench.__version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "generated/parts"]
highlight_language = "none"
python_maximum_signature_line_length = 80
suppress_warnings = ["myst.header"]  # parts of a page that are included begin with ##
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["generated/extra", "_build/extra"]  # the second holds the catalogue of losses
html_title = "lossbench"
ALONE = (
    "index",
    "tutorial",
    "which-loss",
    "questions",
    "protocol",
    "losses",
    "claims",
    "generated/gallery",
)
html_sidebars = {page: [] for page in ALONE}  # they have no pages below them
html_theme_options = {
    "show_prev_next": False,
    "header_links_before_dropdown": 5,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


HOME = (
    '<nav aria-label="Site"><p><a href="../index.html">lossbench</a> › '
    '<a href="../losses.html">Losses</a></p></nav>'
)


STUDY = re.compile(r'href="studies.html#([\w-]+)"')  # which has a page of its own here


class Links(HTMLParser):
    """The places that a page links to, and those in it that can be linked to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.targets.add(value)


def finish(app: Sphinx, error: Exception | None) -> None:
    """Lead back from the catalogue, and warn of each link within the site that leads nowhere."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir).resolve()
    for page in out.glob("catalogue/*.html"):  # which `lossbench show` writes as a site of its own
        text = page.read_text(encoding="utf-8")
        if HOME not in text:
            text = text.replace("<body>", f"<body>\n{HOME}", 1)
            text = STUDY.sub(r'href="../generated/experiments/\1.html"', text)
            page.write_text(text, encoding="utf-8")
    pages = {page: Links(page) for page in out.rglob("*.html") if "_static" not in page.parts}
    for page, links in pages.items():
        for link in sorted(links.targets):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            known = pages[target].anchors if target in pages else {url.fragment}
            if not target.is_file() or (url.fragment and unquote(url.fragment) not in known):
                logging.getLogger(__name__).warning("%s: %s leads nowhere", page.name, link)


def setup(app: Sphinx) -> dict[str, Any]:
    """Finish when all is written."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
