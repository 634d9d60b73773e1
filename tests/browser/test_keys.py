"""The list by keys: to the search, from row to row, and an answer with the focus kept in its row."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.clinic import WholeClinic
from tests.browser.conftest import Opening


def test_slash_goes_to_the_search_and_the_keys_are_letters_there(opening: Opening) -> None:
    page = opening("clinician")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("j/k")
    expect(page.locator("#q")).to_have_value("j/k")


def test_j_and_k_go_from_row_to_row_and_stay_at_the_ends(clinic: WholeClinic, opening: Opening) -> None:
    page, episodes = opening("clinician"), clinic.episodes()
    link = page.locator("[data-episode] h3 a")
    for press, place in (
        ("j", 0),
        ("j", 1),
        ("k", 0),
        ("k", 0),
        *[("j", 1)],
        *[("j", n) for n in range(2, len(episodes))],
    ):
        page.keyboard.press(press)
        expect(link.nth(place)).to_be_focused()
    page.keyboard.press("j")
    expect(link.last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{clinic.url}/episodes/{episodes[-1]}")


def test_an_answer_by_keys_keeps_the_focus_in_its_row_and_is_announced(clinic: WholeClinic, opening: Opening) -> None:
    page = opening("clinician")
    matter = page.locator("[data-alert]").first
    matter.locator(".quick button").first.focus()
    page.keyboard.press("Enter")
    expect(matter.locator(".answered")).to_be_focused()
    episode = matter.locator("xpath=ancestor::*[@data-episode]").get_attribute("data-episode") or ""
    expect(page.get_by_role("status")).to_contain_text(episode.partition("/")[2])
    page.keyboard.press("Tab")
    expect(matter.locator("form.back button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(matter.locator(".quick")).to_be_visible()
    expect(matter).to_be_focused()
    clinic.settle()


def test_a_second_click_does_not_double_an_answer(clinic: WholeClinic, opening: Opening) -> None:
    page = opening("clinician")
    matter = page.locator("[data-alert]").first
    episode = matter.locator("xpath=ancestor::*[@data-episode]").get_attribute("data-episode")
    matter.locator(".quick button").first.dblclick()
    expect(matter.locator(".answered")).to_be_visible()
    clinic.settle()
    page.reload()
    page.goto(f"/episodes/{episode}")
    mine = page.locator("#why-now .answered")
    expect(mine).to_have_count(1)
    mine.locator("form.back button").click()
    clinic.settle()
