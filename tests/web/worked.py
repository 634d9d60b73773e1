"""Work for a service that only notes what became of it."""

from __future__ import annotations

from urllib.request import urlopen

from keepwell.streams.worker.loop import Stop
from keepwell.streams.worker.process import Check


class Worked:
    """Work that notes what became of it, and looks at an address once it runs."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.port = 0

    def run(self, stop: Stop) -> None:
        with urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=10) as answer:
            self.done.append(f"run beside {answer.status}")
        stop.wait(0)

    def drain(self, stop: Stop) -> None:
        self.done.append("drained")

    def live(self) -> Check:
        return Check(True, "")

    def ready(self) -> Check:
        return Check(True, "")

    def silence(self) -> float:
        return 0.0
