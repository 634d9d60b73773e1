"""`GET /api/v1/stream`: what is new, as server-sent events, to whoever may see it, for as long as they may.

One thread a process looks where the read model stands. Once something came of episodes that a stream may be about, it asks
who the stream goes to now, reads on from the place that this stream reached, and hands over what it found. The id of an event
is the place after it (`services.clinician.places`), so a stream that is resumed goes on exactly there. What an event is about
is in the read model: an event only names it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from keepwell.streams.topics import Topics
from services.clinician.database import AGAIN_SECONDS, AWAY, cause
from services.clinician.people.access import API, CARE, Caller, People, caller, still
from services.clinician.places import (
    NAMED_BY,
    News,
    Reached,
    WrongPlace,
    place_now,
    place_text,
    read_on,
    read_place,
    whose,
)
from services.clinician.views import Viewer

STREAMS_EACH: Final = 10
"""Streams that a user may have open at once; a browser holds one a tab, and at most six a host over HTTP/1.1. Ours."""
RECORDS_AT_ONCE: Final = 500
"""Records that are read for a stream before the next stream's turn. Ours."""
RETRY_MS: Final = 3_000
"""After so long a browser opens a stream again that broke off. Ours."""
STUCK_SECONDS: Final = 60.0
"""A client that takes nothing for so long is given up. Ours: four heartbeats."""
HEARTBEAT: Final = b":\n\n"
"""A comment (WHATWG HTML 9.2.6), which is no event."""
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nothing on the way keeps it, nor holds it back (nginx, `proxy_buffering`)."""
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Events `score`, `alert`, `answer`.", "content": {"text/event-stream": {}}}
}
Who = Annotated[Caller, Depends(caller)]
_log = structlog.get_logger(__name__)


class StreamPace(NamedTuple):
    """How often, in seconds: the log's place is looked at, access is asked anew, and an idle stream says that it lives. Ours,
    but for the heartbeat, which WHATWG HTML advises (9.2.7: about every 15 seconds)."""

    look: float = 0.5
    access: float = 5.0
    heartbeat: float = 15.0
    clock: Callable[[], float] = time.monotonic


class Streams:
    """The open streams of this process, as a context: at its end all of them end, and no more are opened. Those whose client
    takes nothing end with the server (`keepwell.web.server`)."""

    def __init__(self, people: People, topics: Topics, pace: StreamPace | None = None) -> None:
        self.pace = pace or StreamPace()
        self._people = people
        self._topics = topics
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._open: dict[_OpenStream, None] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._looked: Reached | None = None

    def __enter__(self) -> Streams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            thread = self._thread
        self._end_all()
        self._wake.set()
        if thread is not None:
            thread.join(AGAIN_SECONDS)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def now(self) -> Reached:
        """Where a stream begins that nothing came before. Blocks."""
        with self._reading() as connection:
            return place_now(connection, self._topics)

    @contextmanager
    def place(self, stream: _OpenStream) -> Iterator[None]:
        """Keeps a stream open. Raises `HTTPException` 429 where its user has too many, 503 once all have ended."""
        user = stream.caller.user.id
        with self._lock:
            if self._closed:
                raise HTTPException(503, "The service is ending: ask again in a moment.", {"Retry-After": "3"})
            if sum(one.caller.user.id == user for one in self._open) >= STREAMS_EACH:
                raise HTTPException(
                    429, f"You have {STREAMS_EACH} streams open: close one first.", {"Retry-After": "60"}
                )
            self._open[stream] = None
            if self._thread is None:
                self._looked = None
                self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
                self._thread.start()
        self._wake.set()
        try:
            yield
        finally:
            with self._lock:
                self._open.pop(stream, None)

    def wake(self) -> None:
        """Lets the thread look at once."""
        self._wake.set()

    def _reading(self) -> sa.Connection:
        return self._people.engine.connect().execution_options(reads=True)

    def _run(self) -> None:
        """The thread: turn after turn while there are streams."""
        try:
            while self._goes_on():
                pause = self.pace.look
                try:
                    if self._turn():
                        pause = 0.0
                except (sa.exc.DBAPIError, *AWAY) as error:
                    _log.warning("stream.later", cause=cause(error))
                    pause = AGAIN_SECONDS
                self._wake.wait(pause)
                self._wake.clear()
        except BaseException:
            with self._lock:
                self._thread = None
            self._end_all()
            raise

    def _goes_on(self) -> bool:
        with self._lock:
            if self._open and not self._closed:
                return True
            self._thread = None
            return False

    def _end_all(self) -> None:
        with self._lock:
            streams = list(self._open)
            self._open.clear()
        for stream in streams:
            stream.give(None)

    def _turn(self) -> bool:
        """Gives every stream what is new for it. Whether some stream has more to be read at once."""
        with self._lock:
            streams = list(self._open)
        with self._reading() as connection:
            standing = place_now(connection, self._topics)
            touched = None if self._looked is None else whose(connection, self._looked, standing)
        for stream in streams:
            if touched is None or _concerns(stream.caller.viewer, touched):
                stream.due = True
        self._looked = standing
        more = False
        for stream in filter(self._is_due, streams):
            more = self._serve(stream, standing) or more
        return more

    def _is_due(self, stream: _OpenStream) -> bool:
        """Whether something is new for a stream, or its access has to be asked; not while its client takes what it got."""
        return not stream.busy and (stream.due or self.pace.clock() - stream.asked_at >= self.pace.access)

    def _serve(self, stream: _OpenStream, standing: Reached) -> bool:
        """Asks who a stream goes to, and reads on for them. Whether there is more that can be read at once."""
        who = still(self._people, stream.caller)
        stream.asked_at = self.pace.clock()
        if who is None or who.user.role not in CARE or who.user.clinic != stream.caller.user.clinic:
            with self._lock:
                self._open.pop(stream, None)
            stream.give(None)
            return False
        stream.due = stream.due or who.viewer != stream.caller.viewer
        stream.caller = who
        if not stream.due:
            return False
        with self._reading() as connection:
            read = read_on(connection, who.viewer, stream.reached, standing, RECORDS_AT_ONCE)
        stream.reached, stream.due = read.reached, read.more
        if read.news:
            stream.give(b"".join(map(_frame, read.news)))
        return read.more and not read.news


class _OpenStream:
    """One stream. `reached`, `due` and `asked_at` are the thread's, its chunks go to the loop that serves it.

    `busy` from when a chunk is given until the client has taken it.
    """

    def __init__(self, streams: Streams, who: Caller, reached: Reached) -> None:
        self.caller = who
        self.reached = reached
        self.due = True
        self.asked_at = streams.pace.clock()
        self.busy = False
        self._streams = streams
        self._first = f"retry: {RETRY_MS}\nid: {place_text(reached)}\n\n".encode()
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    def give(self, chunk: bytes | None) -> None:
        """Hands a chunk over, None at the end. For any thread."""
        self.busy = True
        try:
            self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
        except RuntimeError:
            _log.debug("stream.gone")  # its loop has ended, and with it whoever listened

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks, and a heartbeat where there is none for a while."""
        yield self._first
        while True:
            try:
                async with asyncio.timeout(self._streams.pace.heartbeat):
                    chunk = await self._chunks.get()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if chunk is None:
                return
            yield chunk
            self.busy = False
            if self.due:
                self._streams.wake()


