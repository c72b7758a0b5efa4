"""How it is known that tools/hypha_check.py finds what is broken: copies of a sound deployment are damaged in memory, each in one way, and
the rule that is there for it must say so.

    python3 tools/hypha_check.py --self-test                              an example made by hand, which needs no log
    python3 tools/hypha_check.py DATA --topology FILE --try-damages       what was read
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Callable

from hypha_check import NO_QUESTIONS, Checker
from hypha_check_world import Deployment, Entry


def copies(deployment: Deployment, *types: str, stated: bool = False) -> list[tuple[str, int]]:
    """Where logs have events of these types that others have stated, or that they have stated themselves."""
    return [
        (node, place) for node, log in deployment.logs.items() for place, entry in enumerate(log)
        if entry.type in types and entry.stated == stated
    ]  # fmt: skip


def renumber(log: list[Entry]) -> None:
    for place, entry in enumerate(log, 1):
        entry.position = place


def lose(world: Deployment) -> None:
    node, place = copies(world, "load.Entry")[-1]
    del world.logs[node][place]
    renumber(world.logs[node])


def lose_everywhere(world: Deployment) -> None:
    node, place = copies(world, "load.Entry", stated=True)[-1]
    id_ = world.logs[node][place].id
    for log in world.logs.values():
        log[:] = [entry for entry in log if entry.id != id_ and entry.causation != id_]
        renumber(log)


def double(world: Deployment) -> None:
    node, place = copies(world, "load.Entry")[-1]
    world.logs[node].append(dataclasses.replace(world.logs[node][place]))
    renumber(world.logs[node])


def reorder(world: Deployment) -> None:
    node, place = copies(world, "load.Entry")[-1]
    log = world.logs[node]
    before = max(at for at in range(place) if log[at].lane == log[place].lane)
    log[before], log[place] = log[place], log[before]
    renumber(log)


def alter(world: Deployment) -> None:
    node, place = copies(world, "load.Entry")[-1]
    world.logs[node][place].digest = "altered"


def forge(world: Deployment) -> None:
    """A node has an entry that its author's node does not: what was delivered and then lost."""
    node, place = copies(world, "load.Entry", stated=True)[-1]
    id_ = world.logs[node][place].id
    world.logs[node] = [entry for entry in world.logs[node] if entry.id != id_]
    renumber(world.logs[node])


def unanswer(world: Deployment) -> None:
    """An alert whose acknowledgement is nowhere, and that nobody was told of."""
    stated = {entry.causation: entry for log in world.logs.values() for entry in log if entry.type == "hypha.AlertAcknowledged"}
    alerts = [world.logs[node][place].id for node, place in copies(world, "load.Alarm", stated=True)]
    told = {entry.said["alert"].lower() for log in world.logs.values() for entry in log if entry.type == "hypha.AlertEscalated"}
    answer = next(stated[id_] for id_ in alerts if id_ in stated and id_ not in told)
    for log in world.logs.values():
        log[:] = [entry for entry in log if entry.id != answer.id]
        renumber(log)


def answer_twice(world: Deployment) -> None:
    node, place = copies(world, "hypha.AlertAcknowledged", stated=True)[-1]
    last = world.logs[node][place]
    world.logs[node].append(dataclasses.replace(last, id="another", sequence=last.sequence + 1, time=last.time + 1))
    renumber(world.logs[node])


def age(world: Deployment) -> None:
    """A cause gets a later time than its effect, in all logs."""
    caused = {entry.causation for log in world.logs.values() for entry in log if entry.stated}
    id_ = next(
        world.logs[node][place].id for node, place in reversed(copies(world, "load.Entry", stated=True))
        if world.logs[node][place].id in caused
    )  # fmt: skip
    late = max(entry.time for log in world.logs.values() for entry in log) + 1
    for log in world.logs.values():
        for entry in log:
            if entry.id == id_:
                entry.time = late


def precede(world: Deployment) -> None:
    """A node states an effect before its log has the cause."""
    for log in world.logs.values():
        ids = {entry.id: place for place, entry in enumerate(log)}
        for place, entry in enumerate(log):
            cause = ids.get(entry.causation or "")
            if entry.stated and entry.type not in NO_QUESTIONS and cause is not None and not log[cause].stated:
                log.insert(place + 1, log.pop(cause))
                return renumber(log)


def answer_again(world: Deployment) -> None:
    agent, type_ = world.answers[0]
    for log in world.logs.values():
        found = [entry for entry in log if entry.stated and entry.agent == agent and entry.type == type_]
        if found:
            last = found[-1]
            log.append(dataclasses.replace(
                last, id="again", sequence=last.sequence + 1, time=log[-1].time + 1, previous=(last.epoch, last.sequence)))  # fmt: skip
            return renumber(log)


def forget(world: Deployment) -> None:
    """A log ends before what was seen in it."""
    node, position, _ = max(world.seen, key=lambda note: note[1])
    world.logs[node] = world.logs[node][: position - 1]


def not_arrive(world: Deployment) -> None:
    node, place = copies(world, "hypha.AgentArrived", stated=True)[-1]
    del world.logs[node][place]
    renumber(world.logs[node])


