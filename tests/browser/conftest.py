"""A browser for each file of tests, a clinic for each process, and pages as a user of a role opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from services.clinician.people.who import Role
from tests.browser.clinic import WholeClinic
from tests.browser.tools import running_chromium

HERE = Path(__file__).parent
MOST_MS = 20_000
"""What a page may take on a busy machine until it shows what is expected of it."""
Opening = Callable[..., Page]
"""Opens a page in a context of its own: a role (None: nobody), a path, and options of the context."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def clinic_on_files() -> Iterator[WholeClinic]:
    with WholeClinic() as lived:
        yield lived


@pytest.fixture(scope="module")
def clinic(clinic_on_files: WholeClinic) -> WholeClinic:
    return clinic_on_files


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For a file alone, as the loop of Playwright's sync API runs in the thread of the tests while it is open."""
    expect.set_options(timeout=MOST_MS)
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def opening(clinic: WholeClinic, chromium: Browser) -> Iterator[Opening]:
    with ExitStack() as opened:

        def opening(role: Role | None, path: str = "/", scripts: tuple[str, ...] = (), **options: Any) -> Page:
            context = chromium.new_context(base_url=clinic.url, **options)
            opened.callback(context.close)
            context.set_default_timeout(MOST_MS)
            if role is not None:
                context.add_cookies(
                    [{"name": name, "value": value, "url": clinic.url} for name, value in clinic.cookies(role).items()]
                )
            for script in scripts:  # before the page's own, and past its policy
                context.add_init_script(script)
            page = context.new_page()
            page.goto(path)
            return page

        yield opening
