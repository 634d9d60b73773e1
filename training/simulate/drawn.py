"""Worlds whose mechanism itself is drawn: clinics that share a family of effects, each with its own around it.

What is drawn, from what, stands in `drawn.toml`. A clinic is a `World` of its own, so that whatever lives or foresees one
clinic, with the presets' code, lives and foresees a drawn one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np

from keepwell.contract.words import PILLARS
from training.simulate.course import Roster
from training.simulate.intake import arrive, normal
from training.simulate.life import CUT, Lives
from training.simulate.people import tables
from training.simulate.presets import OpeningEffects, Process, Seasons, Twists, Voices, World
from training.simulate.standing import KEPT
from training.simulate.tell import Mute
from training.simulate.voices import SIGNALS

A_CLINIC: Final = 400
"""Episodes of a clinic, on average; ours."""
PILOT_CLINICS: Final = 4
PILOT: Final = 600
"""Clinics of a pilot, at most, and their episodes together, by which a world's base rate is set; ours."""
PILOT_VISITS: Final = 24
"""Of each person of a pilot: few stop after more, and few have them; ours."""
PILOTS: Final = 3
"""Pilots, each with the base rate that the one before it suggests; ours."""
SLOPE: Final = 0.75
"""How much the logit of the share that stops moves with those of not coming back, about; found by trying."""
NEVER: Final = -30.0
"""Logit of what does not happen."""
PROTECT: Final = frozenset(("positive", "met", "reply", "changed_by_request"))
"""Signals whose effect lowers strain."""


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a number is drawn from."""

    low: float
    high: float
    source: str
    scale: Literal["log", "even"] = "log"
    zero: float = 0.0
    """How often it is 0."""

    def draw(self, rng: np.random.Generator) -> float:
        """A value; two draws of `rng` whatever comes of it."""
        zero, u = rng.random(2)
        if zero < self.zero:
            return 0.0
        if self.scale == "even":
            return float(self.low + u * (self.high - self.low))
        return float(self.low * (self.high / self.low) ** u)


class Concept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a release fitted to drawn worlds must at least make of something that the contract tells."""

    direction: Literal["raises", "lowers"]
    least: float
    """Log-odds of stopping within 30 days, alone in a quiet course."""
    drawn: str
    """Table and name of the range of its effect."""
    of: str = ""


Ranges = dict[str, Range]
Shares = dict[str, float]


class DrawnRanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`drawn.toml`."""

    own: Ranges
    process: Ranges
    intake: Ranges
    signals: Ranges
    more: Ranges
    twists: Ranges
    seasons: Ranges
    base: Ranges
    clinic: Ranges
    shares: Shares
    recorded: Shares
    outcomes: Shares
    plans: dict[str, Shares]
    concepts: dict[str, Concept]


RANGES: Final = msgspec.toml.decode(Path(__file__).with_name("drawn.toml").read_bytes(), type=DrawnRanges)


class Clinic(NamedTuple):
    """One clinic of a drawn world."""

    name: str
    world: World
    staff: Roster
    episodes: int


def draw(seed: int, episodes: int) -> list[Clinic]:
    """The clinics of the world of a seed, with so many episodes among them."""
    rng = np.random.default_rng([seed, 0x6472])
    group, own = _group(rng), RANGES.own["effects"].draw(rng)
    stopped, pilots = RANGES.base["stopped"].draw(rng), int(rng.integers(2**32))
    number = max(1, round(episodes / A_CLINIC))
    shares = rng.uniform(0.6, 1.4, number)
    bounds = np.rint(episodes * np.cumsum(shares) / shares.sum()).astype(int)
    shifts = group.clinic_sd * normal(number, rng) if number > 1 else np.zeros(1)
    worlds = _with_base_rate([_clinic(group, own, float(shift), rng) for shift in shifts], stopped, pilots)
    clinics = []
    for place, (first, last) in enumerate(zip((0, *bounds[:-1]), bounds, strict=True)):
        clinicians = round(RANGES.clinic["clinicians"].draw(rng))
        staff = Roster(worlds[place].clinician_sd * normal(clinicians, rng), clinicians)
        clinics.append(Clinic(f"sim-drawn-{seed}-{place + 1}", worlds[place], staff, int(last - first)))
    return clinics


def _all(ranges: Mapping[str, Range], rng: np.random.Generator) -> dict[str, float]:
    return {name: found.draw(rng) for name, found in ranges.items()}


def _group(rng: np.random.Generator) -> World:
    """What the clinics of a world share."""
    base, process, more = _all(RANGES.base, rng), _all(RANGES.process, rng), _all(RANGES.more, rng)
    process["repaired"] *= -1
    twists, seasons = _all(RANGES.twists, rng), _all(RANGES.seasons, rng)
    twists["fall_early"] = min(twists["fall_early"], process["fall"])
    del seasons["weekdays"]
    days = [RANGES.seasons["weekdays"].draw(rng) for _ in range(5)]
    usual = World("drawn")
    good, late = base["good_time"], base["late_notice"]
    mandate = base["mandate"]
    return replace(
        usual,
        lost_first=base["lost_first"], lost=base["lost"], stay_away_first=usual.stay_away + base["first"],
        early=tuple(base["early"] * step for step in usual.early), on_lost=base["on_lost"],
        on_stay_away=base["on_stay_away"], given_up=base["given_up"], none_booked=base["none_booked"],
        kinds=(good, late, 1 - good - late), kind_logits=tuple(base["kind_logits"] * one for one in usual.kind_logits),
        called=base["called"], reached=base["reached"],
        intake=OpeningEffects(**_all(RANGES.intake, rng)),
        process=Process(**process, negative=0.0, wish=0.0, handover=0.0),
        clinician_sd=base["clinician_sd"], clinic_sd=base["clinic_sd"], lead=base["lead"], unmet=base["unmet"],
        referral={"self": 0.45 - mandate / 2, "primary_care": 0.4 - mandate / 2, "specialist": 0.15,
                  "employer": 0.4 * mandate, "court": 0.6 * mandate},
        alliance_mean=base["alliance_mean"], rupture=base["rupture"], confrontations=base["confrontations"],
        early_step=base["early_step"], late_step=base["late_step"], cloglog=bool(rng.random() < 0.5),
        homework_falling=more["homework_falling"], signals=_signals(rng), fading=bool(rng.random() < 0.5),
        twists=Twists(**twists), seasons=Seasons(weekdays=(days[0], days[1], days[2], days[3], days[4]), **seasons),
    )  # fmt: skip


def _signals(rng: np.random.Generator) -> tuple[float, ...]:
    found = _all(RANGES.signals, rng)
    for pillar, own in zip(PILLARS, rng.normal(0, found["own"], len(PILLARS)), strict=True):
        found[f"negative_{pillar}"] = found["negative"] * float(np.exp(own))
    return tuple(-found[name] if name in PROTECT else found[name] for name in SIGNALS)


def _voices(found: Mapping[str, float]) -> Voices:
    return Voices(
        feedback=found["feedback"], strained_feedback=found["strained_feedback"], negative=found["negative"],
        positive=found["positive"], wishing=found["wishing"], met=found["wishes_met"], complaint=found["complaint"],
        reply=found["reply"], stand_in=found["stand_in"], moved_by_clinic=found["moved_by_clinic"],
        repair=found["repair"],
    )  # fmt: skip


# ── one clinic of the group ─────────────────────────────────────────────────────────────────────────────────


def _clinic(group: World, own: float, shift: float, rng: np.random.Generator) -> World:
    """The group's effects, each times the clinic's own factor; its own base rate; its own habits."""
    has = {name: bool(rng.random() < share) for name, share in RANGES.shares.items()}
    found = _all(RANGES.clinic, rng)
    wai = has["wai"]
    alliance = "WAI-SR" if wai else "SRS"
    plan = _plan(RANGES.plans[alliance], rng)
    outcome, outcome_plan = _one(RANGES.outcomes, rng), _plan(RANGES.plans["outcome"], rng)
    recorded = _one(RANGES.recorded, rng)
    process, intake = _scaled(group.process, own, rng), _scaled(group.intake, own, rng)
    unrecorded = has["unrecorded"] and not has["standing"]
    ahead = has["ahead"] and has["standing"]
    if ahead:
        found["moved_by_clinic"] = 0.0
    others = 1 - found["in_person"]
    return replace(
        group,
        # An effect of what a clinic does not record is one that no log shows: it has none.
        process=process if has["arrival"] else replace(process, late=0.0),
        intake=replace(
            intake, preference_unmet=intake.preference_unmet * has["preference_told"],
            previous=intake.previous * has["previous_told"],
        ),
        signals=tuple(float(one) for one in np.array(group.signals) * np.exp(rng.normal(0, own, len(SIGNALS)))),
        lost=group.lost + shift / 2, lost_first=group.lost_first + shift / 2, stay_away=group.stay_away + shift,
        stay_away_first=group.stay_away_first + shift, clinic_sd=0.0,
        # Where visits stand ahead, nobody leaves with none, and the clinic cancels rather than moves onto the next one.
        ahead=int(rng.integers(2, KEPT + 1)) * ahead, none_booked=NEVER if ahead else group.none_booked,
        standing=(has["standing"],), late=(has["late"] and not ahead,), outcomes=(outcome,),
        outcome_plan=outcome_plan if has["outcome"] else (0, 0), alliance=alliance,
        alliance_plan=plan if has["alliance"] else (0, 0),
        notes_after=float(rng.integers(30, 226)) if has["notes_late"] else 0.0,
        entered=(0.065, 0.095) if has["notes_late"] else group.entered,
        gap=(found["gap_from"], found["gap_from"] + found["gap_days"]) if has["summer_gap"] else None,
        unrecorded=unrecorded, missed_at=None if recorded == "soon" or has["standing"] else float(recorded),
        arrival=has["arrival"], preference_told=has["preference_told"], previous_told=has["previous_told"],
        wait_mean=found["wait_mean"], longest_wait=70.0, planned_mean=found["planned_mean"],
        planned_sd=found["planned_mean"] / 4, planned_known=found["planned_known"], skipping=found["skipping"],
        skip_on_strain=found["skip_on_strain"], not_offered=found["not_offered"], by_clinician=found["by_clinician"],
        homework_share=found["homework_share"], voices=_voices(found), clinic_cancels=found["clinic_cancels"],
        moved=found["moved"], handover_chance=found["handover_chance"],
        off_rhythm=(found["a_week_later"], found["days_off"]), fortnightly=found["fortnightly"],
        modality={"in_person": found["in_person"], "video": 0.6 * others, "phone": 0.25 * others, "group": 0.15 * others},
        returning=found["returning"], closed=found["closed"],
    )  # fmt: skip


Effects = TypeVar("Effects", Process, OpeningEffects)


def _scaled(effects: Effects, own: float, rng: np.random.Generator) -> Effects:
    values: dict[str, Any] = msgspec.to_builtins(effects)
    factors = np.exp(rng.normal(0, own, len(values))).tolist()
    return replace(effects, **{name: value * by for (name, value), by in zip(values.items(), factors, strict=True)})


def _one(shares: Shares, rng: np.random.Generator) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[rng.choice(len(weights), p=weights / weights.sum())]


def _plan(shares: Shares, rng: np.random.Generator) -> tuple[int, int]:
    first, every = _one(shares, rng).split(",")
    return int(first), int(every)


# ── the base rate ───────────────────────────────────────────────────────────────────────────────────────────


def _with_base_rate(worlds: list[World], stopped: float, seed: int) -> list[World]:
    """The worlds with the logits of not coming back moved, by the same in all, until about the share `stopped` stops."""
    asked = [worlds[place] for place in np.unique(np.linspace(0, len(worlds) - 1, PILOT_CLINICS).round().astype(int))]
    total = 0.0
    for _ in range(PILOTS):
        rng = np.random.default_rng(seed)  # the same people each time
        found = float(np.mean([_stopped(_moved(world, total), PILOT // len(asked), rng) for world in asked]))
        total += float(np.clip((_logit(stopped) - _logit(found)) / SLOPE, -2.0, 2.0))
    return [_moved(world, total) for world in worlds]


def _moved(world: World, by: float) -> World:
    return replace(world, stay_away=world.stay_away + by, stay_away_first=world.stay_away_first + by)


def _stopped(world: World, episodes: int, rng: np.random.Generator) -> float:
    """The share that stops of a pilot's people in one clinic."""
    instruments = tables(world)
    staff = Roster(world.clinician_sd * normal(episodes, rng), episodes)
    people, arrivals = arrive(world, staff, episodes, rng)
    lives = Lives(
        people, arrivals, world, tables=instruments, staff=staff, teller=Mute(world, instruments, CUT, 0),
        rng=np.random.default_rng(int(rng.integers(2**32))),
    )  # fmt: skip
    lives.run(PILOT_VISITS)
    return float(np.clip(lives.stopped.mean(), 0.01, 0.99))


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))
