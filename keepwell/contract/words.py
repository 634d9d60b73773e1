"""Every vocabulary of the contract, once: its words as a Literal, and what each of them says to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, get_args

# ── the words ───────────────────────────────────────────────────────────────────────────────────────────

Modality = Literal["in_person", "video", "phone", "text", "group"]
Purpose = Literal["intake", "treatment", "review", "assessment", "administrative"]
Initiator = Literal["client", "clinician", "clinic"]
Rater = Literal["client", "clinician", "observer"]
Referral = Literal["self", "primary_care", "specialist", "court", "employer", "other"]
AlliancePillar = Literal["goals", "tasks", "bond"]
Pillar = Literal["goals", "tasks", "bond", "trust", "empathy", "consistency", "culture", "pace", "logistics"]
CancelReason = Literal[
    "illness", "work", "family", "travel", "cost", "weather", "technical", "hospital", "custody", "other", "unknown"
]
MissReason = Literal[
    "no_show", "illness", "work", "family", "travel", "cost", "weather", "technical", "hospital", "custody", "moved",
    "other", "unknown",
]  # fmt: skip
SkipReason = Literal["declined", "not_offered", "technical", "unknown"]
Sentiment = Literal["negative", "neutral", "positive"]
WantedChange = Literal["none", "approach", "clinician", "format"]
RuptureKind = Literal["withdrawal", "confrontation"]
RepairOutcome = Literal["better", "same", "worse", "unknown"]
Direction = Literal["inbound", "outbound"]
Channel = Literal["phone", "text", "email", "letter", "portal", "in_person"]
ContactPurpose = Literal["outreach", "reminder", "reply", "complaint", "other"]
HandoverReason = Literal["client_request", "absence", "service", "other"]
EndReason = Literal["planned", "improved", "client_stopped", "transferred", "administrative", "deceased", "other"]
Action = Literal[
    "acknowledged", "snoozed", "dismissed", "repair_planned", "outreach_planned", "approach_changed",
    "transfer_offered", "ending_planned",
]  # fmt: skip
DismissReason = Literal[
    "already_talked", "ended_well", "client_chose_to_stop", "not_applicable", "wrong_moment", "disagree", "data_wrong"
]
Via = Literal["page", "api", "card", "email"]
InstrumentKind = Literal["outcome", "alliance"]
Role = Literal["champion", "shadow", "none"]

Theme = Literal[Pillar, "alliance", "attendance", "progress", "homework", "feedback", "silence", "context"]
"""What a reason of a score is about: a pillar, or what is none (`pillar` in CONTRACT section 3)."""
Unit = Literal[
    "-1 to 1", "-1/0/1", "0/1", "changes", "contacts", "day of the week", "days", "episodes", "hour of the day",
    "hours", "log-odds", "measures", "minutes", "points of 10", "ratings", "reliable changes", "returns",
    "reviews", "ruptures", "sessions", "sessions a week", "share", "stage", "standard errors", "tasks",
    "times the usual interval", "visits", "weeks",
]  # fmt: skip
"""What the value of a feature is told in. Words for people already."""
Horizon = Literal["14d", "30d", "60d"]
State = Literal["open", "stopped", "ended"]
AlertKind = Literal["risk", "rupture", "silence", "safety", "ending"]
AlertStatus = Literal["raised", "escalated", "resolved"]
ResolvedBecause = Literal["risk_fell", "repaired", "returned", "ended", "snoozed_out"]

RefusalCode = Literal[
    "too_large", "not_json", "not_utf8", "not_an_object", "missing", "invalid", "not_a_pseudonym", "unknown_type",
    "control_type", "future_time", "time_out_of_range", "foreign_source", "score_out_of_range", "score_given_twice",
    "total_not_the_sum", "not_accepted", "episode_full",
]  # fmt: skip

ALLIANCE_PILLARS: Final[tuple[AlliancePillar, ...]] = get_args(AlliancePillar)
PILLARS: Final[tuple[Pillar, ...]] = get_args(Pillar)
"""The three of the working alliance first."""
ALERT_KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
HORIZONS: Final[Mapping[str, int]] = {"14d": 14, "30d": 30, "60d": 60}
"""Days of each horizon."""
SESSION_PURPOSES: Final[frozenset[Purpose]] = frozenset(("intake", "treatment", "review"))
"""Purposes that make a visit a *session* in the sense of `unilateral-stop@1` (CONTRACT section 3)."""

# ── what they say ───────────────────────────────────────────────────────────────────────────────────────

REFUSALS: Final[Mapping[str, str]] = {
    "too_large": "The event is larger than 256 KiB.",
    "not_json": "The value, or what `data_base64` holds, is not JSON in UTF-8, or has a number that is not finite.",
    "not_utf8": "A header of binary mode is not UTF-8, or the value is announced in another charset.",
    "not_an_object": "The value is JSON, but not one object.",
    "missing": "A required member is missing or null.",
    "invalid": "A member has the wrong type, form or value.",
    "not_a_pseudonym": "An id or pseudonym in `data` is not 1 to 128 visible ASCII characters without an @.",
    "unknown_type": "`type` is none of the contract's, or newer than the service that read it.",
    "control_type": "The type is one that only Keepwell writes.",
    "future_time": "`time` lies more than 24 h ahead of the clock.",
    "time_out_of_range": "A moment lies before 1970 or after 2199: an unset or broken clock.",
    "foreign_source": "`source` names another clinic than the key of the sender.",
    "score_out_of_range": "A score lies outside the range of its instrument.",
    "score_given_twice": "One score is given under two names, such as `Total` and `total`, with different values.",
    "total_not_the_sum": "All subscales are given, and the total is not their sum.",
    "not_accepted": "The record on `episode-events` is none that this version's ingest writes (said by the predictor).",
    "episode_full": "The episode has as many events as one may have (said by the predictor).",
}
"""Every code with what it means. The same codes are labels of metrics and headers of dead letters."""


class Vocabulary(NamedTuple):
    """A Literal with what each of its words says, as a page for people puts it."""

    literal: object
    says: Mapping[str, str]

    @property
    def words(self) -> tuple[str, ...]:
        """The words in the order of the contract."""
        return get_args(self.literal)


_PILLARS: Final = {
    "goals": "agreement on what to work for", "tasks": "agreement on how to work",
    "bond": "liking and trust between the two", "trust": "feeling safe to speak", "empathy": "feeling understood",
    "consistency": "the same person at the same times", "culture": "respect for where the client comes from",
    "pace": "neither too fast nor too slow", "logistics": "times, ways and money",
}  # fmt: skip
_ABSENCE: Final = {
    "illness": "ill", "work": "kept by work", "family": "kept by family", "travel": "could not travel",
    "cost": "could not pay", "weather": "kept by the weather", "technical": "a technical fault",
    "hospital": "in hospital", "custody": "in custody", "other": "another reason", "unknown": "reason not known",
}  # fmt: skip

VOCABULARIES: Final[Mapping[str, Vocabulary]] = {
    "modality": Vocabulary(Modality, {
        "in_person": "in person", "video": "by video", "phone": "by telephone", "text": "in writing",
        "group": "in a group",
    }),
    "purpose": Vocabulary(Purpose, {
        "intake": "first interview", "treatment": "treatment", "review": "review of the work",
        "assessment": "assessment only", "administrative": "administration only",
    }),
    "initiator": Vocabulary(Initiator, {
        "client": "the client", "clinician": "the clinician", "clinic": "the clinic",
    }),
    "rater": Vocabulary(Rater, {
        "client": "the client", "clinician": "the clinician", "observer": "an observer",
    }),
    "referral": Vocabulary(Referral, {
        "self": "came by themselves", "primary_care": "sent by primary care", "specialist": "sent by a specialist",
        "court": "sent by a court", "employer": "sent by the employer", "other": "sent by others",
    }),
    "pillar": Vocabulary(Pillar, _PILLARS),
    "theme": Vocabulary(Theme, {
        **_PILLARS, "alliance": "the alliance as a whole", "attendance": "coming, cancelling and missing",
        "progress": "getting better or not", "homework": "work between sessions", "feedback": "what the client said",
        "silence": "what was not heard", "context": "what was known at the start",
    }),
    "cancel_reason": Vocabulary(CancelReason, _ABSENCE),
    "miss_reason": Vocabulary(MissReason, {
        "no_show": "did not come, and gave no reason", "moved": "moved away", **_ABSENCE,
    }),
    "skip_reason": Vocabulary(SkipReason, {
        "declined": "the client did not want to", "not_offered": "nobody offered it",
        "technical": "a technical fault", "unknown": "reason not known",
    }),
    "sentiment": Vocabulary(Sentiment, {
        "negative": "is not going well", "neutral": "is all right", "positive": "is going well",
    }),
    "wanted_change": Vocabulary(WantedChange, {
        "none": "no change", "approach": "another approach", "clinician": "another clinician",
        "format": "another format",
    }),
    "rupture_kind": Vocabulary(RuptureKind, {
        "withdrawal": "draws back", "confrontation": "says what is wrong",
    }),
    "repair_outcome": Vocabulary(RepairOutcome, {
        "better": "better", "same": "as before", "worse": "worse", "unknown": "not known yet",
    }),
    "direction": Vocabulary(Direction, {
        "inbound": "from the client", "outbound": "to the client",
    }),
    "channel": Vocabulary(Channel, {
        "phone": "telephone", "text": "text message", "email": "e-mail", "letter": "letter", "portal": "portal",
        "in_person": "in person",
    }),
    "contact_purpose": Vocabulary(ContactPurpose, {
        "outreach": "to hear from the client", "reminder": "a reminder", "reply": "a reply",
        "complaint": "a complaint", "other": "something else",
    }),
    "handover_reason": Vocabulary(HandoverReason, {
        "client_request": "the client asked for it", "absence": "the clinician is away",
        "service": "the service decided so", "other": "another reason",
    }),
    "end_reason": Vocabulary(EndReason, {
        "planned": "ended as planned", "improved": "ended because it goes well",
        "client_stopped": "the client stopped", "transferred": "goes on elsewhere",
        "administrative": "closed by the administration", "deceased": "the client died", "other": "another reason",
    }),
    "action": Vocabulary(Action, {
        "acknowledged": "seen", "snoozed": "look again later", "dismissed": "does not apply",
        "repair_planned": "will talk about the strain", "outreach_planned": "will get in touch",
        "approach_changed": "changed the approach", "transfer_offered": "offered a warm transfer",
        "ending_planned": "will talk about ending well",
    }),
    "dismiss_reason": Vocabulary(DismissReason, {
        "already_talked": "we have talked about it", "ended_well": "it ended well",
        "client_chose_to_stop": "the client chose to stop", "not_applicable": "does not fit this client",
        "wrong_moment": "not the moment for it", "disagree": "I see it otherwise", "data_wrong": "the data are wrong",
    }),
    "via": Vocabulary(Via, {
        "page": "the clinician's page", "api": "the API", "card": "a card in the record system", "email": "e-mail",
    }),
    "instrument_kind": Vocabulary(InstrumentKind, {
        "outcome": "how the client is", "alliance": "how the work together is",
    }),
    "role": Vocabulary(Role, {
        "champion": "its scores count", "shadow": "scores beside, on trial", "none": "scores no more",
    }),
    "horizon": Vocabulary(Horizon, {
        "14d": "within 14 days", "30d": "within 30 days", "60d": "within 60 days",
    }),
    "state": Vocabulary(State, {
        "open": "under way", "stopped": "a stop is declared", "ended": "ended another way",
    }),
    "alert_kind": Vocabulary(AlertKind, {
        "risk": "the client may stop coming soon", "rupture": "a strain between the two is not repaired",
        "silence": "the client stays away, or nothing is heard",
        "safety": "a safety item was endorsed: follow the clinic's protocol",
        "ending": "time to talk about ending well, another approach or a warm transfer",
    }),
    "alert_status": Vocabulary(AlertStatus, {
        "raised": "new", "escalated": "more urgent than before", "resolved": "settled",
    }),
    "resolved_because": Vocabulary(ResolvedBecause, {
        "risk_fell": "the risk fell", "repaired": "the strain was repaired", "returned": "the client was heard from",
        "ended": "the episode ended", "snoozed_out": "the time it was put off for is over",
    }),
    "refusal": Vocabulary(RefusalCode, REFUSALS),
}  # fmt: skip
"""Every vocabulary by its name. A word without its meaning fails a test."""
