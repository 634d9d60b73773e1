"""What became of alerts: every answer in force counts, once; what may yet be answered, and small cells, do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keepwell.care.instruments import Instruments
from keepwell.contract.events import Actioned, AlertActioned, EventRetracted, Retracted, encode, micros
from training.dataset.replay import Told
from training.monitor.acceptance import ALL, Given, Shown, acceptance, answers, decoded

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOW = micros(START + timedelta(days=60))


def shown(number: int, kind: str = "risk", status: str = "raised", day: float = 0) -> Shown:
    return Shown(f"al-{number}", f"north/ep-{number}", kind, status, START + timedelta(days=day))


def given(number: int, action: str = "acknowledged", hours: float = 5, helpful: bool | None = None) -> Given:
    return Given(f"al-{number}", micros(START + timedelta(hours=hours)), action, helpful)  # type: ignore[arg-type]  # any word


def counted(records: list[Shown], answered: list[Given]) -> dict[str, object]:
    found = acceptance(records, answered, {}, since=micros(START), until=NOW, now=NOW)
    return {one.kind: one for one in found.kinds}


def test_answers_are_counted_by_alert_and_by_answer() -> None:
    records = [shown(n) for n in range(80)]
    answered = [
        *(given(n, hours=4) for n in range(40)),
        *(given(n, "repair_planned", hours=9, helpful=True) for n in range(20)),
        *(given(n, "repair_planned", hours=10, helpful=True) for n in range(20)),
        *(given(n, "dismissed", hours=30, helpful=False) for n in range(40, 60)),
        given(999),
    ]
    found = acceptance(records, answered, {}, since=micros(START), until=NOW, now=NOW)
    every = found.kinds[0]
    assert (every.kind, every.alerts, every.answered) == (ALL, 80, 0.75)
    assert every.by_answer == {"acknowledged": 0.5, "dismissed": 0.25, "repair_planned": 0.25}
    assert every.hours == pytest.approx((4, 4, 30)) and (every.helpful, every.rated) == (0.5, 40)
    assert found.recent == found.unplaced == 0


def test_an_alert_counts_when_it_was_first_shown_and_once() -> None:
    records = [shown(n) for n in range(50)] + [shown(n, status="escalated", day=9) for n in range(50)]
    found = acceptance(
        records, [given(n, hours=6) for n in range(50)], {}, since=micros(START), until=NOW, now=NOW
    ).kinds[0]
    assert found.alerts == 50 and found.hours == (6, 6, 6)


def test_alerts_that_may_yet_be_answered_and_those_outside_the_window_are_left_out() -> None:
    records = [shown(n) for n in range(60)]
    records += [shown(n, day=55) for n in range(60, 70)] + [shown(n, day=-1) for n in range(70, 90)]
    records += [shown(n, status="resolved", day=5) for n in range(90, 93)]
    found = acceptance(records, [], {}, since=micros(START), until=NOW, now=NOW)
    assert (found.kinds[0].alerts, found.recent, found.unplaced) == (60, 10, 3)
    assert found.kinds[0].answered == 0 and found.kinds[0].hours is None


def test_alerts_about_few_clients_are_not_shown_not_even_how_many() -> None:
    records = [shown(n) for n in range(60)] + [shown(n, "rupture") for n in range(60, 109)]
    found = {
        one.kind: one for one in acceptance(records, [given(70)], {}, since=micros(START), until=NOW, now=NOW).kinds
    }
    assert found["rupture"].gap == "alerts about fewer than 50 clients: not shown"
    assert found["rupture"].alerts == 0 and found["rupture"].answered is None and found["risk"].gap is None
    same = {f"north/ep-{n}": f"north/cl-{n // 2}" for n in range(60)}
    assert acceptance(records[:60], [], same, since=micros(START), until=NOW, now=NOW).kinds[0].gap is not None


def test_without_alerts_nothing_is_told() -> None:
    found = acceptance([], [given(1)], {}, since=micros(START), until=NOW, now=NOW)
    assert found.kinds == () and "no alert was shown" in (found.gap or "")


def test_an_answer_that_was_taken_back_or_corrected_is_none() -> None:
    def answer(name: str, action: str, corrects: str | None = None) -> AlertActioned:
        return AlertActioned(
            specversion="1.0", id=name, source="/north/page", subject="ep-1", time=START, corrects=corrects,
            data=Actioned(alert_id=f"al-{name[-1]}", action=action, by="c-1"),  # type: ignore[arg-type]  # any word
        )  # fmt: skip

    taken_back = EventRetracted(
        specversion="1.0", id="r", source="/north/page", subject="ep-1", time=START, data=Retracted(event_id="a1")
    )
    events = [answer("a1", "dismissed"), answer("a2", "dismissed"), answer("b2", "acknowledged", "a2"), taken_back]
    told = Told("north/ep-1", range(4), [encode(event) for event in events])
    assert [(each.alert_id, each.action) for each in answers([told], Instruments())] == [("al-2", "acknowledged")]


def test_what_is_no_alert_is_refused() -> None:
    with pytest.raises(ValueError, match="alert_id"):
        decoded([b'{"episode": "north/ep-1"}'])
