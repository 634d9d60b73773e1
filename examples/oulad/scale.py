"""What the landmark table and the fit of a whole file cost on one core: `python -m examples.oulad.scale EVENTS`."""

from __future__ import annotations

import resource
import sys
import time

from models.release import default
from training.dataset import build
from training.fit.fit import Options, fit


def main(events: str) -> None:
    """Prints counts, seconds of the processor (other work on the machine does not count), and the most memory held."""
    started = time.process_time()
    dataset = build([events])
    built = time.process_time()
    fitted = fit(dataset, default().policy, Options())
    ended = time.process_time()
    counts, seconds = dataset.about.counts, built - started
    print(f"{counts.events:,} events of {counts.episodes:,} enrolments and {counts.clients:,} students")
    print(f"{counts.rows:,} rows in {seconds:.0f} s: {counts.events / seconds:,.0f} events/s")
    print(f"four outputs fitted in {ended - built:.0f} s, with {len(fitted.card.terms)} features")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB of memory at most")


if __name__ == "__main__":
    main(sys.argv[1])
