"""The SQLite file under a log: its schema, its connections, its transactions, and the news of another's commit.

Durability: WAL with `synchronous=FULL`, so a commit returns after its bytes were forced to the disk. `NORMAL` would survive
kill -9 as well, but a power cut could take back what HTTP intake had accepted and the page had shown. It costs one fsync a
commit: 0.4 ms where this was decided, 5 % of the rate at 500 records a commit (a third while others kept the disk busy).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, NoReturn
from weakref import WeakValueDictionary

from keepwell.streams.log import Doubt, LogError

BUSY_LIMIT = 10.0
"""Seconds to wait for another writer, thread or process, before `Doubt`: a hundred times the longest write of our own."""

SHORTEST_LOOK, LONGEST_LOOK = 0.002, 0.02
"""Seconds between two looks for what another process wrote: the first after a poll began, and the most it grows to."""

APPLICATION = 0x6B70776C
"""`PRAGMA application_id` of our files: "kpwl"."""

VERSION = 2
"""`PRAGMA user_version` of a file with topics that programs of version 1 would misuse: they refuse it."""

VERSIONS = (1, VERSION)
"""What this program opens. A file of version 1 stays one until a topic is made in it, so that the program before works on."""

_REWRITTEN = """
CREATE TABLE rewritten(purges INTEGER NOT NULL) STRICT;
INSERT INTO rewritten VALUES (0);
"""

ADDED = "ALTER TABLE partitions ADD COLUMN purges INTEGER NOT NULL DEFAULT 0;" + _REWRITTEN
"""What a file of version 1 lacks at first; programs of that version do not mind it."""

# A record's place is its partition's id times 2^40 plus its offset, so that one integer key orders everything: partitions
# lie apart, and each is read by one scan. `heads` holds the newest cleaned record of each key (see sqlite_records).
SCHEMA = """
CREATE TABLE topics(name TEXT PRIMARY KEY, base INTEGER NOT NULL, partitions INTEGER NOT NULL, cleanup TEXT NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE partitions(id INTEGER PRIMARY KEY, first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0,
    cleaned INTEGER NOT NULL DEFAULT 0, live INTEGER NOT NULL DEFAULT 0, purges INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE records(place INTEGER PRIMARY KEY, key BLOB, timestamp INTEGER NOT NULL, headers BLOB, value BLOB) STRICT;
CREATE INDEX tombstones ON records(place, timestamp) WHERE value IS NULL;
CREATE TABLE heads(partition INTEGER NOT NULL, key BLOB NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (partition, key))
    STRICT, WITHOUT ROWID;
CREATE TABLE groups(id INTEGER PRIMARY KEY, name TEXT NOT NULL, topic TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0, UNIQUE (name, topic)) STRICT;
CREATE TABLE members(id INTEGER PRIMARY KEY AUTOINCREMENT, group_id INTEGER NOT NULL, instance TEXT NOT NULL,
    beat INTEGER NOT NULL, lease INTEGER NOT NULL, UNIQUE (group_id, instance)) STRICT;
CREATE TABLE owners(group_id INTEGER NOT NULL, number INTEGER NOT NULL, owner INTEGER, wanted INTEGER,
    PRIMARY KEY (group_id, number)) STRICT, WITHOUT ROWID;
CREATE TABLE offsets(group_id INTEGER NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (group_id, number)) STRICT, WITHOUT ROWID;
"""


class SqliteFile:
    """One file as one process sees it: readers beside one another, writers one at a time.

    Raises `LogError` where the file cannot be opened, is damaged, is not a log of ours or is one of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._here = _Here.of(path)
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        with self.read():
            pass

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, one statement at a time; not to be held while waiting."""
        with self._explained():
            db = self._borrow()
            try:
                yield db
            except sqlite3.Error:
                self._close(db)
                raise
            except BaseException:
                self._give_back(db)
                raise
            self._give_back(db)

    @contextmanager
    def write(self, limit: float = BUSY_LIMIT) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed and durable at the end of the block, undone where the block raises.

        Raises `Doubt` where another writer keeps the file longer than `limit` seconds, and where the commit itself fails;
        `LogError` for everything else, and then nothing was written.
        """
        if not self._here.writer.acquire(timeout=limit):
            raise self._busy()
        try:
            with self.read() as db:
                db.execute(f"PRAGMA busy_timeout={int(limit * 1000)}")
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    self._commit(db)
                finally:
                    # Also after an interrupt, and where SQLite already undid it by itself.
                    if db.in_transaction:
                        with suppress(sqlite3.Error):
                            db.execute("ROLLBACK")
        finally:
            self._here.writer.release()
        self._here.tell()

    @staticmethod
    def mark(db: sqlite3.Connection) -> None:
        """Notes, in a write transaction, that the file has what a program of an earlier version must not touch."""
        db.execute(f"PRAGMA user_version={VERSION}")

    def news(self) -> int:
        """A number that changes with every write of this process; take it before looking, give it to `wait`."""
        return self._here.writes

    def wait(self, seen: int, seconds: float) -> None:
        """Waits at most so long, but not longer than to the next write of this process since `seen`."""
        self._here.wait(seen, seconds)

    def rewrite(self) -> None:
        """Writes the file anew and empties the write-ahead log, so that no byte of what was removed is left.

        Overwriting what is deleted (`secure_delete`) is not enough: where a page was split, a copy of what moved stays in the
        gap of the old one. Raises `Doubt` where a writer or a reader is in the way for longer than `BUSY_LIMIT`.
        """
        if not self._here.writer.acquire(timeout=BUSY_LIMIT):
            raise self._busy()
        try:
            with self.read() as db:
                db.execute(f"PRAGMA busy_timeout={int(BUSY_LIMIT * 1000)}")
                db.execute("VACUUM")
        finally:
            self._here.writer.release()
        deadline = time.monotonic() + BUSY_LIMIT
        while True:
            with self.read() as db:
                (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return
            if time.monotonic() > deadline:
                raise Doubt(f"{self.path}: a reader is in the way, so old bytes may still stand in the write-ahead log")
            time.sleep(LONGEST_LOOK)

    def close(self) -> None:
        """Closes what is idle; what is in use is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._close(self._idle.pop())

    def _commit(self, db: sqlite3.Connection) -> None:
        try:
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise Doubt(f"{self.path}: it is not certain that a commit reached the disk ({error})") from error

    def _borrow(self) -> sqlite3.Connection:
        if self._closed:
            raise LogError(f"{self.path}: the log is closed")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _give_back(self, db: sqlite3.Connection) -> None:
        if self._closed:
            self._close(db)
        else:
            self._idle.append(db)

    @staticmethod
    def _close(db: sqlite3.Connection) -> None:
        # Closing the last connection checkpoints, which can fail on a full disk; the write-ahead log then simply stays.
        with suppress(sqlite3.Error):
            db.close()

    def _connect(self) -> sqlite3.Connection:
        if not self.path.parent.is_dir():
            raise LogError(f"{self.path}: there is no folder {self.path.parent}: make it first")
        # Statements come from several threads, though never from two at a time: the connection goes round by hand.
        db = sqlite3.connect(self.path, timeout=BUSY_LIMIT, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        application, version, tables = _stamp(db)
        if (application, version, tables) == (0, 0, 0):
            self._create(db)
            application, version, _ = _stamp(db)
        if application != APPLICATION:
            raise LogError(f"{self.path} is a database of something else: name another file")
        if version not in VERSIONS:
            raise LogError(
                f"{self.path} has the log format {version}, this program knows {VERSION}: update the program"
            )
        if version == VERSIONS[0] and not _has_additions(db):
            self._add(db)
        db.execute("PRAGMA synchronous=FULL")
        # Erasure must not leave bytes behind in free pages.
        db.execute("PRAGMA secure_delete=ON")
        # 16 MB of write-ahead log instead of 4: pages written often are copied to their place less often.
        db.execute("PRAGMA wal_autocheckpoint=4000")

    def _create(self, db: sqlite3.Connection) -> None:
        # Two processes may meet here. Turning to WAL does not wait for a busy file by itself, hence the loop.
        deadline = time.monotonic() + BUSY_LIMIT
        while True:
            try:
                mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
                break
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(LONGEST_LOOK)
        if mode != "wal":
            raise LogError(f"{self.path}: this file system cannot share a log between processes: use a local disk")
        db.execute("BEGIN IMMEDIATE")
        try:
            if _look(db) == (0, 0, 0):
                for statement in (SCHEMA + _REWRITTEN).split(";")[:-1]:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id={APPLICATION}")
                db.execute(f"PRAGMA user_version={VERSION}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    @staticmethod
    def _add(db: sqlite3.Connection) -> None:
        """Makes what a file of version 1 lacks, unless another process was faster."""
        db.execute("BEGIN IMMEDIATE")
        try:
            if not _has_additions(db):
                for statement in ADDED.split(";")[:-1]:
                    db.execute(statement)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._explain(error)

    def _explain(self, error: sqlite3.Error) -> NoReturn:
        advice = _ADVICE.get(_code(error))
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise self._busy() from error
        raise LogError(f"{self.path}: {error}" + (f": {advice}" if advice else "")) from error

    def _busy(self) -> Doubt:
        return Doubt(f"{self.path}: another process does not stop writing; nothing was written by this one")


_ADVICE = {
    sqlite3.SQLITE_NOTADB: "it is not a log, or its beginning was overwritten: name another file or restore this one",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a copy",
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_IOERR: "the disk failed: look at the system's log",
    sqlite3.SQLITE_READONLY: "the file, or its folder, may not be written: change their permissions",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: is it a folder, do its permissions allow it?",
    sqlite3.SQLITE_PERM: "the file may not be read: change its permissions",
}


class _Here:
    """What all logs of this process on one file share, so that threads wait for each other without looking at the file."""

    _all: ClassVar[WeakValueDictionary[str, _Here]] = WeakValueDictionary()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.writer = threading.Lock()
        self.writes = 0
        self._written = threading.Condition()

    @classmethod
    def of(cls, path: Path) -> _Here:
        name = os.path.realpath(path)
        with cls._lock:
            here = cls._all.get(name)
            if here is None:
                here = cls._all[name] = cls()
            return here

    def tell(self) -> None:
        with self._written:
            self.writes += 1
            self._written.notify_all()

    def wait(self, seen: int, seconds: float) -> None:
        with self._written:
            if self.writes == seen:
                self._written.wait(seconds)


def _stamp(db: sqlite3.Connection) -> tuple[int, int, int]:
    """`_look` at one moment: another process may be making the tables just now."""
    db.execute("BEGIN")
    try:
        return _look(db)
    finally:
        db.execute("ROLLBACK")


def _look(db: sqlite3.Connection) -> tuple[int, int, int]:
    """Application, version and number of tables."""
    application, version, tables = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    return application, version, tables


def _has_additions(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rewritten'").fetchone() is not None


def _code(error: sqlite3.Error) -> int:
    """The primary result code, without the detail in the higher bits; -1 where the error is not SQLite's own."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else code
