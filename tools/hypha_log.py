#!/usr/bin/env python3
"""Reads Hypha's logs where they lie, as tables for pandas. Nodes may run meanwhile; nothing is written.

    python3 tools/hypha_log.py data/incident-room                       what there is, in a few lines
    python3 tools/hypha_log.py data/incident-room --output events.csv   a table: .csv, .jsonl or .parquet

From Python: ``entries(directory)`` yields one log's entries as dicts, a few at a time in memory;
``frame(data)`` is a pandas table of a deployment's events, each once, in the order that ``hypha replay`` shows, and takes as
much memory as they do. tools/hypha_notebook.py goes on from there to three plots.

Needs the packages lmdb and, but for ``entries``, pandas; Parquet needs pyarrow. The layouts of
blocks and records are those of docs/wire-format.md and Sources/HyphaLogLMDB/BlockLayout.swift, version 2. Checksums are not
looked at: ``hypha log verify`` does that.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import struct
import sys
import uuid
from typing import Iterator

from hypha_wire import CHANNELS, RECORD

BLOCK = struct.Struct("<4sI QII 8x 32x")  # magic, checksum, first position, entries, bytes
ENTRY = struct.Struct("<QQQ BBBx III 32x")  # taken at, previous in stream and lane, source, hops, form, offset, bytes, check
DETACHED_HEADER_BYTES = 48
# Content types of what an imported log has beside events: objects, traces, definitions.
BACKGROUND = range(4, 10)


class LogError(ValueError):
    """What is no log, or a damaged one."""


def logs(data: str | pathlib.Path) -> list[pathlib.Path]:
    """The data directories of nodes in ``data``, or ``data`` itself where it is one."""
    data = pathlib.Path(data)
    if (data / "log" / "data.mdb").exists():
        return [data]
    found = sorted(path.parent.parent for path in data.glob("*/log/data.mdb"))
    if not found:
        raise LogError(f"{data} holds no log of a node")
    return found


def _record(data: bytes, detached: bool) -> dict:
    at = DETACHED_HEADER_BYTES if detached else 0
    (magic, _, _, version, channel, content, agent, id_, time, epoch, sequence, previous_epoch, previous_sequence,
     causation, correlation, policy, schema, *lengths, _) = RECORD.unpack_from(data, at)  # fmt: skip
    if magic != b"HYR1" or version != 1:
        raise LogError("a record is damaged or of another version; run 'hypha log verify'")
    texts, at = [], at + RECORD.size
    for length in (agent, *lengths):
        texts.append(data[at : at + length].decode())
        at += length
    return {
        "id": str(uuid.UUID(bytes=id_)), "time": time, "channel": CHANNELS[channel], "agent": texts[0], "epoch": epoch,
        "sequence": sequence, "previous": (previous_epoch, previous_sequence), "addressee": texts[1] or None,
        "type": texts[2], "schemaVersion": schema, "subject": texts[3], "contentType": content,
        "causation": str(uuid.UUID(bytes=causation)) if any(causation) else None,
        "correlation": str(uuid.UUID(bytes=correlation)), "principal": texts[4], "grant": texts[5],
        "policyVersion": policy, "payload": None if detached else data[at:],
    }  # fmt: skip


def entries(directory: str | pathlib.Path, after: int = 0) -> Iterator[dict]:
    """One node's entries in the order of its log, those behind a position. Times are microseconds since 1970 * 4096 + counter; a payload that lies beside the
    log is None.

    A part is read at a time, so that a long walk keeps no old pages of a running node's log.
    """
    import lmdb

    directory = pathlib.Path(directory)
    environment = lmdb.open(str(directory / "log"), readonly=True, max_dbs=8, create=False)
    try:
        blocks = environment.open_db(b"blocks", create=False)
        state = environment.open_db(b"state", create=False)
        with environment.begin() as transaction:
            identity = transaction.get(b"I", db=state)
        node = identity[16:-4].decode()
        # A block's key is its last position.
        last = after.to_bytes(8, "big") if after else b""
        while True:
            with environment.begin() as transaction, transaction.cursor(db=blocks) as cursor:
                found = cursor.set_range(last) if last else cursor.first()
                if found and cursor.key() == last:
                    found = cursor.next()
                part = []
                while found and len(part) < 64:
                    part.append((cursor.key(), cursor.value()))
                    found = cursor.next()
            if not part:
                return
            for key, block in part:
                yield from (entry for entry in _entries(node, key, block) if entry["position"] > after)
            last = part[-1][0]
    finally:
        environment.close()


def _entries(node: str, key: bytes, block: bytes) -> Iterator[dict]:
    magic, _, first, count, size = BLOCK.unpack_from(block)
    if magic != b"HYB2" or size != len(block) or first + count - 1 != int.from_bytes(key, "big"):
        raise LogError("a block is damaged or of another version; run 'hypha log verify'")
    for index in range(count):
        taken, _, _, source, hops, form, offset, length, _ = ENTRY.unpack_from(block, BLOCK.size + index * ENTRY.size)
        yield {
            "node": node, "position": first + index, "appendedAt": taken, "source": "received" if source else "stated",
            "hops": hops if source else None, **_record(block[offset : offset + length], form == 1),
        }  # fmt: skip


def frame(data: str | pathlib.Path, copies: bool = False, background: bool = False):
    """A deployment's events as a pandas table: those of one log as they stand there; of several by time, then by node, each once,
    as its origin's entry where that is there, and with ``copies`` every entry of every log; with ``background`` also what imported
    logs have beside events. ``json`` has the payload where it is JSON."""
    import pandas

    places = logs(data)
    table = pandas.DataFrame(
        entry for log in places for entry in entries(log) if background or entry["contentType"] not in BACKGROUND
    )
    if table.empty:
        return table
    if len(places) > 1:
        table = table.sort_values(
            ["time", "source", "node", "position"], key=lambda column: column != "stated" if column.name == "source" else column,
            kind="stable")  # fmt: skip
    if not copies:
        table = table.drop_duplicates("id")
    for name in ("time", "appendedAt"):
        table[name] = pandas.to_datetime(table[name] // 4096, unit="us", utc=True)
    table["json"] = [
        payload.decode(errors="replace") if content == 1 and payload is not None else None
        for payload, content in zip(table["payload"], table["contentType"])
    ]
    return table.reset_index(drop=True)


def past(table):
    """Which entries of a table with copies a log took of the past: by an import, or with an agent that was moved to its node. When it
    took them says nothing of how long they were on their way."""
    received = table["source"] == "received"
    found = received & (table["hops"] == 0)
    orders = {}
    moves = table[table["type"].isin(["hypha.AgentMoved", "hypha.AgentArrived"])]
    for entry in moves.sort_values(["node", "position"]).itertuples():
        said = json.loads(entry.json)
        if entry.type == "hypha.AgentMoved" and said["to"] == entry.node:
            orders[said["move"]] = entry
        elif entry.type == "hypha.AgentArrived" and entry.source == "stated" and said["move"] in orders:
            order = orders[said["move"]]
            between = (table["position"] >= order.position) & (table["position"] <= entry.position)
            found |= received & (table["node"] == entry.node) & between & (table["time"] < order.time)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a deployment's data directory, or a node's")
    parser.add_argument("--output", help="write the table to this file: .csv, .jsonl or .parquet")
    options = parser.parse_args()
    table = frame(options.data)
    if options.output:
        plain = table.drop(columns=["payload"])
        if options.output.endswith(".parquet"):
            plain.to_parquet(options.output)
        elif options.output.endswith(".jsonl"):
            plain.to_json(options.output, orient="records", lines=True, date_format="iso", date_unit="us")
        else:
            plain.to_csv(options.output, index=False)
        print(f"{options.output}: {len(table)} events")
        return 0
    print(json.dumps({
        "events": len(table), "nodes": sorted(table["node"].unique()), "agents": int(table["agent"].nunique()),
        "types": {name: int(count) for name, count in table["type"].value_counts().items()},
        "first": table["time"].min().isoformat(), "last": table["time"].max().isoformat(),
    } if len(table) else {"events": 0}, indent=2))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LogError, OSError) as error:
        sys.exit(f"hypha_log: {error}")
