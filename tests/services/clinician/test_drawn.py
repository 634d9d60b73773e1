"""A piece is drawn once for as long as it is asked for, and what nobody asks for is let go of."""

from __future__ import annotations

import pytest

from services.clinician import drawn
from services.clinician.drawn import LIFE, Drawn


class _Drawings:
    """Draws by name, and counts how often."""

    def __init__(self) -> None:
        self.at = 0.0
        self.count = 0
        self.kept = Drawn[str](lambda: self.at)

    def draw(self, name: str) -> str:
        def anew() -> str:
            self.count += 1
            return f"drawn {name}"

        return self.kept.get(name, anew)


def test_what_is_asked_for_again_is_drawn_once() -> None:
    drawings = _Drawings()
    assert [drawings.draw(name) for name in ("a", "b", "a", "a")] == ["drawn a", "drawn b", "drawn a", "drawn a"]
    assert drawings.count == 2


def test_what_nobody_asks_for_is_gone_after_twice_its_life_and_what_is_asked_for_stays() -> None:
    drawings = _Drawings()
    drawings.draw("rare")
    for _ in range(4):
        drawings.draw("often")
        drawings.at += LIFE.total_seconds() * 0.9
    drawings.draw("often")
    assert drawings.count == 2
    drawings.draw("rare")
    assert drawings.count == 3, "it was let go of"
    drawings.at += 2 * LIFE.total_seconds()
    drawings.draw("new")
    assert len(drawings.kept) == 1, "after a long silence nothing is left"


def test_no_more_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "MOST", 3)
    drawings = _Drawings()
    for number in range(20):
        drawings.draw(str(number))
        assert len(drawings.kept) <= 6
    assert drawings.draw("19") == "drawn 19" and drawings.count == 20
