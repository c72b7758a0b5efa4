#!/usr/bin/env python3
"""Reads the logs of all nodes of a deployment after it has come to rest, and proves from them what it promises.

    python3 tools/hypha_check.py data/lab --topology lab.yaml
    python3 tools/hypha_check.py --self-test            damages a sound deployment in each way, and sees each found

It shares no code with what it checks: it reads blocks and records by tools/hypha_log.py, and whom an event is for from the topology file
(JSON, or YAML where PyYAML is installed). Its rules, by the names under which it tells what breaks them:

    log          positions have no gap; no log has an event twice; each stream is numbered 1, 2, 3, … where it was stated
    owner        only the node that an agent is on in that epoch states its events; what others have of it is the same, and was committed there
    lost         each persistent event, and each committed alert, is in the log of every agent's node that it is for
    doubled      … once
    order        … and each lane in the order in which its author stated it, without a gap
    load         a generator's entries are all there, from 0 to its count, each once and in order; of its alarms each at least once
    effect       what an agent answers each input with (--answers) it has stated exactly once for each
    alert        each alert is acknowledged, once, by each agent that it is for; or it went up, and was acknowledged there or said to be unanswered
    cause        a cause is in its effect's log before it, has a lower time, and the same conversation; each lane's times rise
    witness      what somebody saw in a log while the nodes ran (--witness) is still in its place

and of tools/hypha_check_flows.py

    moved        a move has one number and one order; its agent arrived, once, in an epoch above all before; no epoch is of two nodes
    overseen     what a supervisor is 'in' is in no log but its author's and the supervisor's, and what the supervisor makes of it is caused by it
    pruned       what a log does not have any more is what it says was pruned, and was handled; the witness has seen it, so all rules count it
    realtime     who listens (--heard) is given nothing of one agent and subject that is older than what it was given, and nothing twice
    counted      where no node was killed (--counts), all that was sent has left its node, and what came to a listener's was given to it or is said to be lost there

Alerts that others have and that their author's node lost in a crash are counted as forks: they were never acknowledged. Not for logs that
were restored, or replicas' copies of what nobody takes there.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from typing import Iterator

from hypha_check_world import Deployment, Entry, read, show

# Of the alert channel, and wanting no answer.
NO_QUESTIONS = {"hypha.AlertAcknowledged", "hypha.AlertUnanswered", "hypha.AlertDeadlineSet", "hypha.AlertEscalated"}
ORDERS = {"hypha.AgentMoved", "hypha.MoveRefused", "hypha.TopologyRevised", "hypha.RevisionRefused", "hypha.NodeRetired"}
LOADS = {"entry": "load.Entry", "alarm": "load.Alarm"}
PROBLEMS_MAX = 20


class Checker:
    """Applies the rules, each once; ``problems`` has what breaks them, ``figures`` what was looked at."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.problems: list[str] = []
        self.broken: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        # Where each event was stated; and of each log where it has which.
        self.origin: dict[str, Entry] = {}
        self.places: dict[str, dict[str, Entry]] = {}
        # Each log with what was pruned of it, as far as it was seen.
        self.whole: dict[str, list[Entry]] = {}
        # The first epoch of each agent on each node that it was moved to.
        self.arrivals: dict[str, list[tuple[int, str]]] = {}

    def say(self, rule: str, problem: str) -> None:
        self.broken[rule] += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"{rule}: {problem}")

    def check(self) -> "Checker":
        # Not above: it imports this file.
        import hypha_check_flows

        hypha_check_flows.moves(self)
        hypha_check_flows.pruned(self)
        for rule in (self.logs, self.owners, self.deliveries, self.loads, self.effects, self.alerts, self.causes, self.witness):
            rule()
        hypha_check_flows.arrivals(self)
        hypha_check_flows.overseen(self)
        hypha_check_flows.realtime(self)
        hypha_check_flows.counted(self)
        return self

    def all(self) -> Iterator[tuple[str, Entry]]:
        for node, log in self.whole.items():
            for entry in log:
                yield node, entry

    def logs(self) -> None:
        for node in self.deployment.nodes:
            log = self.whole.get(node)
            if log is None:
                self.say("log", f"there is none of node {node}")
                continue
            self.places[node] = {}
            streams: dict[tuple, tuple[int, int]] = {}
            for place, entry in enumerate(log, 1):
                if entry.position != place:
                    self.say("log", f"{node} has position {entry.position} where {place} is due")
                if entry.id in self.places[node]:
                    self.say("doubled", f"{show(entry)} is twice in {node}'s log, at {self.places[node][entry.id].position} and {place}")
                self.places[node].setdefault(entry.id, entry)
                if not entry.stated:
                    continue
                self.origin.setdefault(entry.id, entry)
                stream = (entry.agent, entry.channel)
                epoch, sequence = streams.get(stream, (0, 0))
                due = sequence + 1 if entry.epoch == epoch else 1
                if entry.epoch < epoch or entry.sequence != due:
                    self.say("log", f"{show(entry)} is {entry.epoch}/{entry.sequence} of its stream behind {epoch}/{sequence}")
                streams[stream] = (entry.epoch, entry.sequence)
            self.figures["entries"] += len(log)

    def owner(self, entry: Entry) -> str | None:
        """Where an event's author was in the event's epoch; none for a log itself, which is on each node."""
        came = [place for place in self.arrivals.get(entry.agent, []) if place[0] <= entry.epoch]
        return max(came)[1] if came else self.deployment.first_node(entry.agent)

    def owners(self) -> None:
        forks = set()
        for node, entry in self.all():
            owner = self.owner(entry)
            if entry.stated:
                if owner != node and entry.agent != "log":
                    self.say("owner", f"{node} states {show(entry)}, whose author is on {owner}")
                continue
            origin = self.origin.get(entry.id)
            if origin is not None:
                if origin.same != entry.same:
                    self.say("owner", f"{node} has {show(entry)} otherwise than its author's node {owner}")
            elif entry.channel == "alert":
                forks.add(entry.id)
            else:
                self.say("owner", f"{node} has {show(entry)}, which is not in the log of its author's node {owner}")
        self.figures["forks of alerts"] = len(forks)

    def deliveries(self) -> None:
        """What each lane's author has stated is what each log has that takes it, in that order."""
        lanes: dict[tuple, list[Entry]] = defaultdict(list)
        for node, entry in self.all():
            if entry.stated and entry.channel != "realtime" and entry.agent != "log":
                lanes[entry.lane].append(entry)
        had: dict[tuple[str, tuple], list[str]] = defaultdict(list)
        for node, entry in self.all():
            if entry.id in self.origin:
                had[node, entry.lane].append(entry.id)
        for lane, entries in lanes.items():
            last = (0, 0)
            # Two logs have what a moved agent has stated.
            entries.sort(key=lambda entry: (entry.epoch, entry.sequence))
            for entry in entries:
                if entry.previous != last:
                    self.say("order", f"{show(entry)} names {entry.previous} before it in its lane, not {last}")
                last = (entry.epoch, entry.sequence)
            # Subscriptions may leave out subjects, so whom an event is for is asked of each.
            wanted: dict[str, list[str]] = defaultdict(list)
            for entry in entries:
                self.figures[f"{entry.channel} events"] += 1
                for agent in self.deployment.audience(entry):
                    self.figures[f"{entry.channel} deliveries"] += 1
                    node = self.deployment.node(agent) or "?"
                    if not wanted[node] or wanted[node][-1] != entry.id:
                        wanted[node].append(entry.id)
            for node, ids in wanted.items():
                self.compare(node, lane, ids, had[node, lane])

    def compare(self, node: str, lane: tuple, wanted: list[str], had: list[str]) -> None:
        if wanted == had:
            return
        counts, due = Counter(had), set(wanted)
        for id_ in wanted:
            if counts[id_] != 1:
                rule = "lost" if counts[id_] == 0 else "doubled"
                self.say(rule, f"{show(self.origin[id_])} is {counts[id_]} times in the log of {node}, which it is for")
        if [id_ for id_ in dict.fromkeys(had) if id_ in due] != [id_ for id_ in wanted if counts[id_]]:
            self.say("order", f"{node} has the lane {'/'.join(lane)} in another order than its author")

    def loads(self) -> None:
        indices: dict[tuple[str, str], list[int]] = defaultdict(list)
        for _, entry in sorted(self.all(), key=lambda row: (row[1].agent, row[1].epoch, row[1].sequence)):
            if entry.stated and entry.type in LOADS.values():
                indices[entry.agent, entry.type].append(entry.said.get("index", -1))
        for name, agent in self.deployment.agents.items():
            settings = agent.get("settings", {})
            if agent.get("kind") != "generator" or settings.get("event") not in LOADS:
                continue
            found = indices[name, LOADS[settings["event"]]]
            due = list(range(settings["count"]))
            # An alarm leaves before its handler's commit, and comes again as a new one where that was lost.
            if settings["event"] == "alarm":
                found = list(dict.fromkeys(found))
            if found != due:
                lacking = sorted(set(due) - set(found))
                self.say("load", f"{name} has stated {len(found)} of {len(due)}; of these are missing {lacking[:5]}")
            self.figures["load"] += len(found)

    def effects(self) -> None:
        caused: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for _, entry in self.all():
            if entry.stated and entry.causation:
                caused[entry.agent, entry.type][entry.causation] += 1
        for agent, type_ in self.deployment.answers:
            for entry in self.origin.values():
                if entry.channel == "persistent" and agent in self.deployment.audience(entry):
                    count = caused[agent, type_][entry.id]
                    self.figures["effects"] += count
                    if count != 1:
                        self.say("effect", f"{agent} has answered {show(entry)} with {count} of {type_}")

    def alerts(self) -> None:
        answers: Counter[tuple[str, str]] = Counter()
        by_hand: set[str] = set()
        escalations: dict[str, list[Entry]] = defaultdict(list)
        given_up: dict[str, set[str]] = defaultdict(set)
        for _, entry in self.all():
            if not entry.stated or entry.channel != "alert":
                continue
            if entry.type == "hypha.AlertAcknowledged":
                answers[entry.agent, entry.causation or ""] += 1
                if entry.said.get("by"):
                    by_hand.add(entry.causation or "")
            elif entry.type == "hypha.AlertEscalated":
                escalations[entry.said["alert"].lower()].append(entry)
            elif entry.type == "hypha.AlertUnanswered":
                given_up[entry.said["alert"].lower()].update(entry.said["unanswered"])
        for (agent, alert), count in answers.items():
            if count > 1 and alert not in by_hand:
                self.say("alert", f"{agent} has acknowledged {alert} {count} times")
        for entry in self.origin.values():
            if entry.channel != "alert" or entry.type in NO_QUESTIONS:
                continue
            for agent in self.deployment.audience(entry):
                above = [step for step in escalations[entry.id] if agent in step.said["unanswered"]]
                self.figures["alerts escalated"] += bool(above)
                if answers[agent, entry.id] or entry.id in by_hand:
                    self.figures["alerts acknowledged"] += 1
                elif any(answers[step.addressee or "", step.id] for step in above):
                    self.figures["alerts acknowledged above"] += 1
                elif agent in given_up[entry.id]:
                    self.figures["alerts said to be unanswered"] += 1
                    if not above and "reports-to" in self.deployment.agents[agent]:
                        self.say("alert", f"nobody above {agent} was told of {show(entry)} before it was given up")
                else:
                    self.say("alert", f"{show(entry)} is neither acknowledged by {agent} nor answered above")

    def causes(self) -> None:
        last: dict[tuple, int] = {}
        # Two logs have what a moved agent has stated.
        for entry in sorted((entry for _, entry in self.all() if entry.stated), key=lambda entry: (entry.epoch, entry.sequence)):
            if entry.time <= last.get(entry.lane, 0) and entry.agent != "log":
                self.say("cause", f"{show(entry)} has no higher time than the event before it in its lane")
            last[entry.lane] = entry.time
        # Who orders in the place of another says again what that has ordered, because of wishes that only that was given.
        first: dict[tuple, int] = {}
        for _, entry in self.all():
            key = (entry.type, entry.causation)
            first[key] = min(entry.time, first.get(key, entry.time))
        for node, entry in self.all():
            if not entry.causation or entry.causation == entry.id:
                continue
            cause = self.places[node].get(entry.causation) or self.origin.get(entry.causation)
            if cause is None:
                self.figures["causes in no log"] += entry.stated
                continue
            if cause.time >= entry.time:
                self.say("cause", f"{show(entry)} has time {entry.time}, its cause {show(cause)} {cause.time}")
            if cause.correlation != entry.correlation:
                self.say("cause", f"{show(entry)} is of another conversation than its cause {show(cause)}")
            if entry.stated:
                self.figures["causes"] += 1
                here = self.places[node].get(entry.causation)
                if entry.type in ORDERS and entry.time > first[entry.type, entry.causation]:
                    continue
                if here is None or here.position >= entry.position:
                    self.say("cause", f"{node} states {show(entry)} before it has its cause {show(cause)}")

    def witness(self) -> None:
        for node, position, id_ in self.deployment.seen:
            log = self.whole.get(node, [])
            found = log[position - 1].id if 0 < position <= len(log) else "nothing"
            if found != id_:
                self.say("witness", f"{node} had {id_} at {position}, and has {found} there now")
        self.figures["seen before"] = len(self.deployment.seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="the deployment's data directory")
    parser.add_argument("--topology", help="its topology file")
    parser.add_argument("--witness", help="lines of JSON with 'node', 'position' and 'id' of what was in a log")
    parser.add_argument("--answers", action="append", default=[], metavar="AGENT=TYPE",
                        help="the agent answers each persistent event that it is given with one of this type")  # fmt: skip
    parser.add_argument("--heard", help="a directory with AGENT.jsonl: what each listener was given of the realtime channel, a line each")
    parser.add_argument("--counts", help="a file in JSON: 'sent' by author, 'heard' from which line on by listener, 'lost' and 'passed' as 'hypha losses --json' has them")
    parser.add_argument("--try-damages", action="store_true", help="damage what was read, in memory, and see each damage found")
    parser.add_argument("--self-test", action="store_true", help="the same with an example")
    options = parser.parse_args()
    # Not above: it imports this file.
    import hypha_check_test

    if options.self_test:
        world = hypha_check_test.example()
    elif options.data and options.topology:
        world = read(options.data, options.topology, options.witness, options.answers, options.heard, options.counts)
    else:
        parser.error("a data directory and --topology are needed, or --self-test")
    checker = Checker(world).check()
    for problem in checker.problems:
        print(problem)
    if checker.problems:
        print(f"broken: {', '.join(f'{rule} {count}' for rule, count in sorted(checker.broken.items()))}")
        return 1
    print("sound: " + ", ".join(f"{name} {count:,}" for name, count in checker.figures.items()))
    if options.try_damages or options.self_test:
        missed = hypha_check_test.try_damages(world)
        for what in missed:
            print(f"missed: {what}")
        if missed:
            return 1
        print(f"of {len(hypha_check_test.DAMAGES)} damages all are found")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"hypha_check: {error}")
