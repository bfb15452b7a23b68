"""Folium maps as one file that opens without any network, the same bytes every time.

Folium links its scripts and styles from a CDN; here they are written into the page from the vendored npm packages, and a
page that would still load anything from elsewhere is refused.
"""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from itertools import count
from pathlib import Path

import folium
from branca.element import Element, Figure
from folium.elements import JSCSSMixin

from gridsvc.errors import GridsvcError

VENDOR = Path(__file__).parent / "vendor"
_CSS_URL = re.compile(r"url\(\s*(['\"]?)(?!data:|#)([^)'\"]+)\1\s*\)")
_CSS_LOAD = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"]?)(?!data:|#)([^)'\"\s;]+)", re.IGNORECASE)
_LOADING = {
    "script": ("src",), "link": ("href",), "img": ("src", "srcset"), "iframe": ("src",), "source": ("src", "srcset"),
    "video": ("src", "poster"), "audio": ("src",), "object": ("data",), "embed": ("src",), "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"), "input": ("src",), "track": ("src",), "base": ("href",),
}  # fmt: skip


def vendored_text(relative: str) -> str:
    """Return a vendored text file, e.g. ``leaflet/leaflet.js``.

    Raises
    ------
    GridsvcError
        When set-up has not copied it.
    """
    path = VENDOR / relative
    if not path.is_file():
        raise GridsvcError(
            f"The front-end file {relative} is missing.", hint="Run ./run setup, which copies it from its npm package."
        )
    return path.read_text(encoding="utf-8")


def leaflet_css() -> str:
    """Return Leaflet's style with its images inside."""

    def inside(match: re.Match[str]) -> str:
        name = match.group(2)
        if not name.endswith(".png"):
            return "none"  # a VML behaviour of browsers long gone
        content = (VENDOR / "leaflet" / name).read_bytes()
        return f"url(data:image/png;base64,{base64.b64encode(content).decode('ascii')})"

    return _CSS_URL.sub(inside, vendored_text("leaflet/leaflet.css"))


def leaflet_js() -> str:
    """Return Leaflet's script without its pointer to a source map that is not there."""
    return re.sub(r"//# sourceMappingURL=\S+", "", vendored_text("leaflet/leaflet.js"))


def render_offline(made: folium.Map, *, styles: list[str], scripts: list[str]) -> str:
    """Return the page of a folium map with Leaflet, ``styles`` and ``scripts`` written into its head.

    Parameters
    ----------
    made
        A map without tiles. Whatever folium would link for it is left out, so layers that need more than Leaflet must
        bring their scripts along.

    Raises
    ------
    GridsvcError
        When the page would load anything from outside itself.
    """
    figure = made.get_root()
    assert isinstance(figure, Figure)
    _name_in_order(figure)
    for element in _elements(figure):
        if isinstance(element, JSCSSMixin):
            element.default_js, element.default_css = [], []
    head = "".join(f"<style>{_no_end_tag(css, 'style')}</style>\n" for css in [leaflet_css(), *styles])
    head += "".join(f"<script>{_no_end_tag(code, 'script')}</script>\n" for code in [leaflet_js(), *scripts])
    figure.header.add_child(Element("{% raw %}" + head + "{% endraw %}"), name="inline")
    page = figure.render()
    outside = external_resources(page)
    if outside:
        raise GridsvcError(
            f"The map would load {len(outside)} files from elsewhere: {', '.join(outside[:5])}.",
            hint="Vendor them through frontend/package.json and write them into the page.",
            resources=outside,
        )
    return page


def _elements(root: Element) -> list[Element]:
    found = [root]
    for child in root._children.values():
        found += _elements(child)
    if isinstance(root, Figure):
        for part in (root.header, root.html, root.script):
            found += [e for e in _elements(part) if e not in found]
    return found


def _name_in_order(root: Figure) -> None:
    """Give every element a number in place of the random id folium made: the same map is the same bytes."""
    numbers = count(1)
    for element in _elements(root):
        element._id = f"{next(numbers):04d}"


def _no_end_tag(content: str, tag: str) -> str:
    return content.replace(f"</{tag}", f"<\\/{tag}")


def external_resources(page: str) -> list[str]:
    """Return what a page would load when opened, apart from itself: addresses in order of appearance, none twice.

    Links to click on do not count, ``data:`` addresses and fragments neither.
    """
    reader = _ResourceReader()
    reader.feed(page)
    return list(dict.fromkeys(reader.found))


class _ResourceReader(HTMLParser):
    """Collects addresses from loading attributes and from styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            if name == "style":
                self.found += _CSS_LOAD.findall(value or "")
            elif name in _LOADING.get(tag, ()) and value and not value.startswith(("data:", "#")):
                self.found.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += _CSS_LOAD.findall(data)
