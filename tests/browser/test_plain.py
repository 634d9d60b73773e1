"""Without JavaScript everything goes on by plain forms: in, an answer, out."""

from __future__ import annotations

from playwright.sync_api import expect

from keepwell.contract.events import AlertActioned
from tests.browser.clinic import PASSWORD, WholeClinic
from tests.browser.conftest import Opening


def test_without_javascript_one_comes_in_answers_and_goes_out(clinic: WholeClinic, opening: Opening) -> None:
    page = opening(None, "/", java_script_enabled=False)
    expect(page).to_have_url(f"{clinic.url}/login")
    page.fill("[name=username]", "clinician")
    page.fill("[name=password]", "not this one")
    page.click("main button")
    expect(page.get_by_role("alert")).to_be_visible()
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    expect(page).to_have_url(f"{clinic.url}/")

    episode = clinic.matters()[0]
    matter = page.locator(f"[data-episode='{episode}'] [data-alert]").first
    matter.locator(".quick button").first.click()
    expect(page).to_have_url(f"{clinic.url}/")
    expect(matter.locator(".answered")).to_be_visible()
    clinic.settle()
    assert any(isinstance(event, AlertActioned) for event in clinic.accepted(episode.partition("/")[2]))
    page.goto(f"/episodes/{episode}")
    page.locator("#why-now form.back button").first.click()
    expect(page.locator("#why-now .quick").first).to_be_visible()
    clinic.settle()

    page.locator("form.out button").click()
    expect(page).to_have_url(f"{clinic.url}/login")
    page.goto(f"/episodes/{episode}")
    expect(page).to_have_url(f"{clinic.url}/login")
