"""The simulated clinics reproduce the published rates, each range with its source in `training.simulate.rates`."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from keepwell.care.instruments import KNOWN
from keepwell.contract.events import (
    AppointmentCancelled,
    AppointmentMissed,
    EpisodeEnded,
    EpisodeOpened,
    MeasureCompleted,
    MeasureSkipped,
    RuptureNoted,
    SessionAttended,
)
from tests.training.simulate.worlds import Log, Told
from training.simulate import PRESETS, rates
from training.simulate.course import spread
from training.simulate.hazards import BACK_WITHIN
from training.simulate.intake import roster
from training.simulate.people import DAY

STOPPED = {
    "clinic": rates.STOPPED_CLINIC,
    "community": rates.STOPPED_COMMUNITY,
    "shifted": rates.STOPPED_SHIFTED,
}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_share_that_stops_is_the_published_one(preset: str, logs: dict[str, Log]) -> None:
    assert STOPPED[preset].holds(logs[preset].stop_rate())


@pytest.mark.parametrize("preset", PRESETS)
def test_most_stopping_is_in_the_first_sessions(preset: str, logs: dict[str, Log]) -> None:
    spells = [(told, told.spells[0]) for told in logs[preset].determined if told.stopped]
    early = np.mean([told.sessions(spell.last_attended or 0) <= 4 for told, spell in spells])
    assert rates.STOPPED_BY_SESSION_4.holds(float(early))


@pytest.mark.parametrize("preset", PRESETS)
def test_visits_are_missed_without_notice_as_often_as_published(preset: str, logs: dict[str, Log]) -> None:
    found = _counts(logs[preset])
    by_client = sum(
        isinstance(event, AppointmentCancelled) and event.data.initiator == "client"
        for told in logs[preset].told.values()
        for event in told.events
    )
    missed = found[AppointmentMissed]
    assert rates.NO_SHOW.holds(missed / (missed + found[SessionAttended] + by_client))


def test_alliance_tells_stoppers_apart_by_about_the_published_effect(logs: dict[str, Log]) -> None:
    for preset in ("clinic", "community"):
        stayed, stopped = (
            np.array([score for told in logs[preset].determined if told.stopped is group for score in _srs_at_3(told)])
            for group in (False, True)
        )
        pooled = np.sqrt((stayed.var() * len(stayed) + stopped.var() * len(stopped)) / (len(stayed) + len(stopped)))
        assert rates.ALLIANCE_D.holds((stayed.mean() - stopped.mean()) / pooled)


def test_an_unmet_preference_raises_the_odds_as_published(logs: dict[str, Log]) -> None:
    odds = {}
    for met in (True, False):
        rate = np.mean(
            [told.stopped for told in logs["community"].determined if _opening(told).data.preference_met is met]
        )
        odds[met] = rate / (1 - rate)
    assert rates.PREFERENCE_OR.holds(float(odds[False] / odds[True]))


def test_the_srs_has_its_published_mean_and_a_ceiling(logs: dict[str, Log]) -> None:
    totals = np.array([e.data.scores["total"] for told in logs["clinic"].told.values() for e in _measures(told, "SRS")])
    assert rates.SRS_MEAN.holds(float(totals.mean()))
    assert np.mean(totals >= 39.5) > 0.05


def test_much_of_the_gain_comes_in_the_first_sessions(logs: dict[str, Log]) -> None:
    early, late = [], []
    for told in logs["clinic"].told.values():
        gains = _gains(told)
        if 3 in gains and 9 in gains:
            early.append(gains[3])
            late.append(gains[9])
    assert rates.EARLY_SHARE.holds(float(np.mean(early) / np.mean(late)))


def test_withdrawal_is_the_more_frequent_rupture(logs: dict[str, Log]) -> None:
    kinds = Counter(
        event.data.kind
        for told in logs["clinic"].told.values()
        for event in told.events
        if isinstance(event, RuptureNoted)
    )
    assert rates.WITHDRAWAL_SHARE.holds(kinds["withdrawal"] / kinds.total())


def test_questionnaires_are_not_skipped_at_random(logs: dict[str, Log]) -> None:
    """Skipping is more frequent in the first session after a visit was missed."""
    after: dict[bool, list[bool]] = {False: [], True: []}
    for told in logs["clinic"].told.values():
        missed = False
        for event in told.events:
            if isinstance(event, AppointmentMissed):
                missed = True
            elif isinstance(event, SessionAttended):
                missed = False
            elif (
                isinstance(event, MeasureCompleted | MeasureSkipped)
                and event.data.instrument in PRESETS["clinic"].outcomes
            ):
                after[missed].append(isinstance(event, MeasureSkipped))
    assert np.mean(after[True]) > 1.15 * np.mean(after[False])


@pytest.mark.parametrize("preset", ["clinic", "community"])
def test_clinicians_differ_as_published(preset: str) -> None:
    world = PRESETS[preset]
    assert rates.CLINICIAN_SD.holds(spread(world))
    effects = roster(world, 20_000, np.random.default_rng(1)).effects
    assert effects.std() == pytest.approx(spread(world), rel=0.08)


def test_every_kind_of_ending_occurs_and_some_are_undetermined(logs: dict[str, Log]) -> None:
    for log in logs.values():
        endings = Counter(told.spells[0].ending for told in log.told.values())
        expected = {"dropout", "improved_leaver", "planned", "improved", "transferred", "administrative", "other", None}
        assert expected <= set(endings)
        assert any(len(told.spells) > 1 for told in log.told.values()), "nobody returned"


def test_nobody_who_comes_back_in_time_is_declared_a_stopper() -> None:
    """Else the generator's stops would not be those of unilateral-stop@1, and its risks not the true ones."""
    assert BACK_WITHIN < 30 * DAY


def test_episodes_closed_as_stopped_are_stops(logs: dict[str, Log]) -> None:
    for told in logs["community"].told.values():
        for event in told.events:
            if isinstance(event, EpisodeEnded) and event.data.reason == "client_stopped" and not event.data.mutual:
                assert told.stopped


def _counts(log: Log) -> Counter[type]:
    return Counter(type(event) for told in log.told.values() for event in told.events)


def _opening(told: Told) -> EpisodeOpened:
    first = told.events[0]
    assert isinstance(first, EpisodeOpened)
    return first


def _measures(told: Told, *names: str) -> list[MeasureCompleted]:
    return [e for e in told.events if isinstance(e, MeasureCompleted) and e.data.instrument in names]


def _srs_at_3(told: Told) -> list[float]:
    """The SRS total of the third session, if it was filled in."""
    sessions = 0
    for event in told.events:
        sessions += isinstance(event, SessionAttended)
        if isinstance(event, MeasureCompleted) and event.data.instrument == "SRS" and sessions == 3:
            return [event.data.scores["total"]]
    return []


def _gains(told: Told) -> dict[int, float]:
    """By sessions before it, the gain since the first score in reliable changes."""
    gains: dict[int, float] = {}
    first, sessions = None, 0
    for event in told.events:
        sessions += isinstance(event, SessionAttended)
        if isinstance(event, MeasureCompleted) and KNOWN[event.data.instrument].kind == "outcome":
            instrument, score = KNOWN[event.data.instrument], event.data.scores["total"]
            first = score if first is None else first
            gains[sessions] = instrument.gain(first, score) / instrument.reliable_change
    return gains
