"""A browser that listens to a stream."""

from __future__ import annotations

import json
from typing import Any

import httpx

Event = dict[str, Any]


class Listening:
    """An open stream, as a browser reads it. A line that never comes fails after the client's patience."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.lines = answer.iter_lines()
        self.beats = 0
        self.last_id = ""
        retry, first, empty = next(self.lines), next(self.lines), next(self.lines)
        assert retry.startswith("retry: ") and first.startswith("id: ") and empty == ""
        self.last_id = first.removeprefix("id: ")

    def event(self) -> Event:
        """The next event: `kind`, `id`, and what its data say."""
        found: Event = {}
        for line in self.lines:
            name, _, said = line.partition(": ")
            if name == "id":
                found["id"] = self.last_id = said
            elif name == "event":
                found["kind"] = said
            elif name == "data":
                found |= json.loads(said)
            elif line == "" and found:
                return found
        raise AssertionError("the stream ended")

    def ended(self) -> bool:
        """Whether it ends, and says nothing before that."""
        return "".join(self.lines) == ""
