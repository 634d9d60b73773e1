"""Days on which simulated clinics work."""

from __future__ import annotations

import numpy as np

from training.simulate.people import DAY, Floats


def workday(at: Floats) -> Floats:
    """The moment itself, or the next working day at that hour: not at weekends, and not between the years."""
    day = np.floor(at / DAY)
    year = (day + 1) % 365.25
    day = day + np.where(year >= 355, 367 - np.floor(year), np.where(year < 3, 3 - np.floor(year), 0.0))
    weekday = day % 7
    return day * DAY + at % DAY + DAY * np.where(weekday >= 5, 7 - weekday, 0.0)
