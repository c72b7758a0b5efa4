"""Rules of tools/hypha_check.py about what is not one agent's lane on one node: moves, oversight, prunes, and the realtime channel."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypha_check import Checker


def moves(checker: "Checker") -> None:
    """Collects where agents were, and sees that each move has one number and begins where the one before has ended."""
    world = checker.deployment
    found: dict[int, dict] = {}
    for log in world.logs.values():
        for entry in log:
            orders = [entry.said] if entry.type == "hypha.AgentMoved" else entry.said.get("moves", []) if entry.type == "hypha.TopologyRevised" else []
            for order in orders:
                move = {name: order[name] for name in ("move", "agent", "from", "to")}
                if found.setdefault(move["move"], move) != move:
                    checker.say("moved", f"move {move['move']} is {found[move['move']]} and {move}")
            if entry.type == "hypha.AgentArrived" and entry.stated:
                checker.arrivals.setdefault(entry.said["agent"], []).append((entry.said["epoch"], entry.said["node"]))
    world.moves = [found[number] for number in sorted(found)]
    if sorted(found) != list(range(1, len(found) + 1)):
        checker.say("moved", f"moves have the numbers {sorted(found)}")
    places: dict[str, str | None] = {}
    for move in world.moves:
        place = places.get(move["agent"], world.first_node(move["agent"]))
        if place != move["from"]:
            checker.say("moved", f"move {move['move']} takes {move['agent']} from {move['from']}, and it is on {place}")
        places[move["agent"]] = move["to"]
    checker.figures["moves"] = len(found)


def arrivals(checker: "Checker") -> None:
    """Each move was followed, once and in order, and no epoch is of two nodes."""
    came: Counter[tuple[int, str]] = Counter()
    last: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    stated = [entry for _, entry in checker.all() if entry.stated]
    for entry in sorted((entry for entry in stated if entry.type == "hypha.AgentArrived"), key=lambda entry: entry.said["move"]):
        said = entry.said
        came[said["move"], said["node"]] += 1
        if said["epoch"] <= last[said["agent"]][1]:
            checker.say("moved", f"{said['agent']} arrived by move {said['move']} in epoch {said['epoch']}, by move {last[said['agent']][0]} in {last[said['agent']][1]}")
        last[said["agent"]] = (said["move"], said["epoch"])
    for move in checker.deployment.moves:
        if came[move["move"], move["to"]] != 1:
            checker.say("moved", f"{move['agent']} has arrived {came[move['move'], move['to']]} times on {move['to']} by move {move['move']}")
    homes: dict[tuple[str, int], set[str]] = defaultdict(set)
    for node, entry in checker.all():
        if entry.stated and entry.agent != "log":
            homes[entry.agent, entry.epoch].add(node)
    for (agent, epoch), nodes in homes.items():
        if len(nodes) > 1:
            checker.say("moved", f"epoch {epoch} of {agent} is of {sorted(nodes)}")


def pruned(checker: "Checker") -> None:
    """Fills the gaps of each log with what was seen there before, where the log says that this was pruned."""
    world = checker.deployment
    for node, log in world.logs.items():
        checker.whole[node] = whole = []
        seen = world.pruned.get(node, {})
        # A prune takes the words of those before it, too.
        said = [
            (entry.said["first"], entry.said["last"], entry.position)
            for entry in (*log, *seen.values()) if entry.type == "log.Pruned" and entry.agent == "log"
        ]  # fmt: skip
        last = 0
        for entry in log:
            for position in range(last + 1, entry.position):
                checker.figures["pruned"] += 1
                if not any(first <= position <= end < place for first, end, place in said):
                    checker.say("pruned", f"{node} has nothing at {position}, and does not say that it was pruned")
                elif position not in seen:
                    checker.say("pruned", f"nobody has seen what {node} had at {position}")
                else:
                    whole.append(seen[position])
            whole.append(entry)
            last = max(last, entry.position)


def overseen(checker: "Checker") -> None:
    """What a supervisor is 'in' ends there."""
    world = checker.deployment
    for entry in list(checker.origin.values()):
        ends = world.overseer(entry, "in") if entry.channel != "realtime" and not entry.addressee else []
        if not ends:
            continue
        checker.figures["events that end at a supervisor"] += 1
        allowed = {node for agent in (entry.agent, *ends) for node in places(checker, agent)}
        for node, had in checker.places.items():
            if entry.id in had and node not in allowed:
                checker.say("overseen", f"{node} has {entry.type} {entry.id}, which ends at {ends[0]}")
    # What a supervisor who is 'in' states of what it takes is caused by it: nothing passes without.
    for rule in world.oversight:
        passes = {type_ for agent, type_ in world.answers if agent == rule["by"]} if rule["mode"] == "in" else set()
        for entry in checker.origin.values():
            if entry.type not in passes:
                continue
            cause = checker.origin.get(entry.causation or "")
            if entry.agent != rule["by"] or cause is None or rule["by"] not in world.audience(cause):
                checker.say("overseen", f"{entry.type} {entry.id} of {entry.agent} is not caused by what {rule['by']} oversees")
            checker.figures["events that passed one"] += 1


def places(checker: "Checker", agent: str) -> set[str | None]:
    """The nodes that an agent was on."""
    return {checker.deployment.first_node(agent)} | {move["to"] for move in checker.deployment.moves if move["agent"] == agent}


def counted(checker: "Checker") -> None:
    """While no node was killed all is known: what a program sent has left its node, and what came to a listener's node was given to it or is said to
    be lost there. What was sent and did not come was lost on the way; that the nodes know of each that they have dropped, losses-counted proves."""
    counts = checker.deployment.counts
    if not counts:
        return
    passed = {(row["agent"], row["from"]): row for row in counts["passed"]}
    for listener, first in counts["heard"].items():
        heard = Counter(line["from"] for line in checker.deployment.heard[listener][first:] if "id" in line)
        home = checker.deployment.node(listener)
        for author, count in counts["sent"].items():
            row = passed.get((listener, author), {"sent": 0, "arrived": 0})
            at_home = sum(
                row["count"] for row in counts["lost"]
                if (row["agent"], row["from"], row["at"]) == (listener, author, home) and row["cause"] not in ("refused", "lost on a link")
            )  # fmt: skip
            checker.figures["realtime events counted"] += count
            checker.figures["realtime events lost"] += count - heard[author]
            if row["sent"] != count:
                checker.say("counted", f"{author} has sent {count}, and its node counts {row['sent']} for {listener}")
            if row["arrived"] > row["sent"]:
                checker.say("counted", f"of {row['sent']} of {author} {row['arrived']} came to the node of {listener}")
            if heard[author] + at_home != row["arrived"]:
                checker.say("counted", f"of {row['arrived']} of {author} that came {listener} was given {heard[author]}, and {at_home} are said to be lost")


def realtime(checker: "Checker") -> None:
    """Of one agent and subject nothing older follows, and nothing comes twice. A listener's node that starts anew has forgotten what it gave."""
    for listener, lines in checker.deployment.heard.items():
        last: dict[tuple[str, str], tuple] = {}
        ids: set[str] = set()
        for line in lines:
            if "began" in line:
                last = {}
                continue
            checker.figures["realtime events heard"] += 1
            if line["id"] in ids:
                checker.say("realtime", f"{listener} was given {line['id']} of {line['from']} twice")
            ids.add(line["id"])
            key, time = (line["from"], line["subject"]), line["time"]
            if time < last.get(key, ""):
                checker.say("realtime", f"{listener} was given {line['id']} of {line['from']}, stated at {time}, after one of {last[key]}")
            last[key] = time
