"""The pictures of the README, taken of the real pages over a made-up clinic: `python -m tests.browser.pictures [FOLDER]`."""

from __future__ import annotations

import logging
import struct
import sys
import zlib
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
EPISODES: Final = 40
SEED: Final = 1
"""Of a clinic with strains, a risk that rose, and courses of which there is something to see."""
DESK: Final = {"width": 1120, "height": 820}
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
    strained = max(clinic.matters("rupture"), key=clinic.sessions)
    files = []
    for picture in PICTURES:
        options: dict[str, Any] = {"viewport": picture.viewport, "color_scheme": picture.theme}
        context = browser.new_context(base_url=clinic.url, **options)
        cookies = clinic.cookies(picture.role)
        context.add_cookies([{"name": name, "value": value, "url": clinic.url} for name, value in cookies.items()])
        page = context.new_page()
        answer = page.goto(picture.path.format(episode=strained))
        if answer is not None and answer.ok:
            file = folder / f"{picture.name}.png"
            content = packed(page.screenshot(animations="disabled", caret="hide"))
            if len(content) > LARGEST:
                raise ValueError(f"{file} would have {len(content)} bytes, more than {LARGEST}")
            file.write_bytes(content)
            files.append(file)
        context.close()
    return files


def packed(png: bytes) -> bytes:
    """The same picture in fewer bytes: the browser packs for speed."""
    parts, pixels, at = [png[:8]], b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        whole, at = png[at : at + length + 12], at + length + 12
        if whole[4:8] == b"IDAT":
            pixels += whole[8:-4]
            continue
        if whole[4:8] == b"IEND":
            body = b"IDAT" + zlib.compress(zlib.decompress(pixels), 9)
            parts.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
        parts.append(whole)
    return b"".join(parts)


def main(folder: Path = FOLDER) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with WholeClinic(EPISODES, SEED) as clinic, running_chromium() as browser:
        for file in take(clinic, browser, folder):
            print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