class _StreamAnswer(StreamingResponse):
    """The answer that a stream is; however it ends, its place is free again.

    Whether its client has left is asked here: newer versions of Starlette leave it to the next send, of which older servers
    say nothing.
    """

    def __init__(self, streams: Streams, stream: _OpenStream) -> None:
        super().__init__(stream.chunks(), headers=HEADERS, media_type="text/event-stream")
        self._stream = stream
        self._place = streams.place(stream)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        left = asyncio.Event()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                continue
            left.set()
            self._stream.give(None)

        async def told() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(STUCK_SECONDS):
                await send(message)

        with self._place:
            watching = asyncio.create_task(watch())
            try:
                await super().__call__(scope, told, in_time)
            except TimeoutError:
                _log.info("stream.stuck")
            finally:
                watching.cancel()


def add_stream(to: FastAPI | APIRouter, streams: Streams) -> None:
    """Adds the route; its rule is in `services.clinician.people.access`."""

    async def stream(who: Who, last_event_id: Annotated[str | None, Header()] = None) -> Response:
        try:
            reached = read_place(last_event_id) if last_event_id else await run_in_threadpool(streams.now)
        except WrongPlace as error:
            raise HTTPException(422, f"Last-Event-ID: {error}") from error
        return _StreamAnswer(streams, _OpenStream(streams, who, reached))

    to.get(f"{API}/stream", response_class=StreamingResponse, responses=_ANSWERS)(stream)


def _concerns(viewer: Viewer, touched: set[tuple[str, str | None]]) -> bool:
    """Whether a user may see one of these clinicians' episodes: what `queries.visible_to` asks the database."""
    if viewer.role == "supervisor":
        return any(clinic == viewer.clinic for clinic, _ in touched)
    mine = viewer.covers if viewer.clinician_id is None else viewer.covers | {viewer.clinician_id}
    return any((viewer.clinic, one) in touched for one in mine)


def _frame(news: News) -> bytes:
    told = {"episode": news.episode, "clinician_id": news.clinician_id, NAMED_BY[news.kind]: news.name}
    data = msgspec.json.encode(told).decode()
    return f"id: {place_text(news.reached)}\nevent: {news.kind}\ndata: {data}\n\n".encode()
