"""What every page shares: nothing unescaped, the one style that its policy allows, drawings that are also told in words."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from jinja2 import Environment, UndefinedError

from keepwell.web.drawings import Axis, Bar, Chart, DrawnSeries, Forest, Stairs
from keepwell.web.pages import environment

SERIES = (
    DrawnSeries("as it was", "a", ((0.1, 0.12), (0.4, 0.3)), dots=True, spans=((0.4, 0.2, 0.45),)),
    DrawnSeries("as <it> should be", "b", ((0, 0), (1, 1))),
)
CHART = Chart("calibration", "Told & done", SERIES, Axis(0, 1, "told"), Axis(0, 1, "done"))
STAIRS = Stairs("feature", "missed visits", (1.0, 2.0), (-0.5, 0.25, 1.0), 0.1, 1.0)
FOREST = Forest(
    [Bar("all", 0.7, 0.6, 0.8, "0.70"), Bar("few", None, None, None, "–", "too few")], 0.4, 1.0, 0.5, "AUROC", "chance"
)
PAGE = """{% extends "web/report.html" %}{% from "web/svg.html" import chart, forest, stairs %}
{% block main %}{{ chart(drawn) }}{{ stairs(steps) }}{{ forest(bars) }}{% endblock %}"""


class Read(HTMLParser):
    """The elements of a page with their attributes, and the text of each kind of element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.text.setdefault(self._open[-1], []).append(data)


@pytest.fixture(scope="module")
def pages() -> Environment:
    return environment("training.evaluate", {})


@pytest.fixture(scope="module")
def drawn(pages: Environment) -> str:
    return pages.from_string(PAGE).render(title="A & B", drawn=CHART, steps=STAIRS, bars=FOREST)


def test_every_value_is_escaped_on_a_page_and_in_words_as_it_is(pages: Environment) -> None:
    told = "<script>alert('x')</script>"
    page = pages.from_string('{% extends "web/report.html" %}').render(title=told)
    assert told not in page and page.count("&lt;script&gt;") == 2
    assert pages.autoescape is not True and callable(pages.autoescape)
    assert [pages.autoescape(name) for name in ("report.html", None, "words.txt", "card.md")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_value_that_nobody_gives_is_an_error(pages: Environment) -> None:
    with pytest.raises(UndefinedError):
        pages.from_string("{{ forgotten }}").render()


def test_a_page_of_one_file_allows_its_own_style_and_nothing_else(drawn: str) -> None:
    (style,) = re.findall(r"<style>(.*)</style>", drawn, re.S)
    found = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [values["content"] for tag, values in Read(drawn).elements if values.get("http-equiv") is not None]
    assert policies == [f"default-src 'none'; style-src 'sha256-{found}'"]
    assert not [values for _, values in Read(drawn).elements if "style" in values]  # such a policy would not apply it
    assert not re.search(r"https?://|<script|<link|@import|url\(", drawn)


def test_a_drawing_has_a_title_a_description_and_its_figures_in_a_table(drawn: str) -> None:
    read = Read(drawn)
    ids = {values["id"] for _, values in read.elements if "id" in values}
    images = [values for tag, values in read.elements if tag == "svg" and values.get("role") == "img"]
    assert [values["aria-labelledby"] for values in images] == [
        "calibration-title calibration-desc", "feature-title feature-desc"
    ]  # fmt: skip
    assert ids == {"calibration-title", "calibration-desc", "feature-title", "feature-desc"}
    assert {"Told & done", "missed visits"} <= set(read.text["title"]) and len(read.text["desc"]) == 2
    text = re.sub(r"<[^>]+>", "|", unescape(drawn))
    for row in (
        "as it was||0.1||0.12", "as it was||0.4||0.3 (0.2 to 0.45)", "below 1||-0.500", "1 to below 2||+0.250",
        "2 or more||+1.000", "missing||+0.100",
    ):  # fmt: skip
        assert row in text, row


def test_a_figure_that_could_not_be_had_is_a_gap_in_its_row(drawn: str) -> None:
    assert '<th scope="row">few</th><td class="track">\n<em class="gap">too few</em>' in drawn


def test_what_lies_beyond_an_end_of_a_scale_is_drawn_at_that_end() -> None:
    assert [FOREST.at(value) for value in (0.1, 0.4, 0.7, 1.0, 3.0)] == pytest.approx([0, 0, 50, 100, 100])


def test_a_chart_lies_between_its_axes_from_the_left_and_from_below() -> None:
    assert (CHART.x(0), CHART.x(1)) == (CHART.LEFT, CHART.right)
    assert (CHART.y(0), CHART.y(1)) == (CHART.bottom, CHART.TOP)
