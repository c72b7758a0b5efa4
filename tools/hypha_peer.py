#!/usr/bin/env python3
"""Joins a deployment as one of its nodes and takes what is for the agents there: a subscriber of docs/wire-format.md with pyzmq.

    python3 tools/hypha_peer.py "$(hypha validate lab.yaml --greeting)" py eye hq=tcp://127.0.0.1:7410

prints each event as a line of JSON, with `data` where its payload is JSON. The topology file has the node `py` with the agents, here `eye`,
and what they subscribe to; nobody else runs it. Where no kind of the program takes their types they are of kind `exec`, whose command
nobody starts: `eye: {kind: exec, node: py, reports-to: root, subscribes: [OrderPlaced], settings: {command: none}}`. All other nodes are named with their addresses. Each event of the persistent and the alert channel comes once, in the
order of its lane: what is lost on the way is fetched. Realtime events come as they come. Links are plain.
"""

import struct
import sys
import time
from collections.abc import Iterator

import hypha_wire as wire
import zmq

WELCOME, REFUSED, SYNC, HEADS, FETCH, RECORDS = range(2, 8)


class Lane:
    """Puts the events of one lane in order, each once, and says when some are missing."""

    def __init__(self) -> None:
        self.head = self.announced = (0, 0)
        self.parked: dict[wire.Point, wire.Record] = {}  # by the event before each
        self.behind_since = self.asked_at = 0.0

    def take(self, records: list[wire.Record]) -> Iterator[wire.Record]:
        for record in records:
            point = (record.epoch, record.sequence)
            self.announced = max(self.announced, point)
            if point <= self.head:
                continue
            if record.previous < self.head and record.epoch > self.head[0]:
                # A fork: its author has ended before its log had what lies between the two.
                self.head = record.previous
            if len(self.parked) < 256 or record.previous == self.head:
                self.parked[record.previous] = record
            while following := self.parked.pop(self.head, None):
                self.head = (following.epoch, following.sequence)
                yield following
        self.parked = {previous: record for previous, record in self.parked.items() if previous > self.head}

    def fetch_due(self, now: float) -> bool:
        """Whether to fetch now: what is missing may be on its way for 20 ms, and an answer for a second."""
        if self.announced <= self.head:
            self.behind_since = self.asked_at = 0.0
            return False
        self.behind_since = self.behind_since or now
        is_due = now - self.behind_since >= 0.02 and now - self.asked_at >= 1
        self.asked_at = now if is_due else self.asked_at
        return is_due


class Neighbour:
    """Another node: its sockets, and how far into its log this one was told of lanes."""

    def __init__(self, context: zmq.Context, node: str, agents: list[str], name: str, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.name, self.is_greeted, self.asked_at, self.log, self.since = name, False, 0.0, bytes(16), 0
        self.control = context.socket(zmq.DEALER)
        self.control.routing_id = node.encode()
        self.control.connect(f"{host}:{port}")
        self.channels = [context.socket(zmq.SUB) for _ in wire.CHANNELS]
        for offset, channel in enumerate(self.channels, start=1):
            for agent in agents:
                channel.subscribe(f"{agent}/".encode())
            channel.connect(f"{host}:{int(port) + offset}")


class Peer:
    """A node that takes events and states none."""

    def __init__(self, topology: tuple[int, int], node: str, agents: list[str], peers: dict[str, str]) -> None:
        context = zmq.Context()
        self.greeting = wire.Greeting(node, 1, 1, "hypha_peer.py", *topology).encode()
        self.neighbours = [Neighbour(context, node, agents, *peer) for peer in sorted(peers.items())]
        self.lanes: dict[wire.Lane, Lane] = {}
        self.homes: dict[wire.Lane, Neighbour] = {}  # who has said how far a lane goes

    def events(self) -> Iterator[wire.Record]:
        """The events, as they come; without end."""
        poller = zmq.Poller()
        for socket in (socket for one in self.neighbours for socket in (one.control, *one.channels)):
            poller.register(socket, zmq.POLLIN)
        while True:
            self._ask(time.monotonic())
            ready = dict(poller.poll(20))
            for neighbour in self.neighbours:
                for channel in neighbour.channels:
                    if channel in ready:
                        yield from self.take(channel.recv())
                if neighbour.control in ready:
                    yield from self._take_answer(neighbour, neighbour.control.recv())

    def _ask(self, now: float) -> None:
        for neighbour in self.neighbours:
            if now - neighbour.asked_at >= 0.2:
                neighbour.asked_at = now
                if not neighbour.is_greeted:
                    neighbour.control.send(self.greeting)
                neighbour.control.send(wire.control_message(SYNC, neighbour.log + struct.pack("<Q", neighbour.since)))
        for name, neighbour in self.homes.items():
            if (lane := self.lanes[name]).fetch_due(now):
                fields = wire.encode_lane(name) + struct.pack("<QQ", *lane.head)
                neighbour.control.send(wire.control_message(FETCH, fields))

    def take(self, data: bytes) -> Iterator[wire.Record]:
        """What a frame brings."""
        first, *_ = records = wire.Frame.decode(data).records
        if wire.CHANNELS[first.channel] == "realtime":
            yield from records
        else:
            target = (0, first.addressee) if first.addressee else (1, first.type)
            yield from self.lanes.setdefault((first.agent, first.channel, *target), Lane()).take(records)

    def _take_answer(self, neighbour: Neighbour, data: bytes) -> Iterator[wire.Record]:
        kind = wire.control_kind(data)
        if kind == WELCOME:
            neighbour.is_greeted = True
        elif kind == REFUSED:
            refusal, reason = wire.decode_refused(data)
            neighbour.is_greeted = False  # 1: it has started anew
            wire.check(refusal == 1, f"node {neighbour.name} refuses: {reason}")
        elif kind == HEADS:
            neighbour.log, neighbour.since, heads = wire.decode_heads(data)
            for name, point in heads:
                lane = self.lanes.setdefault(name, Lane())
                lane.announced, self.homes[name] = max(lane.announced, point), neighbour
        elif kind == RECORDS:
            name, _, records = wire.decode_records(data)
            if name in self.lanes:
                self.lanes[name].asked_at *= not records  # The rest is due at once.
                yield from self.lanes[name].take(records)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    (version, digits), (node, agents, *peers) = sys.argv[1].split(), sys.argv[2:]
    here = Peer((int(version), int(digits, 16)), node, agents.split(","), dict(p.split("=", 1) for p in peers))
    try:
        for event in here.events():
            print(wire.as_json(event), flush=True)
    except wire.WireError as error:
        sys.exit(f"hypha_peer.py: {error}")
