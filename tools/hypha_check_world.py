"""What tools/hypha_check.py knows of a deployment: its topology file, each node's log, and what was seen and heard while it ran."""

from __future__ import annotations

import hashlib
import json
import pathlib
from dataclasses import dataclass, field
from typing import Iterable

# Whose payloads rules look into, and at what there.
SAYING = ("load.", "hypha.Alert", "hypha.AgentMoved", "hypha.AgentArrived", "hypha.TopologyRevised", "log.Pruned")
SAID = ("index", "by", "alert", "unanswered", "move", "agent", "from", "to", "node", "epoch", "moves", "first", "last")


@dataclass(slots=True)
class Entry:
    """An event in one node's log."""

    position: int
    stated: bool
    id: str
    time: int
    channel: str
    agent: str
    epoch: int
    sequence: int
    previous: tuple[int, int]
    addressee: str | None
    type: str
    subject: str
    causation: str | None
    correlation: str
    digest: str
    said: dict = field(default_factory=dict)  # the payload, where a rule looks into it

    @property
    def lane(self) -> tuple[str, str, str]:
        return (self.agent, self.channel, f"@{self.addressee}" if self.addressee else f"#{self.type}")

    @property
    def same(self) -> tuple:
        """What is the same in all logs."""
        return (self.id, self.time, self.channel, self.agent, self.epoch, self.sequence, self.previous, self.addressee, self.type,
                self.subject, self.causation, self.correlation, self.digest)  # fmt: skip


@dataclass
class Deployment:
    """What the checker knows: the topology's nodes and agents, each node's log, and what was seen meanwhile as (node, position, id)."""

    nodes: list[str]
    agents: dict[str, dict]
    logs: dict[str, list[Entry]]
    seen: list[tuple[str, int, str]] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    oversight: list[dict] = field(default_factory=list)
    # What a log had at positions that were pruned since, as the witness saw it.
    pruned: dict[str, dict[int, Entry]] = field(default_factory=dict)
    heard: dict[str, list[dict]] = field(default_factory=dict)
    moves: list[dict] = field(default_factory=list)  # in the order of their numbers
    # Of a time in which no node was killed: who has sent how many, from which line on listeners have heard them, and what was lost.
    counts: dict = field(default_factory=dict)
    audiences: dict[tuple[str, str, str], list[str]] = field(default_factory=dict, init=False)

    def first_node(self, agent: str) -> str | None:
        """Where the file has an agent; one that names no node is where its supervisor is. What nodes state themselves is their own."""
        if agent.startswith("hypha.node."):
            return agent.removeprefix("hypha.node.")
        while agent in self.agents:
            if "node" in self.agents[agent]:
                return self.agents[agent]["node"]
            agent = self.agents[agent].get("reports-to", "")
        return None

    def node(self, agent: str) -> str | None:
        """Where an agent is at last."""
        return next((move["to"] for move in reversed(self.moves) if move["agent"] == agent), None) or self.first_node(agent)

    def overseer(self, entry: Entry, mode: str) -> list[str]:
        """The supervisors above an event's author whose rule about its type has this mode, up to the nearest who is 'in'."""
        found, above = [], self.agents.get(entry.agent, {}).get("reports-to")
        while above:
            modes = [rule["mode"] for rule in self.oversight if rule["by"] == above and rule["type"] == entry.type]
            found += [above] * (mode in modes)
            if "in" in modes:
                break
            above = self.agents.get(above, {}).get("reports-to")
        return found

    def audience(self, entry: Entry) -> list[str]:
        """The agents that an event is for."""
        if entry.addressee:
            return [entry.addressee]
        key = (entry.agent, entry.type, entry.subject)
        if key not in self.audiences:
            self.audiences[key] = self._audience(entry)
        return self.audiences[key]

    def _audience(self, entry: Entry) -> list[str]:
        ends = self.overseer(entry, "in")
        takers = [name for name, agent in self.agents.items() if any(takes(to, entry) for to in agent.get("subscribes", []))]
        return [name for name in dict.fromkeys((ends or takers) + self.overseer(entry, "parallel")) if name != entry.agent or name in takers]


def takes(subscription: str | dict, entry: Entry) -> bool:
    if isinstance(subscription, str):
        return subscription == entry.type
    return subscription.get("type") == entry.type and matches(subscription.get("subject", ">"), entry.subject)


def matches(pattern: str, subject: str) -> bool:
    wanted, found = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        if len(found) < len(wanted):
            return False
        wanted, found = wanted[:-1], found[: len(wanted) - 1]
    return len(wanted) == len(found) and all(want in ("*", token) for want, token in zip(wanted, found))


def show(entry: Entry) -> str:
    return f"{entry.type} {entry.id} ({entry.agent}, {entry.channel} {entry.epoch}/{entry.sequence})"


def topology(path: str) -> dict:
    """A topology file. JSON is YAML as well, so one in JSON needs no package."""
    text = pathlib.Path(path).read_text()
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        import yaml
    except ImportError:
        raise ValueError(f"{path} is not JSON, and PyYAML is not installed; install it, or write the file in JSON") from None
    return yaml.safe_load(text)


def entry(raw: dict) -> Entry:
    """An entry as tools/hypha_log.py has it."""
    payload = raw["payload"] or b""
    said = json.loads(payload) if raw["type"].startswith(SAYING) and payload else {}
    return Entry(
        raw["position"], raw["source"] == "stated", raw["id"], raw["time"], raw["channel"], raw["agent"], raw["epoch"],
        raw["sequence"], tuple(raw["previous"]), raw["addressee"], raw["type"], raw["subject"], raw["causation"],
        raw["correlation"], hashlib.sha256(payload).hexdigest()[:16],
        {name: said[name] for name in SAID if name in said})  # fmt: skip


def read(data: str, file: str, witness: str | None, answers: Iterable[str], heard: str | None, counts: str | None) -> Deployment:
    import hypha_log

    world = topology(file)
    nodes = list(world["nodes"])
    logs = {}
    for node in nodes:
        if (pathlib.Path(data) / node / "log" / "data.mdb").exists():
            logs[node] = [entry(raw) for raw in hypha_log.entries(pathlib.Path(data) / node)]
    deployment = Deployment(nodes, world["agents"], logs, oversight=world.get("oversight", []))
    deployment.answers = [(agent, type_) for agent, _, type_ in (answer.partition("=") for answer in answers)]
    if witness:
        for line in pathlib.Path(witness).read_text().splitlines():
            note = json.loads(line)
            deployment.seen.append((note["node"], note["position"], note["id"]))
            if "entry" in note:
                whole = note["entry"] | {"previous": tuple(note["entry"]["previous"])}
                deployment.pruned.setdefault(note["node"], {})[note["position"]] = Entry(**whole)
    for path in sorted(pathlib.Path(heard).glob("*.jsonl")) if heard else []:
        # Who was killed may have left half a line.
        deployment.heard[path.stem] = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    if counts:
        deployment.counts = json.loads(pathlib.Path(counts).read_text())
    return deployment
