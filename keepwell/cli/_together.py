"""Everything in one process: intake, ingest, predictor and clock, each in a thread over one log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from keepwell.streams.log import Log
from keepwell.streams.topics import Topics, ensure_topics
from services.clock.clock import make_clock
from services.clock.settings import ClockSettings
from services.ingest.bootstrap import run_ingest
from services.ingest.settings import IngestSettings
from services.predictor.bootstrap import PredictorSettings, worker_of


class Together:
    """The services of one installation, from the start to the end of a `with` block.

    When one of them fails, all stop; the error is raised at the end of the block. `clock` False leaves time to the caller.
    """

    def __init__(
        self, log: Log, ingest: IngestSettings, predictor: PredictorSettings, clock: ClockSettings | None
    ) -> None:
        self.stop = threading.Event()
        self._error: BaseException | None = None
        ensure_topics(log, Topics(ingest.topic_prefix))
        worker = worker_of(predictor, log)
        runs: dict[str, Callable[[], None]] = {
            "ingest": lambda: run_ingest(ingest, log, self.stop),
            "predictor": lambda: worker.run(self.stop),
        }
        if clock is not None:
            runs["clock"] = lambda: make_clock(clock, log).run(self.stop)
        self._threads = [threading.Thread(target=self._guarded, args=(run,), name=name) for name, run in runs.items()]

    def __enter__(self) -> Together:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:
            self._error = self._error or error
            self.stop.set()
