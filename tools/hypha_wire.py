#!/usr/bin/env python3
"""Reads and writes Hypha's records, frames (versions 1 and 2) and greetings, with nothing but the standard library.

The layouts are explained in docs/wire-format.md. From a shell:

    python3 tools/hypha_wire.py --self-test     check this file against the examples in that page
    python3 tools/hypha_wire.py < hex.txt       show a record or frame a line, given in hexadecimal, as JSON

From Python: ``Record.decode(data)``, ``record.encode()``, ``Frame.decode(data)``, ``frame.encode()``,
``Greeting.decode(data)``, ``greeting.encode()``, ``decode_welcome(data)``, ``decode_refused(data)``, ``decode_heads(data)``,
``decode_records(data)``, ``encode_lane(lane)``. tools/hypha_peer.py is a client that does something with them.
Whatever is cut short, altered or impossible raises ``WireError``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
import struct
import sys
import unicodedata
import uuid
from dataclasses import dataclass

CHANNELS = ("persistent", "alert", "realtime")
ENDLESS = 0xFFFFFFFF
# magic, length, checksum | version, channel, content type, agent's length | id | time, epoch, sequence,
# previous epoch, previous sequence | causation | correlation | policy, schema, five lengths, reserved
RECORD = struct.Struct("<4sII 4B 16s 5Q 16s 16s IH 6B")
FRAME = struct.Struct("<BBIIB")  # version, hops, topology version, remaining, records - 1
PACKED = struct.Struct("<IIQQ16sBBH")


class WireError(ValueError):
    """Bytes that are no valid record, frame or control message."""


def check(condition: bool, problem: str) -> None:
    if not condition:
        raise WireError(problem)


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return table


CRC_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of ``data``: ``crc32c(b"123456789") == 0xE3069283``."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def is_name(text: str, limit: int = 63) -> bool:
    """Whether ``text`` may name an agent, or with the limit 127 an event type."""
    return len(text) <= limit and text not in (".", "..") and re.fullmatch(r"[A-Za-z0-9._-]+", text, re.ASCII) is not None


def is_subject(text: str) -> bool:
    """Whether ``text`` is tokens between dots without white space, control characters and wildcards."""
    if len(text.encode()) > 255 or not all(text.split(".")) or re.search(r"[*>]", text):
        return False
    return not any(c.isspace() or unicodedata.category(c) == "Cc" for c in text)


@dataclass
class Record:
    """An event. Ids are UUIDs; ``previous`` is (0, 0) for the first event of its lane."""

    id: uuid.UUID
    time: int  # microseconds since 1970 * 4096 + counter
    channel: int
    agent: str
    epoch: int
    sequence: int
    previous: tuple[int, int]
    addressee: str  # empty where the event is published to its type's subscribers
    type: str
    schema_version: int
    subject: str
    content_type: int  # 0 bytes, 1 JSON
    causation: uuid.UUID
    correlation: uuid.UUID
    principal: str
    grant: str
    policy_version: int
    payload: bytes

    @property
    def lane(self) -> str:
        """The lane as frames' topics name it."""
        return f"{self.agent}/@{self.addressee}" if self.addressee else f"{self.agent}/#{self.type}"

    def check(self) -> None:
        """Raises where a field is impossible; ``encode`` and ``decode`` both call it."""
        check(self.channel < len(CHANNELS), "no known channel")
        check(min(self.epoch, self.sequence, self.schema_version) > 0, "a number that counts from 1 is 0")
        check(self.previous == (0, 0) or min(self.previous) > 0, "half a back-pointer")
        check(self.previous < (self.epoch, self.sequence), "a back-pointer that points ahead")
        check(is_name(self.agent) and is_name(self.principal), "a bad agent id or principal")
        check(not self.addressee or is_name(self.addressee), "a bad addressee")
        check(is_name(self.type, 127), "a bad event type")
        check(is_subject(self.subject), "a bad subject")
        check(len(self.grant.encode()) <= 127, "the grant is too long")

    def encode(self) -> bytes:
        self.check()
        texts = [
            text.encode()
            for text in (self.agent, self.addressee, self.type, self.subject, self.principal, self.grant)
        ]
        lengths = [len(text) for text in texts]
        head = RECORD.pack(
            b"HYR1", RECORD.size + sum(lengths) + len(self.payload), 0, 1, self.channel, self.content_type,
            lengths[0], self.id.bytes, self.time, self.epoch, self.sequence, *self.previous,
            self.causation.bytes, self.correlation.bytes, self.policy_version, self.schema_version,
            *lengths[1:], 0)  # fmt: skip
        rest = head[12:] + b"".join(texts) + self.payload
        return head[:8] + struct.pack("<I", crc32c(rest)) + rest

    @staticmethod
    def length(data: bytes) -> int:
        """The length that the record at the front of ``data`` claims; the bytes are there."""
        check(len(data) >= RECORD.size and data[:4] == b"HYR1", "no record")
        (length,) = struct.unpack_from("<I", data, 4)
        check(RECORD.size <= length <= len(data), "a record is cut short")
        return length

    @classmethod
    def decode(cls, data: bytes) -> Record:
        check(cls.length(data) == len(data), "bytes beyond the record's end")
        (_, _, crc, version, channel, content, agent, id_, time, epoch, sequence, *previous, causation,
         correlation, policy, schema, c1, c2, c3, c4, c5, reserved) = RECORD.unpack_from(data)  # fmt: skip
        check(crc == crc32c(data[12:]), "the record's checksum does not match")
        check(version == 1 and reserved == 0, "the record is of another version")
        texts, at = [], RECORD.size
        for length in (agent, c1, c2, c3, c4, c5):
            check(at + length <= len(data), "a text beyond the record's end")
            texts.append(_text(data[at : at + length]))
            at += length
        record = cls(
            uuid.UUID(bytes=id_), time, channel, texts[0], epoch, sequence, (previous[0], previous[1]),
            texts[1], texts[2], schema, texts[3], content, uuid.UUID(bytes=causation),
            uuid.UUID(bytes=correlation), texts[4], texts[5], policy, data[at:])  # fmt: skip
        record.check()
        return record


