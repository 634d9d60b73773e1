"""When an alert that the receiver did not take is tried again, and when that ends."""

from __future__ import annotations

from typing import Final

SOON: Final = (5.0, 300.0)
"""Seconds until the second and the third try, counted from the one before: a restart or a short outage of the receiver."""
AGES: Final = (2_105.0, 9_305.0, 27_305.0, 63_305.0, 99_305.0)
"""Ages of the alert (s since it was written to the log) at which the further tries come. With `SOON` this is, for a fresh
alert, the schedule of Standard Webhooks: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h."""
END: Final = AGES[-1]
"""Age after which a failed try is the last: 27 h 35 min 5 s."""


def next_try(tries: int, told: float, now: float, retry_after: float | None = None) -> float | None:
    """When an alert written at `told` is due again after `tries` failed tries of this process; None: that was the last.

    Nothing has to be remembered over a restart but the log: after one the alert is tried at once and soon again, and from
    then on its age decides, so that the end stays where it was. What the receiver asks for with `Retry-After` is kept, up to
    the end. All in seconds since 1970, but `retry_after` in seconds from `now`.

    >>> [next_try(1, 0, 0), next_try(2, 0, 5), next_try(3, 0, 305), next_try(4, 0, 2105)]
    [5.0, 305.0, 2105.0, 9305.0]
    >>> next_try(8, 0, 99_305) is None
    True
    """
    if tries <= len(SOON):
        due = now + SOON[tries - 1]
    else:
        ahead = [told + age for age in AGES if told + age > now]
        if not ahead:
            return None
        due = ahead[0]
    if retry_after is None:
        return due
    return max(due, min(now + retry_after, told + END))