def work_on(world: Deployment) -> None:
    """An agent's former node states an event in an epoch that the agent's new one has entered."""
    node, place = copies(world, "hypha.AgentArrived", stated=True)[-1]
    said = world.logs[node][place].said
    former = next(
        entry for other, log in world.logs.items() if other != node
        for entry in log if entry.stated and entry.agent == said["agent"] and entry.channel == "persistent"
    )  # fmt: skip
    log = next(log for log in world.logs.values() if former in log)
    log.append(dataclasses.replace(former, id="late", epoch=said["epoch"], sequence=1, time=max(entry.time for entry in log) + 1))
    renumber(log)


def let_through(world: Deployment) -> None:
    """What ends at a supervisor comes to a node that is not its own."""
    checker = Checker(world).check()
    entry = next(entry for entry in reversed(checker.origin.values()) if world.overseer(entry, "in"))
    log = next(log for node, log in world.logs.items() if entry.id not in checker.places[node])
    log.append(dataclasses.replace(entry, stated=False))
    renumber(log)


def pass_unasked(world: Deployment) -> None:
    """What passes a supervisor is not caused by what it oversees."""
    rule = next(rule for rule in world.oversight if rule["mode"] == "in")
    type_ = next(type_ for agent, type_ in world.answers if agent == rule["by"])
    for log in world.logs.values():
        for entry in log:
            if entry.type == type_:
                entry.causation = None


def prune_silently(world: Deployment) -> None:
    node = next(node for node, log in world.logs.items() if all(entry.type != "log.Pruned" for entry in log))
    world.pruned = world.pruned | {node: {1: world.logs[node].pop(0)}}


def hear_twice(world: Deployment) -> None:
    lines = next(lines for lines in world.heard.values() if any("id" in line for line in lines))
    lines.append(next(line for line in reversed(lines) if "id" in line))


def hear_older(world: Deployment) -> None:
    for lines in world.heard.values():
        for line, after in zip(lines, lines[1:]):
            if "id" in line and "id" in after and (line["from"], line["subject"]) == (after["from"], after["subject"]) and line["time"] < after["time"]:
                place = lines.index(line)
                lines[place], lines[place + 1] = after, line
                return
    raise ValueError("nobody has heard two in a row")


def lose_silently(world: Deployment) -> None:
    for listener, first in world.counts["heard"].items():
        del world.heard[listener][first:]


def lose_too_many(world: Deployment) -> None:
    listener, _ = next(iter(world.counts["heard"].items()))
    row = {"agent": listener, "from": next(iter(world.counts["sent"])), "at": world.node(listener), "cause": "expired", "count": 1_000_000}
    world.counts = world.counts | {"lost": [*world.counts["lost"], row]}


def usurp(world: Deployment) -> None:
    node, place = copies(world, "load.Entry")[-1]
    world.logs[node][place].stated = True


DAMAGES: dict[str, tuple[str, Callable[[Deployment], None]]] = {
    "an entry that a subscriber's log lacks": ("lost", lose),
    "an entry that all logs lack": ("load", lose_everywhere),
    "an entry twice in a log": ("doubled", double),
    "two entries of a lane that changed places": ("order", reorder),
    "an entry whose payload was altered": ("owner", alter),
    "an entry that its author's node has lost": ("owner", forge),
    "an entry that another node states": ("owner", usurp),
    "an alarm that nobody answered": ("alert", unanswer),
    "an alarm that was acknowledged twice": ("alert", answer_twice),
    "a cause with a later time than its effect": ("cause", age),
    "an effect before its cause": ("cause", precede),
    "an input that was answered twice": ("effect", answer_again),
    "a log that lost its end": ("witness", forget),
    "a moved agent that did not arrive": ("moved", not_arrive),
    "a moved agent that works on where it was": ("moved", work_on),
    "an event that its supervisor did not end": ("overseen", let_through),
    "an event that passed without being asked for": ("overseen", pass_unasked),
    "a log that lost its beginning": ("pruned", prune_silently),
    "a realtime event that was given twice": ("realtime", hear_twice),
    "a realtime event that is older than the one before": ("realtime", hear_older),
    "realtime events that nobody says were lost": ("counted", lose_silently),
    "realtime events that were not lost and are said to be": ("counted", lose_too_many),
}


def made_whole(world: Deployment) -> Deployment:
    """A copy with what was pruned in its place."""
    return copy(dataclasses.replace(world, logs=Checker(world).check().whole))


def copy(world: Deployment) -> Deployment:
    logs = {node: [dataclasses.replace(entry, said=dict(entry.said)) for entry in log] for node, log in world.logs.items()}
    heard = {listener: list(lines) for listener, lines in world.heard.items()}
    return dataclasses.replace(world, logs=logs, seen=list(world.seen), heard=heard)