@dataclass
class Frame:
    """Records of one lane on their way to the agent ``via``; ``remaining`` is in microseconds."""

    via: str
    topology_version: int
    hops: int
    remaining: int | None
    records: list[Record]
    packed: bool = False

    def check(self) -> None:
        check(1 <= len(self.records) <= 256, "a frame carries 1 to 256 records")
        check(is_name(self.via), "a bad agent to pass the frame on")
        lanes = {(record.lane, record.channel) for record in self.records}
        check(len(lanes) == 1, "the records are of several lanes")
        if self.packed:
            check(self.records[0].channel == 2, "a packed frame is not of the realtime channel")
            for last, record in zip(self.records, self.records[1:]):
                check(record.previous == (last.epoch, last.sequence), "a record does not follow the one before it")
                check(record.time >= last.time, "a record's time lies before that of the one before it")

    def encode(self) -> bytes:
        self.check()
        topic = f"{self.via}/{self.records[0].lane}".encode()
        remaining = ENDLESS if self.remaining is None else min(max(self.remaining, 0), ENDLESS - 1)
        head = FRAME.pack(2 if self.packed else 1, self.hops, self.topology_version, remaining, len(self.records) - 1)
        body = pack(self.records) if self.packed else b"".join(record.encode() for record in self.records)
        checked = topic + head + body if self.packed else topic + head
        return topic + b"\0" + struct.pack("<I", crc32c(checked)) + head + body

    @classmethod
    def decode(cls, data: bytes) -> Frame:
        topic, end, rest = data.partition(b"\0")
        check(bool(end) and len(rest) >= 4 + FRAME.size, "a frame is cut short")
        crc, head = struct.unpack("<I", rest[:4])[0], rest[4 : 4 + FRAME.size]
        version, hops, topology_version, remaining, last = FRAME.unpack(head)
        check(crc == crc32c(topic + (rest[4:] if version == 2 else head)), "the frame's checksum does not match")
        check(version in (1, 2), "the frame is of another version")
        records, rest = [], rest[4 + FRAME.size :]
        if version == 2:
            records, rest = unpack(rest, last + 1)
        for _ in range(last + 1 - len(records)):
            length = Record.length(rest)
            records.append(Record.decode(rest[:length]))
            rest = rest[length:]
        check(not rest, "bytes beyond the frame's end")
        via = _text(topic).partition("/")[0]
        remains = None if remaining == ENDLESS else remaining
        frame = cls(via, topology_version, hops, remains, records, version == 2)
        frame.check()
        check(topic == f"{via}/{records[0].lane}".encode(), "the topic does not name the records' lane")
        return frame


