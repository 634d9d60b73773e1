"""Accepted events as a Parquet archive: small, typed, readable by any tool, and replayed like the log it was made from.

An archive holds the accepted events themselves (column `value`, as JSON), so it is data of persons under pseudonyms, fairness
attributes included, and is to be kept like the log. An erasure later than the archive does not reach into it: it takes effect
when a file or log that holds it is read together with the archive, or when the archive is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIX: Final = ".parquet"
Order = Literal["time", "arrival"]
"""What the places of events follow: their `time`, or their arrival in the partitions of a log."""

BATCH: Final = 50_000
"""Events a row group."""
_ORDER: Final = b"keepwell.order"
_SCHEMA: Final = pa.schema(
    [
        ("partition", pa.int32()),
        ("place", pa.int64()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("episode", pa.string()),
        ("type", pa.dictionary(pa.int16(), pa.string())),
        ("value", pa.binary()),
    ]
)


class ArchivedEvent(NamedTuple):
    """One accepted event: its partition, its place in the order there, time (µs), key, type, and its JSON."""

    partition: int
    place: int
    at: int
    key: str
    type: str
    value: bytes


def write_archive(path: Path, items: Iterable[ArchivedEvent], order: Order) -> int:
    """Writes an archive; items come partition by partition, in their order. Returns how many."""
    schema = _SCHEMA.with_metadata({_ORDER: order.encode()})
    count = 0
    stream = iter(items)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(stream, BATCH)):
            count += len(batch)
            writer.write_table(_table(batch, schema))
    return count


def order_of(path: Path) -> Order:
    """The order of an archive. Raises `ValueError` where the file is none."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a Parquet file") from error
    found = metadata.get(_ORDER)
    if found == b"time":
        return "time"
    if found == b"arrival":
        return "arrival"
    raise ValueError(f"{path}: not an archive of accepted events; make one with training.dataset.archive")


def read_archive(path: Path) -> Iterator[ArchivedEvent]:
    """The items of an archive, as they were written."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            batch = batch.set_column(2, "time", batch.column("time").cast(pa.int64()))  # noqa: PLW2901  # as µs
            yield from map(ArchivedEvent, *(column.to_pylist() for column in batch.columns))


def _table(batch: Sequence[ArchivedEvent], schema: Any) -> Any:
    columns = zip(*batch, strict=True)
    return pa.table(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
