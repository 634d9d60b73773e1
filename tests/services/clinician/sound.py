"""Pages as their elements, and what holds of every one of them."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from typing import Final

VOID: Final = frozenset(("br", "circle", "input", "line", "link", "meta", "polyline", "rect"))
BLOCKS: Final = frozenset(
    ("div", "dl", "fieldset", "figure", "form", "h1", "h2", "h3", "h4", "ol", "p", "section", "table", "ul")
)


class Page(HTMLParser):
    """A page as its elements with their attributes and ancestors, and its text. Wrong nesting is an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.words: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        assert not (tag in BLOCKS and "p" in self._open), f"{tag} in a paragraph"
        assert not (tag == "form" and "form" in self._open), "a form in a form"
        assert not (tag in ("a", "button") and {"a", "button"} & set(self._open)), f"{tag} in what can be pressed"
        self.elements.append((tag, {name: value or "" for name, value in attrs}, tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append((self._open[-1] if self._open else "", data.strip()))

    @property
    def text(self) -> str:
        """All that is read."""
        return " ".join(" ".join(words for _, words in self.words).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of each element of a kind that has these."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [found for name, found, _ in self.elements if name == tag and wanted.items() <= found.items()]

    def having(self, attribute: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [found[attribute] for _, found, _ in self.elements if attribute in found]


def sound(html: str, *, whole: bool = True) -> Page:
    """A page that has passed what holds of every page."""
    page = Page(html)
    ids = Counter(page.having("id"))
    assert [name for name, times in ids.items() if times > 1] == []
    for name, found, _ in page.elements:
        assert not [each for each in found if each == "style" or each.startswith("on")], (name, found)
        assert name != "style"
        assert name != "script" or found.get("src", "").startswith("/static/")
        for refers in ("for", "aria-labelledby", "aria-describedby"):
            assert set(found.get(refers, "").split()) <= set(ids), (name, found)
    assert [words for name, words in page.words if name == "script"] == []
    assert all(re.fullmatch(r"[A-Za-z][\w.-]*", name) for name in ids), ids
    labelled = set(page.having("for"))
    for field in (*page.all("input"), *page.all("select")):
        assert field.get("type") == "hidden" or field["id"] in labelled, field
    for wrong in ("Said(", "None", "{", "}", "  "):
        assert wrong not in page.text, wrong
    if whole:
        levels = [int(name[1]) for name, _, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
        assert levels.count(1) == 1 and levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels)), levels
        assert len(page.all("main")) == 1 and len(page.all("header")) >= 1
        assert page.all("div", role="status", aria_live="polite")
    for svg in page.all("svg"):
        assert svg["role"] == "img" and len(svg["aria-labelledby"].split()) == 2
    return page
