"""The simulated worlds: every number that drives one, in one table, with its source or `ours`.

Effects are on the logit scale of two chances at a visit: that it is lost, and that the person does not come back after a
lost one. Their product is the stop hazard, so a coefficient that acts on both counts about one and a half times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final


@dataclass(frozen=True)
class OpeningEffects:
    """Effects of what is known at the opening on strain (logit)."""

    preference_unmet: float = 0.6
    """Swift et al. 2018: odds 1.79 = .58."""
    previous: float = 0.2
    """An earlier episode, up to three; ours."""
    mandated: float = 0.5
    """Sent by a court or an employer; ours."""
    remote: float = 0.25
    """By video or phone; ours."""
    group: float = 0.4
    """Ours."""
    week_waited: float = 0.1
    """A week to the first visit beyond the usual, until it takes place; ours, direction as Reitzel et al. 2006, Psychol
    Serv 3:83."""


@dataclass(frozen=True)
class Process:
    """Effects of what the log shows of the work on strain (logit)."""

    level: float = 0.45
    """1.2 points of 10 of the last alliance rating below its usual mean (SD between persons); Sharf 2010: d = .55 in all."""
    fall: float = 0.28
    """A point of 10 below the person's own course; ours, as d = .55 needs both."""
    bond_fall: float = 0.12
    """The same for the bond alone; ours."""
    gain: float = 0.35
    """A reliable change better than at first; Lambert 2005: those who gain early stay."""
    skip: float = 0.25
    """A questionnaire skipped in a row, up to four; ours."""
    homework: float = 0.6
    """All of the last homework left undone against all done; ours."""
    negative: float = 0.55
    """Negative feedback in the last 60 days; ours."""
    wish: float = 0.35
    """An open wish to change something; ours."""
    withdrawal: float = 0.45
    """A withdrawal rupture that was noted and is not repaired; ours."""
    confrontation: float = 0.25
    """The same for a confrontation; ours."""
    repaired: float = -0.3
    """The last repair went well; Eubanks et al. 2018: a repaired rupture predicts better than none."""
    handover: float = 0.45
    """The clinician changed in the last 60 days; ours."""
    late: float = 0.2
    """Ten minutes late last time, up to twenty; ours."""
    missed_share: float = 1.6
    """Share of visits missed, up to a half; ours, past attendance being the strongest sign of future attendance."""
    row: float = 0.35
    """A visit lost in a row, up to three; ours."""
    clinic_cancelled: float = 0.12
    """A visit that the clinic called off, up to three; ours."""


@dataclass(frozen=True)
class Twists:
    """Where effects are not a plain sum: thresholds and interactions on strain, all off unless a world is drawn (logit)."""

    fall_from: float = 0.0
    """Points of 10 that the alliance may fall before the fall counts."""
    fall_early: float = 0.0
    """A point of fall more, up to the third session."""
    row_fallen: float = 0.0
    """A visit lost in a row more, where the alliance fell by a point or more."""
    gain_recovered: float = 0.0
    """What a reliable change less protects, once recovered."""
    level_late: float = 0.0
    """What the alliance level weighs more or less for every four sessions, up to twelve."""


@dataclass(frozen=True)
class Seasons:
    """Effects of the hour and the day of a visit on losing it (logit), all off unless a world is drawn."""

    weekdays: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """Monday to Friday."""
    early: float = 0.0
    """Before ten o'clock."""
    late: float = 0.0
    """From five o'clock in the afternoon on."""
    winter: float = 0.0
    """At the turn of the year against midsummer: half of the difference."""
    spring: float = 0.0
    """The same at the end of March against that of September."""


@dataclass(frozen=True)
class Voices:
    """How often clients and clinics do, a session, what `training.simulate.voices` remembers; shares."""

    feedback: float
    """Given at a session whatever the course."""
    strained_feedback: float
    """More of it where the alliance fell or a rupture is open."""
    negative: float
    """Share of it that is negative, in quiet courses."""
    positive: float
    wishing: float
    """Share of negative feedback that asks for a change; half as many of the neutral."""
    met: float
    """Chance a session that an open wish is met."""
    complaint: float
    reply: float
    """The client writes or calls after the session."""
    stand_in: float
    moved_by_clinic: float
    """Share of the visits that a clinic puts off which it moves rather than cancels."""
    repair: float
    """Repairs tried with no rupture in sight."""


