"""Every page that there is, as the door's rules find it: axe, the policy, valid HTML, a phone, the keyboard, and paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Page

from services.clinician.people.who import Role
from tests.browser.clinic import LookedAt, WholeClinic
from tests.browser.conftest import Opening
from tests.browser.tools import axe_source, wrong_html

STOPS_OF_A_DATE: Final = 4
"""A field of a date is several stops of Tab: its parts, and the calendar."""
A_PAGE: Final = re.compile(rb"/Type\s*/Page\b(?!s)")
PHONE: Final = {"width": 390, "height": 844}
VIOLATIONS: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""
OPENED: Final = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
AXE: Final = """async () => {
  const levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, { runOnly: levels, resultTypes: ["violations"] });
  const places = (one) => one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ");
  return found.violations.map((one) => `${one.id}: ${places(one)}`);
}"""
TOO_WIDE: Final = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > width + 1 && !one.closest(".wide > *"))
    .slice(0, 3).map((one) => one.outerHTML.slice(0, 160));
}"""
CONTROLS: Final = """() => {
  const found = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.type !== "hidden");
  found.forEach((one, number) => { one.dataset.control = number; });
  return found.map((one) => one.outerHTML.slice(0, 120));
}"""
FOCUSED: Final = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.right > 0;
  return [one.dataset.control ?? null, shown];
}"""


@pytest.fixture(scope="module")
def there(clinic: WholeClinic) -> list[LookedAt]:
    """All pages, once for each role that they look different to."""
    found = clinic.pages()
    assert {None, "clinician", "supervisor"} <= {page.role for page in found}
    assert {"/login", "/"} <= {page.path for page in found}
    return found


def looked_over(
    opening: Opening, pages: list[LookedAt], look: Callable[[Page], list[str]],
    *, scripts: tuple[str, ...] = (), begin: Callable[[Page], object] = str, **options: Any,
) -> dict[str, list[str]]:  # fmt: skip
    """What `look` finds, by page; pages without a finding are left out. `begin` is for each role, before it looks."""
    found, opened = {}, {}
    for one in pages:
        if one.role not in opened:
            opened[one.role] = opening(one.role, one.path, scripts, **options)
            begin(opened[one.role])
        page = opened[one.role]
        page.goto(one.path)
        if wrong := look(page):
            found[str(one)] = wrong
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    opening: Opening, there: list[LookedAt], theme: Literal["light", "dark"]
) -> None:
    def look(page: Page) -> list[str]:
        page.evaluate(OPENED)
        found: list[str] = page.evaluate(AXE)
        return found

    wrong = looked_over(opening, there, look, scripts=(axe_source(),), color_scheme=theme, reduced_motion="reduce")
    assert wrong == {}


def test_axe_finds_nothing_after_an_answer(clinic: WholeClinic, opening: Opening) -> None:
    page = opening("clinician", "/", (axe_source(),))
    matter = page.locator("[data-alert]").first
    matter.locator(".quick button").first.click()
    matter.locator(".answered").wait_for()
    page.evaluate(OPENED)
    assert page.evaluate(AXE) == []
    matter.locator("form.back button").click()
    matter.locator(".quick").wait_for()
    clinic.settle()


def test_no_page_breaks_the_policy_or_tells_the_console(opening: Opening, there: list[LookedAt]) -> None:
    told: list[str] = []

    def listen(page: Page) -> None:
        page.on("console", lambda one: told.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: told.append(str(error)))

    def look(page: Page) -> list[str]:
        page.evaluate(OPENED)
        found: list[str] = [*page.evaluate("window.violations"), *told]
        told.clear()
        return found

    assert looked_over(opening, there, look, scripts=(VIOLATIONS,), begin=listen) == {}


def test_every_page_is_valid_html(there: list[LookedAt], tmp_path: Path) -> None:
    assert wrong_html({str(page): page.text for page in there}, tmp_path) == {}


def test_a_page_that_is_not_there_says_so_in_valid_html_without_a_violation(opening: Opening, tmp_path: Path) -> None:
    page = opening("clinician", "/episodes/north/nobody-at-all", (axe_source(),))
    assert page.locator("main h1").count() == 1
    assert page.evaluate(AXE) == []
    text = page.request.get("/episodes/north/nobody-at-all").text()
    assert wrong_html({"not there": text}, tmp_path) == {}


def test_no_page_scrolls_sideways_on_a_phone(opening: Opening, there: list[LookedAt]) -> None:
    def look(page: Page) -> list[str]:
        page.evaluate(OPENED)
        found: list[str] = page.evaluate(TOO_WIDE)
        return found

    assert looked_over(opening, there, look, viewport=PHONE, has_touch=True, is_mobile=True) == {}


def test_tab_reaches_every_control_with_the_focus_to_be_seen(opening: Opening, there: list[LookedAt]) -> None:
    def alone(page: Page) -> None:
        """No row is renewed meanwhile."""
        page.route("**/api/v1/stream", lambda route: route.abort())

    def look(page: Page) -> list[str]:
        controls: list[str] = page.evaluate(CONTROLS)
        dates = sum('type="date"' in text for text in controls)
        seen: dict[int, bool] = {}
        for _ in range(len(controls) + 2 + STOPS_OF_A_DATE * dates):
            page.keyboard.press("Tab")
            if (found := page.evaluate(FOCUSED)) is None:
                continue
            number, shown = found
            if number is not None:
                seen[int(number)] = seen.get(int(number), False) or shown
        unseen = [f"no focus to be seen: {controls[number]}" for number, shown in seen.items() if not shown]
        return unseen + [f"not reached: {text}" for number, text in enumerate(controls) if number not in seen]

    by_kind: dict[tuple[Role | None, str], LookedAt] = {}
    for one in there:  # a client's page for one client is enough
        by_kind.setdefault((one.role, re.sub(r"/north/[^/?]+", "/north/…", one.path)), one)
    assert looked_over(opening, list(by_kind.values()), look, begin=alone) == {}


def test_the_together_view_prints_on_one_page_and_without_what_is_for_the_screen(
    clinic: WholeClinic, opening: Opening
) -> None:
    page, pages = opening("clinician"), {}
    for episode in clinic.episodes():
        page.goto(f"/episodes/{episode}/together")
        pages[episode] = len(A_PAGE.findall(page.pdf(prefer_css_page_size=True)))
    assert set(pages.values()) == {1}, pages
    page.emulate_media(media="print")
    assert not page.locator("nav, form").filter(visible=True).count()