def pack(records: list[Record]) -> bytes:
    """The body of a frame of version 2."""
    parts: list[bytes] = []
    fronts: list[Record] = []
    newest = 0
    same = ("agent", "addressee", "type", "subject", "principal", "grant", "policy_version", "epoch", "schema_version",
            "content_type")  # fmt: skip
    for record in records:
        distance = record.sequence - record.previous[1] if record.previous[0] == record.epoch else 0
        fits = lambda front: all(getattr(front, name) == getattr(record, name) for name in same)  # noqa: B023, E731
        places = [newest, *range(max(0, len(fronts) - 8), len(fronts))] if fronts and 0 < distance < 1 << 32 else []
        known = next((place for place in places if fits(fronts[place])), None)
        newest = len(fronts) if known is None else known
        causes = 0
        if record.causation.int == 0 and record.correlation == record.id:
            causes = 2
        elif known is not None:
            front = fronts[known]
            causes = int((front.causation, front.correlation) != (record.causation, record.correlation))
        parts.append(
            PACKED.pack(len(record.payload), distance if 0 < distance < 1 << 32 else 0, record.time, record.sequence,
                        record.id.bytes, newest, causes, 0))  # fmt: skip
        if known is None:
            fronts.append(record)
            parts.append(dataclasses.replace(record, payload=b"").encode())
        if causes == 1:
            parts.append(record.causation.bytes + record.correlation.bytes)
        parts.append(record.payload)
    return b"".join(parts)


def unpack(data: bytes, count: int) -> tuple[list[Record], bytes]:
    """The records of a frame of version 2, and what is behind them."""
    records: list[Record] = []
    fronts: list[Record] = []
    for _ in range(count):
        check(len(data) >= PACKED.size, "a record is cut short")
        length, distance, time, sequence, id_, place, causes, reserved = PACKED.unpack_from(data)
        data = data[PACKED.size :]
        check(causes < 3 and reserved == 0, "causes or reserved bytes that are not known")
        check(place <= len(fronts), "a front that is not there")
        if place == len(fronts):
            size = Record.length(data)
            fronts.append(Record.decode(data[:size]))
            check(not fronts[-1].payload, "a front with a payload")
            data = data[size:]
        front, id_ = fronts[place], uuid.UUID(bytes=id_)
        causation, correlation = front.causation, front.correlation
        if causes == 1:
            check(len(data) >= 32, "a record is cut short")
            causation, correlation, data = uuid.UUID(bytes=data[:16]), uuid.UUID(bytes=data[16:32]), data[32:]
        elif causes == 2:
            causation, correlation = uuid.UUID(int=0), id_
        check(len(data) >= length, "a record is cut short")
        check(sequence > distance, "an impossible sequence")
        record = dataclasses.replace(
            front, id=id_, time=time, sequence=sequence, causation=causation, correlation=correlation,
            previous=(front.epoch, sequence - distance) if distance else front.previous, payload=data[:length])  # fmt: skip
        record.check()
        records.append(record)
        data = data[length:]
    return records, data


def control_kind(data: bytes) -> int:
    """The kind of a control message whose magic, checksum and version are right."""
    check(len(data) >= 10 and data[:4] == b"HYC1", "no control message")
    check(struct.unpack_from("<I", data, 4)[0] == crc32c(data[8:]), "the message's checksum does not match")
    check(data[8] == 1, "the message is of another version")
    return data[9]


def control_message(kind: int, fields: bytes) -> bytes:
    """A control message of its kind and its encoded fields."""
    rest = bytes((1, kind)) + fields
    return b"HYC1" + struct.pack("<I", crc32c(rest)) + rest


def _take_text(data: bytes, at: int) -> tuple[str, int]:
    """The text after its length of one byte, and where it ends."""
    check(at < len(data) and at + 1 + data[at] <= len(data), "a text beyond the message's end")
    return _text(data[at + 1 : at + 1 + data[at]]), at + 1 + data[at]