@dataclass(frozen=True)
class World:
    """A world. Chances are per visit or session, logits where named so; times in days."""

    name: str
    lost_first: float = -1.5
    """Logit of losing the first visit, at no strain."""
    lost: float = -1.65
    """Logit of losing a later visit."""
    stay_away_first: float = -2.3
    """Logit of not coming back after losing the first visit."""
    stay_away: float = -4.28
    """Logit of not coming back after losing a later one, late in the course."""
    early: tuple[float, ...] = (0.0, 1.25, 1.0, 0.75, 0.45, 0.25, 0.1)
    """What is added to `stay_away` after so many sessions; Barrett et al. 2008: most stop in the first sessions."""
    on_lost: float = 0.45
    """How strongly strain acts on losing a visit."""
    on_stay_away: float = 0.6
    """How strongly it acts on not coming back."""
    given_up: float = 0.8
    """What each visit lost in a row beyond two adds to not coming back: people and clinics give up; ours."""
    none_booked: float = -2.5
    """Logit that nothing is booked at the end of a session."""
    kinds: tuple[float, float, float] = (0.22, 0.2, 0.58)
    """Lost visits: cancelled in good time, cancelled late, missed without notice."""
    kind_logits: tuple[float, ...] = (-0.5, 0.25, 0.05, -0.75, 0.5, 0.3)
    """What each way of losing a visit adds to not coming back: early and late cancellation; missed and not called, called and
    reached, called and not reached; nothing booked."""
    called: float = 0.6
    reached: float = 0.5
    intake: OpeningEffects = OpeningEffects()
    process: Process = Process()
    clinician_sd: float = 0.47
    """Logit; .45 to .69 (rates.CLINICIAN_SD)."""
    clinic_sd: float = 0.1
    """Logit; part of what comes with a clinician; ours."""
    lead: float = 0.3
    """Effect of the log of weeks to the visit on losing it; lead time is the best known predictor of no-shows; ours."""
    clinic_cancels: float = 0.02
    moved: float = 0.05
    standing: tuple[bool, ...] = (False, True, False, False, True)
    """By clinic, in turn: whether a lost visit leaves the next ones in the calendar (`standing`); ours."""
    late: tuple[bool, ...] = (False, False, True, False, True)
    """By clinic, in turn: whether the next visit is entered some time after the session, not as the client leaves; ours."""
    rhythm: tuple[float, float] = (7.0, 14.0)
    fortnightly: float = 0.15
    wait_mean: float = 9.0
    """Mean days from the opening to the first visit, beyond two."""
    unmet: float = 0.25
    """Share whose preference is not met."""
    referral: Mapping[str, float] = field(
        default_factory=lambda: {"self": 0.4, "primary_care": 0.35, "specialist": 0.15, "employer": 0.05, "court": 0.05}
    )
    modality: Mapping[str, float] = field(
        default_factory=lambda: {"in_person": 0.62, "video": 0.24, "phone": 0.08, "group": 0.06}
    )
    outcomes: tuple[str, ...] = ("ORS", "PHQ-9", "ORS", "CORE-10")
    """Outcome instrument by clinic, in turn."""
    alliance_mean: float = 8.7
    """Mean alliance rating of 10 (rates.SRS_MEAN)."""
    rupture: float = 0.08
    """Chance of a rupture a session; Muran et al. 2009, Psychotherapy 46:233: 37 % of clients in the first six sessions."""
    confrontations: float = 0.3
    """Share of ruptures; Eubanks et al. 2018."""
    skipping: float = -2.7
    """Logit of skipping a questionnaire; skips are not at random, see `session`."""
    early_step: float = 0.24
    late_step: float = 0.07
    """Mean gain a session up to the third and after, in reliable changes (rates.EARLY_SHARE)."""
    planned_mean: float = 11.0
    """Mean of the planned number of sessions; most evidence-based courses are 8 to 16."""
    other_endings: tuple[float, float, float, float] = (0.006, 0.004, 0.004, 0.0003)
    """Chance a session: transferred, administrative, stopped by mutual agreement, deceased; ours."""
    handover_chance: float = 0.008
    returning: float = 0.12
    """Share of those who stopped that come back later; ours."""
    closed: float = 0.35
    """Share of those who stopped whose clinic closes the episode; ours."""
    fair_pathways: bool = False
    """Whether the fairness attributes act on measured things (wait, preference, modality)."""

    # Off but in worlds whose mechanism is drawn (`drawn`).
    cloglog: bool = False
    """Whether chances follow the complementary log-log of the sums, not the logit."""
    homework_falling: float = 0.0
    """Homework done less than the time before, each time in a row up to three (logit of strain)."""
    signals: tuple[float, ...] = ()
    """Effects on strain (logit) of what `training.simulate.voices` remembers, in its order; none: nothing is remembered."""
    fading: bool = False
    """Whether those effects fade evenly over 120 days, not hold for 60."""
    twists: Twists | None = None
    seasons: Seasons | None = None
    voices: Voices | None = None
    longest_wait: float = 42.0
    """Days from the opening to the first visit."""
    planned_sd: float = 4.0
    planned_known: float = 0.75
    """Share whose number of sessions is planned."""
    off_rhythm: tuple[float, float] = (0.08, 0.08)
    """Shares of visits booked a week later than usual, and up to three days off."""
    gap: tuple[float, float] | None = None
    """Days of the year between which the clinic is closed for the summer: visits due then are booked for the days after."""
    alliance: str | None = None
    """The alliance instrument, or None for the SRS with the WAI-SR now and then."""
    alliance_plan: tuple[int, int] = (1, 1)
    """The first session with it, and every how many after; (0, 0): never."""
    outcome_plan: tuple[int, int] = (1, 1)
    """The same of the outcome instrument."""
    by_clinician: float = 0.0
    """Share of sessions after which the clinician rates the alliance too."""
    not_offered: float = 0.04
    """Share of questionnaires not offered."""
    skip_on_strain: float = 1.0
    """How much of the skipping comes from strain and from skipping before: 0 none, 1 as in the presets."""
    homework_share: float = 0.65
    """Sessions at which homework is agreed."""
    notes_after: float = 0.0
    """Minutes after the session until its notes are entered."""
    missed_at: float | None = None
    """Hour at which a missed visit is recorded (24 and more: on the next day); None: by a robot, soon after the start."""
    unrecorded: bool = False
    """Whether a missed visit about which nobody calls is never recorded."""
    arrival: bool = True
    """Whether the minute of arrival is recorded."""
    preference_told: bool = True
    previous_told: bool = True
    entered: tuple[float, float] = (0.01, 0.09)
    """Shares of the time up to a visit between which a clinic that is late enters it: before any notice could come; ours."""
    ahead: int = 0
    """Visits entered ahead of the next one, where hours are kept."""