def try_damages(world: Deployment) -> list[str]:
    """Damages copies of a sound deployment, and returns what was not found."""
    missed = []
    sound = made_whole(world)
    for name, (rule, damage) in DAMAGES.items():
        broken = copy(sound)
        try:
            damage(broken)
        except (IndexError, StopIteration, ValueError):
            missed.append(f"{name}: the deployment has nothing of the kind")
            continue
        found = Checker(broken).check().broken
        if not found[rule]:
            missed.append(f"{name}: rule '{rule}' does not find it; found was {dict(found)}")
    return missed


def example() -> Deployment:
    """A sound deployment of three nodes, made by hand: six entries and two alarms of a, taken, acknowledged and answered on b, and an alarm that
    nobody answers; an agent that moves from a to b; requests that end at a supervisor on b, who passes them to c; a log that was pruned; and
    a listener."""
    agents: dict[str, dict] = {
        "root": {"kind": "supervisor", "node": "a"},
        "source": {"kind": "generator", "node": "a", "reports-to": "root", "settings": {"event": "entry", "count": 6}},
        "siren": {"kind": "generator", "node": "a", "reports-to": "root", "settings": {"event": "alarm", "count": 3}},
        "echo": {"kind": "exec", "node": "b", "reports-to": "root", "subscribes": ["load.Entry"]},
        "desk": {"kind": "recorder", "node": "b", "reports-to": "root"},
        "boss": {"kind": "exec", "node": "b", "reports-to": "root"},
        "asker": {"kind": "exec", "node": "a", "reports-to": "boss"},
        "clerk": {"kind": "recorder", "node": "c", "reports-to": "root", "subscribes": ["test.Asked", "test.Passed"]},
        "roamer": {"kind": "exec", "node": "a", "reports-to": "root"},
    }
    world = Deployment(["a", "b", "c"], agents, {"a": [], "b": [], "c": []}, answers=[("echo", "test.Seen"), ("boss", "test.Passed")])
    world.oversight = [{"type": "test.Asked", "by": "boss", "mode": "in"}]
    lanes: dict[tuple, tuple[int, int]] = {}
    streams: Counter[tuple] = Counter()

    def state(
        node: str, agent: str, channel: str, type_: str, /, addressee: str | None = None, cause: Entry | None = None, in_epoch: int = 1,
        **said: object
    ) -> Entry:
        count = sum(len(log) for log in world.logs.values()) + 1
        streams[agent, channel, in_epoch] += 1
        new = Entry(
            len(world.logs[node]) + 1, True, f"event-{count}", count, channel, agent, in_epoch, streams[agent, channel, in_epoch], (0, 0), addressee, type_,
            "a.b", cause.id if cause else None, cause.correlation if cause else f"talk-{count}", "payload", dict(said))  # fmt: skip
        new.previous = lanes.get(new.lane, (0, 0))
        lanes[new.lane] = (in_epoch, new.sequence)
        world.logs[node].append(new)
        return new

    def bring(entry: Entry, node: str) -> None:
        world.logs[node].append(dataclasses.replace(entry, position=len(world.logs[node]) + 1, stated=False))

    for index in range(6):
        event = state("a", "source", "persistent", "load.Entry", index=index)
        bring(event, "b")
        state("b", "echo", "persistent", "test.Seen", cause=event)
        asked = state("a", "asker", "persistent", "test.Asked")
        bring(asked, "b")
        bring(state("b", "boss", "persistent", "test.Passed", cause=asked), "c")
    for index in range(3):
        alarm = state("a", "siren", "alert", "load.Alarm", addressee="desk", index=index)
        bring(alarm, "b")
        if index < 2:
            bring(state("b", "desk", "alert", "hypha.AlertAcknowledged", addressee="siren", cause=alarm), "a")
    lost = {"alert": alarm.id, "unanswered": ["desk"]}
    state("a", "siren", "alert", "hypha.AlertEscalated", addressee="root", cause=alarm, **lost)
    state("a", "siren", "alert", "hypha.AlertUnanswered", cause=alarm, **lost)
    bring(state("a", "roamer", "persistent", "test.Roamed"), "b")
    order = state("a", "hypha.node.a", "persistent", "hypha.AgentMoved", move=1, agent="roamer", **{"from": "a", "to": "b"})
    bring(order, "b")
    state("b", "hypha.node.b", "persistent", "hypha.AgentArrived", cause=order, move=1, agent="roamer", node="b", epoch=2)
    state("b", "roamer", "persistent", "test.Roamed", in_epoch=2)
    world.seen = [(node, len(log), log[-1].id) for node, log in world.logs.items()]
    state("c", "log", "persistent", "log.Pruned", first=1, last=3)
    world.pruned["c"] = {entry.position: entry for entry in world.logs["c"][:3]}
    del world.logs["c"][:3]
    world.heard["clerk"] = [{"began": 1}] + [{"id": f"signal-{index}", "from": "source", "subject": "a", "time": f"{index}"} for index in range(3)]
    world.counts = {"sent": {"source": 4}, "heard": {"clerk": 0}, "passed": [{"agent": "clerk", "from": "source", "sent": 4, "arrived": 4}], "lost": [
        {"agent": "clerk", "from": "source", "count": 1, "at": "c", "cause": "expired"}]}  # fmt: skip
    return world
