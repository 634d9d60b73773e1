"""Applications that share an address."""

from __future__ import annotations

from typing import Any

import pytest

from keepwell.web.shared import Shared


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("names", "path", "whose"),
    [
        (("/v1/", "/"), "/v1/events", "/v1/"), (("/v1/", "/"), "/livez", "/"), (("/", "/v1/"), "/v1/events", "/v1/"),
        (("/v1/",), "/livez", "/v1/"), (("/v1/", "/"), "/v1", "/"),
    ],
)  # fmt: skip
async def test_the_longest_beginning_of_a_path_decides(names: tuple[str, ...], path: str, whose: str) -> None:
    asked: list[str] = []

    def app(name: str) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            asked.append(name)

        return answer

    await Shared({name: app(name) for name in names})({"type": "http", "path": path}, None, None)  # type: ignore[arg-type]  # nobody reads
    assert asked == [whose]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
