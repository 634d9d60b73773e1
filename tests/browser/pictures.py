"""The pictures of the README, taken of the real pages over a made-up clinic: `python -m tests.browser.pictures [FOLDER]`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
from playwright.sync_api import Browser

from services.clinician.people.who import Role
from tests.browser.clinic import WholeClinic
from tests.browser.tools import running_chromium

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
LARGEST: Final = 150_000
"""Bytes of a picture, so that the README comes fast."""
DESK: Final = {"width": 1120, "height": 900}
PHONE: Final = {"width": 390, "height": 844}


class Picture(NamedTuple):
    """What is looked at. `episode`: a place for one in the path is taken by the client with a strain."""

    name: str
    path: str
    role: Role = "clinician"
    viewport: dict[str, int] = DESK
    theme: str = "light"


PICTURES: Final = (
    Picture("today", "/"),
    Picture("client", "/episodes/{episode}"),
    Picture("together", "/episodes/{episode}/together"),
    Picture("supervision", "/supervision", role="supervisor"),
    Picture("phone", "/", viewport=PHONE),
    Picture("dark", "/episodes/{episode}", theme="dark"),
)


def take(clinic: WholeClinic, browser: Browser, folder: Path) -> list[Path]:
    """Takes every picture whose page there is; returns the files. Raises `ValueError` for one that is too large."""
    folder.mkdir(parents=True, exist_ok=True)
    strained = clinic.matters("rupture") or clinic.matters()
    files = []
    for picture in PICTURES:
        options: dict[str, Any] = {"viewport": picture.viewport, "color_scheme": picture.theme}
        context = browser.new_context(base_url=clinic.url, **options)
        cookies = clinic.cookies(picture.role)
        context.add_cookies([{"name": name, "value": value, "url": clinic.url} for name, value in cookies.items()])
        page = context.new_page()
        answer = page.goto(picture.path.format(episode=strained[0]))
        if answer is not None and answer.ok:
            file = folder / f"{picture.name}.png"
            size = len(page.screenshot(path=file, animations="disabled", caret="hide"))
            if size > LARGEST:
                raise ValueError(f"{file} has {size} bytes, more than {LARGEST}")
            files.append(file)
        context.close()
    return files


def strain(clinic: WholeClinic) -> None:
    """Lets strains be noticed, in two clients with a course that there is something to see of."""
    rated = sorted(clinic.episodes(), key=lambda episode: -clinic.sessions(episode))[:2]
    for episode, pillar in zip(rated, ("tasks", "bond"), strict=True):
        clinic.tell(episode.partition("/")[2], "rupture.noted", kind="withdrawal", pillar=pillar)
    clinic.settle()


def main(folder: Path = FOLDER) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with WholeClinic(episodes=40) as clinic, running_chromium() as browser:
        strain(clinic)
        for file in take(clinic, browser, folder):
            print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