CLINIC: Final = World("clinic")
COMMUNITY: Final = replace(
    CLINIC, name="community", lost_first=-1.35, lost=-1.68, stay_away_first=-1.85, stay_away=-3.56, wait_mean=13.0,
    unmet=0.35,
    referral={"self": 0.25, "primary_care": 0.4, "specialist": 0.15, "employer": 0.03, "court": 0.17},
    modality={"in_person": 0.55, "video": 0.2, "phone": 0.17, "group": 0.08}, outcomes=("PHQ-9", "ORS", "PHQ-9"),
    alliance_mean=8.5, skipping=-2.2, planned_mean=12.0, rupture=0.1,
)  # fmt: skip
SHIFTED: Final = replace(
    CLINIC, name="shifted", lost_first=-1.3, lost=-1.3, stay_away_first=-1.9, stay_away=-3.85,
    early=(0.0, 0.7, 0.7, 0.6, 0.5, 0.4, 0.3), kinds=(0.38, 0.2, 0.42), fortnightly=0.5, clinician_sd=0.5, wait_mean=16.0,
    outcomes=("GAD-7", "OQ-45"), alliance_mean=9.0, skipping=-1.6, rupture=0.06, fair_pathways=True,
    process=Process(
        level=0.2, fall=0.2, bond_fall=0.05, gain=0.6, skip=0.08, homework=1.0, negative=0.3, wish=0.6, withdrawal=0.2,
        confrontation=0.6, handover=0.8, late=0.35, missed_share=2.4, row=0.2, clinic_cancelled=0.3,
    ),
)  # fmt: skip

PRESETS: Final[Mapping[str, World]] = {world.name: world for world in (CLINIC, COMMUNITY, SHIFTED)}