@dataclass
class Greeting:
    """What a node says first; a client that takes a node's place says the same."""

    node: str
    lowest: int
    highest: int
    program: str
    topology_version: int
    topology_hash: int

    def check(self) -> None:
        check(is_name(self.node), "a bad node name")
        check(1 <= self.lowest <= self.highest <= 255, "a bad range of protocol versions")
        check(len(self.program.encode()) <= 63, "the program's version is too long")

    def encode(self) -> bytes:
        self.check()
        node, program = self.node.encode(), self.program.encode()
        return control_message(
            1, bytes((len(node),)) + node + bytes((self.lowest, self.highest, len(program))) + program
            + struct.pack("<IQ", self.topology_version, self.topology_hash))  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Greeting:
        check(control_kind(data) == 1, "no hello")
        node, at = _take_text(data, 10)
        check(at + 2 <= len(data), "a hello is cut short")
        program, end = _take_text(data, at + 2)
        check(len(data) == end + 12, "a hello has the wrong length")
        greeting = cls(node, data[at], data[at + 1], program, *struct.unpack("<IQ", data[end:]))
        greeting.check()
        return greeting


def decode_welcome(data: bytes) -> tuple[str, int, str, int]:
    """Node, chosen protocol version, program and topology version of a welcome."""
    check(control_kind(data) == 2, "no welcome")
    node, at = _take_text(data, 10)
    check(at < len(data) and data[at] > 0, "a welcome without a version")
    program, end = _take_text(data, at + 1)
    check(len(data) == end + 4, "a welcome has the wrong length")
    return node, data[at], program, struct.unpack("<I", data[end:])[0]


def decode_refused(data: bytes) -> tuple[int, str]:
    """Kind and reason of a refusal."""
    check(control_kind(data) == 3 and len(data) > 10, "no refusal")
    reason, end = _take_text(data, 11)
    check(end == len(data), "bytes beyond the refusal's end")
    return data[10], reason


Lane = tuple[str, int, int, str]  # agent, channel, 0 addressee or 1 type, its name
Point = tuple[int, int]  # epoch, sequence


def encode_lane(lane: Lane) -> bytes:
    """A lane as control messages have it."""
    agent, target = lane[0].encode(), lane[3].encode()
    return bytes((len(agent),)) + agent + bytes((lane[1], lane[2], len(target))) + target


def _take_lane(data: bytes, at: int) -> tuple[Lane, Point, int]:
    """A lane and the point behind it, and where that ends."""
    agent, at = _take_text(data, at)
    check(at + 2 <= len(data) and data[at] < len(CHANNELS) and data[at + 1] < 2, "a bad lane")
    target, end = _take_text(data, at + 2)
    check(is_name(agent) and is_name(target, 127), "a bad name of a lane")
    check(end + 16 <= len(data), "a point is cut short")
    return (agent, data[at], data[at + 1], target), struct.unpack_from("<QQ", data, end), end + 16


def decode_heads(data: bytes) -> tuple[bytes, int, list[tuple[Lane, Point]]]:
    """Log, position, and the ends of lanes that have moved."""
    check(control_kind(data) == 5 and len(data) >= 36, "no heads")
    through, count = struct.unpack_from("<QH", data, 26)
    heads, at = [], 36
    for _ in range(count):
        lane, point, at = _take_lane(data, at)
        heads.append((lane, point))
    check(at == len(data), "bytes beyond the heads' end")
    return data[10:26], through, heads


def decode_records(data: bytes) -> tuple[Lane, Point, list[Record]]:
    """Lane, point, and the lane's next records after it."""
    check(control_kind(data) == 7, "no records")
    lane, point, at = _take_lane(data, 10)
    check(at + 2 <= len(data), "an answer is cut short")
    records, (count,) = [], struct.unpack_from("<H", data, at)
    at += 2
    for _ in range(count):
        check(at + 4 <= len(data), "a record is cut short")
        end = at + 4 + struct.unpack_from("<I", data, at)[0]
        check(end <= len(data), "a record is cut short")
        records.append(Record.decode(data[at + 4 : end]))
        at = end
    check(at == len(data), "bytes beyond the last record")
    return lane, point, records


def curve_key(key: bytes) -> bytes:
    """The public key of CURVE of a node with this public key (Ed25519), both 32 bytes."""
    prime = 2**255 - 19
    y = int.from_bytes(key, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, -1, prime) % prime).to_bytes(32, "little")


def curve_secret(seed: bytes) -> bytes:
    """The private key of CURVE that follows from a node's private key, both 32 bytes."""
    secret = bytearray(hashlib.sha512(seed).digest()[:32])
    secret[0] &= 248
    secret[31] = secret[31] & 127 | 64
    return bytes(secret)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WireError("a text is not UTF-8") from error


