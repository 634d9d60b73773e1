"""A simulator of whole clinics as event logs, with the true risk at any moment, to learn and judge where no data are open."""

from training.simulate.oracle import ROLLOUTS
from training.simulate.presets import PRESETS
from training.simulate.write import events_of, simulate

__all__ = ["PRESETS", "ROLLOUTS", "events_of", "simulate"]