def examples(page: str) -> dict[str, bytes]:
    """The ```hex NAME blocks of a page. ``#`` begins a comment, ``@NAME`` stands for another block's bytes."""
    found: dict[str, bytes] = {}
    for name, block in re.findall(r"^```hex (\S+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        words = [word for line in block.splitlines() for word in line.partition("#")[0].split()]
        found[name] = b"".join(found[w[1:]] if w[0] == "@" else bytes.fromhex(w) for w in words)
    return found


def self_test() -> None:
    """Decodes each example of docs/wire-format.md, and encodes it again to the same bytes."""
    page = pathlib.Path(__file__).resolve().parent.parent / "docs" / "wire-format.md"
    found = examples(page.read_text(encoding="utf-8"))
    check(crc32c(b"123456789") == 0xE3069283, "the checksum's check value is wrong")
    # RFC 8032, test 1, with what libsodium makes of it.
    key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    curve = (curve_key(bytes.fromhex(key)).hex(), curve_secret(bytes.fromhex(seed)).hex())
    check(curve[0] == "d85e07ec22b0ad881537c2f44d662d1a143cf830c57aca4305d85c7a90f6b62e", "a wrong key of CURVE")
    check(curve[1] == "307c83864f2833cb427a2ef1c00a013cfdff2768d980c0a3a520f006904de94f", "a wrong key of CURVE")
    check({"record", "frame"} <= found.keys(), f"{page} has no examples")
    for name, data in found.items():
        if name.startswith("control-"):
            check(control_kind(data) in range(1, 15), f"{name}: unknown kind")
            if name == "control-hello":
                check(Greeting.decode(data).encode() == data, f"{name}: encodes to other bytes")
            elif name == "control-welcome":
                check(decode_welcome(data) == ("ops", 1, "0.1.0", 3), f"{name}: says something else")
            elif name == "control-refused":
                check(decode_refused(data) == (3, "another topology"), f"{name}: says something else")
            elif name == "control-heads":
                log, through, heads = decode_heads(data)
                lane = ("ana", 0, 1, "invoice.Approved")
                check(log.hex() == "01932f6e000070008000000000000001" and through == 42, f"{name}: says something else")
                check(heads == [(lane, (2, 7))], f"{name}: says something else")
                check(data[36:-16] == encode_lane(lane), f"{name}: encodes to other bytes")
            elif name == "control-records":
                lane, point, records = decode_records(data)
                check((lane[0], point, len(records)) == ("ana", (2, 5), 1), f"{name}: says something else")
                check(records[0].encode() == found["record"], f"{name}: encodes to other bytes")
        else:
            codec = Record if name.startswith("record") else Frame
            check(codec.decode(data).encode() == data, f"{name}: encodes to other bytes")
            for place in range(len(data)):  # Nothing altered is taken.
                try:
                    codec.decode(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
                except WireError:
                    continue
                raise WireError(f"{name}: a flipped bit at byte {place} was not seen")
        print(f"{name}: {len(data)} bytes, as expected")


def show(data: bytes) -> str:
    """A record or frame as a line of JSON."""
    is_record = data[:4] == b"HYR1" and int.from_bytes(data[4:8], "little") == len(data)
    item: Record | Frame = Record.decode(data) if is_record else Frame.decode(data)
    check(item.encode() == data, "it encodes to other bytes")
    return as_json(item)


def as_json(item: Record | Frame) -> str:
    """A record or frame as a line of JSON, its bytes in hexadecimal; ``data`` is a record's payload where that is JSON."""
    plain = lambda value: value.hex() if isinstance(value, bytes) else str(value)  # noqa: E731
    fields = dataclasses.asdict(item)
    if isinstance(item, Record) and item.content_type == 1:
        with contextlib.suppress(ValueError):
            fields["data"] = json.loads(item.payload)
    return json.dumps(fields, default=plain, sort_keys=True)


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--self-test"]:
            self_test()
        elif len(sys.argv) == 1:
            for line in sys.stdin:
                print(show(bytes.fromhex(line)))
        else:
            sys.exit(__doc__)
    except (ValueError, struct.error) as error:  # WireError is a ValueError
        sys.exit(f"hypha_wire.py: {error}")
