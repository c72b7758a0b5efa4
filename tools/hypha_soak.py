"""What tools/soak runs: its deployment, and each node's disk, process and witness."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading

import hypha_check_world
import hypha_log

TOOLS = pathlib.Path(__file__).resolve().parent
NODES = ["n1", "n2", "n3", "n4", "n5"]
# How many answers exec agents give to each input: one of this type.
ANSWERS = {"echo-3": "soak.Seen", "echo-5": "soak.SeenAgain", "asker-4": "soak.Asked", "desk-2": "soak.Passed", "tell-1": "soak.Told",
           "tell-3": "soak.ToldToo"}  # fmt: skip
# Whose log is pruned; what it is the only one to have is not for agents that are moved.
PRUNED = "n5"
# Which agents are moved, and among which nodes.
MOVED = {"echo-3": ["n3", "n4"], "record-4": ["n4", "n1", "n3"], "entries-4": ["n4", "n2"], "asker-4": ["n4", "n3"]}
ECHO = """
import sys
import hypha_agent

agent = hypha_agent.Agent()


@agent.on(sys.argv[1])
def answer(data, event):
    event.publish(sys.argv[2], {"of": event.id})


agent.run()
"""
# Keeps what it is given of the realtime channel in a file of its own, a line each.
EAR = """
import json
import os
import sys
import hypha_agent

agent = hypha_agent.Agent()
file = open(os.path.join(sys.argv[1], sys.argv[2] + ".jsonl"), "a", buffering=1)
# Whoever was killed may have left half a line.
print("" if file.tell() == 0 else "\\n", json.dumps({"began": os.getpid()}), sep="", file=file)


@agent.on("load.Signal")
def hear(data, event):
    said = event.attributes
    print(json.dumps({"id": event.id, "from": event.sender, "subject": said["subject"], "time": said["time"]}), file=file)


agent.run()
"""


def topology(addresses: dict[str, str], keys: str, seconds: float, heard: str = "heard", is_changed: bool = False) -> dict:
    """The deployment: in JSON, which is YAML, so that the checker needs no package for it. ``is_changed``: what it is to become."""

    def load(node: str, event: str, every: int, to: list[str] | None = None, most: float = seconds) -> dict:
        settings = {"event": event, "every": every, "count": max(1, int(most * 1000 / every)), "padding": 40}
        if to:
            settings["to"] = to
        return {"kind": "generator", "node": node, "reports-to": leads[node], "settings": settings}

    def program(node: str, takes: list, gives: list[str], *words: str, to: str | None = None) -> dict:
        settings = {"command": sys.executable, "arguments": list(words),
                    "environment": {"PYTHONPATH": str(TOOLS), "PYTHONDONTWRITEBYTECODE": "1"}}  # fmt: skip
        return {"kind": "exec", "node": node, "reports-to": to or leads[node], "subscribes": takes, "publishes": gives,
                "settings": settings}  # fmt: skip

    def echo(node: str, takes: str, gives: str, subject: str | None = None, to: str | None = None) -> dict:
        return program(node, [{"type": takes, "subject": subject} if subject else takes], [gives], "echo.py", takes, gives, to=to)

    leads = {node: f"lead-{node[1:]}" for node in NODES} | {"n1": "root"}
    agents: dict[str, dict] = {"root": {"kind": "supervisor", "node": "n1"}}
    for node in NODES[1:]:
        agents[leads[node]] = {"kind": "supervisor", "node": node, "reports-to": "root"}
    for node in NODES:
        subscribes = ["load.Entry", "load.Signal"] + (["load.Alarm"] if node in ("n2", "n5") else [])
        agents[f"record-{node[1:]}"] = {"kind": "recorder", "node": node, "reports-to": leads[node], "subscribes": subscribes}
    agents |= {
        "entries-2": load("n2", "entry", 25), "entries-4": load("n4", "entry", 30),
        "letters-3": load("n3", "entry", 50, ["record-1", "record-5", "record-2", "echo-3"]),
        "alarms-5": load("n5", "alarm", 120), "calls-1": load("n1", "alarm", 150, ["record-4", "lead-2", "lead-3", "record-1"]),
        # Who makes load answers nothing: these go up to the root, and are said to be unanswered.
        "vain-2": load("n2", "alarm", 2500, ["entries-4"]),
        # Signals begin anew with their node, so their load is short.
        "signals-3": load("n3", "signal", 10, most=min(seconds, 5)), "signals-1": load("n1", "signal", 20, most=min(seconds, 5)),
        "echo-3": echo("n3", "load.Entry", "soak.Seen"), "echo-5": echo("n5", "soak.Seen", "soak.SeenAgain"),
        # What is asked for ends at desk-2, who states what passes; tell-1 would fail on the rest.
        "tell-1": program("n1", ["soak.Asked", "soak.Passed"], ["soak.Told"], "echo.py", "soak.Passed", "soak.Told"),
        "requests-1": load("n1", "entry", 110, ["asker-4"]), "desk-2": echo("n2", "soak.Asked", "soak.Passed"),
        "asker-4": echo("n4", "load.Entry", "soak.Asked", subject="load.requests-1", to="desk-2"),
        "ear-2": program("n2", ["load.Signal"], [], "ear.py", heard, "ear-2"), "ear-5": program("n5", ["load.Signal"], [], "ear.py", heard, "ear-5"),
    }  # fmt: skip
    if is_changed:
        agents["record-6"] = {"kind": "recorder", "node": "n2", "reports-to": "lead-2", "subscribes": ["load.Entry"]}
        agents["tell-3"] = echo("n3", "soak.Passed", "soak.ToldToo")
        agents["record-3"]["subscribes"].append("load.Alarm")
        agents["record-1"]["subscribes"].remove("load.Signal")
    return {
        "hypha": 1, "name": "soak", "security": {"keys": keys}, "observer": {"node": "n1"},
        "alerts": {"deadline": "2s", "redelivery": "500ms"}, "oversight": [{"type": "soak.Asked", "by": "desk-2", "mode": "in"}],
        "nodes": {node: {"address": address} for node, address in addresses.items()}, "agents": agents,
    }  # fmt: skip


def plan(draw: random.Random, seconds: float) -> list[tuple[float, float, str, list]]:
    """When which fault begins, how long it lasts, and what it is: all drawn from the seed, whatever the machine can do."""
    faults = []
    at = 0.5
    while at < seconds:
        what = draw.choices(
            ["kill", "clock", "pause", "cut", "unplug", "shape", "disk"], [5, 2, 3, 3, 2, 3, 2])[0]  # fmt: skip
        node, other = draw.sample(NODES, 2)
        lasts = draw.choice([0.2, 1, 2, 4]) * draw.uniform(0.5, 1.5)
        detail: list = [node]
        if what == "clock":
            detail.append(draw.choice([2, 60, 86_400]))
        elif what == "cut":
            detail.append(other)
        elif what == "shape":
            detail.append(draw.choice([
                {"delay": "40ms", "jitter": "20ms"}, {"loss": "5%"}, {"delay": "10ms", "loss": "20%"}, {"rate": "200kbit"},
            ]))  # fmt: skip
        faults.append((at, lasts, what, detail))
        at += draw.uniform(0.1, 1.5)
    # At least one move; a later one may be to where the agent is, and is refused.
    at = 1.0
    while at < seconds:
        agent = draw.choice(sorted(MOVED))
        is_move = at == 1.0 or draw.random() < 0.7
        chore = ("move", [agent, draw.choice(MOVED[agent][1:] if at == 1.0 else MOVED[agent])])
        faults.append((at, 0, *(chore if is_move else ("prune", ["--keep-newer-than", "30s"]))))
        at += draw.uniform(2, 12)
    faults.append((seconds * draw.uniform(0.2, 0.8), 0, "apply", []))
    return sorted(faults, key=lambda fault: fault[0])


class Disk:
    """A node's file system, whose size is changed while it is in use."""

    def __init__(self, path: pathlib.Path, megabytes: int) -> None:
        self.path, self.size = path, megabytes << 20
        path.mkdir(parents=True, exist_ok=True)
        self.is_mounted = self._mount(f"size={self.size}", "hypha")

    def _mount(self, options: str, *source: str) -> bool:
        words = ["mount", *(("-t", "tmpfs") if source else ()), "-o", options, *source, str(self.path)]
        return subprocess.run(words, capture_output=True).returncode == 0

    def fill(self) -> bool:
        """Takes all room that is left; a file system cannot become smaller than what is in it."""
        for spare in (0, 64, 1024):
            status = os.statvfs(self.path)
            used = (status.f_blocks - status.f_bfree) * status.f_frsize
            if self._mount(f"remount,size={used + (spare << 10)}"):
                return True
        return False

    def empty(self) -> None:
        self._mount(f"remount,size={self.size}")

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True)


class Node:
    """A node's process, which is started again whenever it ends, and what it last said of itself."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], errors: pathlib.Path) -> None:
        self.name, self.command, self.environment = name, command, environment
        self.errors = errors
        self.process: subprocess.Popen | None = None
        self.status: dict = {}
        self.report_count = 0
        self.start_at = 0.0
        self.clock_back = 0
        self.is_paused = False
        self.is_full = False
        self.met_full = False  # in this life
        self.was_killed = False
        self.restarts = -1

    def start(self, clock: str | None) -> None:
        environment = dict(self.environment)
        if self.clock_back and clock:
            environment |= {"LD_PRELOAD": clock, "HYPHA_CLOCK_BACK": str(self.clock_back)}
        self.was_killed, self.is_paused, self.met_full, self.status = False, False, self.is_full, {}
        self.restarts += 1
        # Its standard input ends with this program, whatever becomes of that, and it stops then.
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True)  # fmt: skip
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen) -> None:
        for line in process.stdout or []:
            try:
                status = json.loads(line)
            except ValueError:
                continue
            if process is self.process:
                self.status = status
                self.report_count += 1

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        if self.process is not None and self.runs:
            self.process.send_signal(number)

    def kill(self, clock_back: int, again_at: float) -> None:
        self.was_killed = True
        self.signal(signal.SIGKILL)
        self.clock_back, self.start_at = clock_back, again_at

    def last_words(self) -> str:
        return self.errors.read_text(errors="replace")[-600:].strip()


class Witness(threading.Thread):
    """Reads the logs while they are written, and keeps what was in them: all of it where that is pruned later."""

    def __init__(self, data: pathlib.Path, notes: pathlib.Path) -> None:
        super().__init__(daemon=True)
        self.data, self.notes = data, notes
        self.is_over = threading.Event()
        self.last = dict.fromkeys(NODES, 0)
        self.kept = dict(self.last)  # of what notes are in the file

    def run(self) -> None:
        import lmdb

        with open(self.notes, "w") as notes:
            while not self.is_over.wait(0.5):
                for node in NODES:
                    try:
                        for entry in hypha_log.entries(self.data / node, after=self.last[node]):
                            note = {"node": node, "position": entry["position"], "id": entry["id"]}
                            if node == PRUNED:
                                note["entry"] = dataclasses.asdict(hypha_check_world.entry(entry))
                            print(json.dumps(note), file=notes)
                            self.last[node] = entry["position"]
                    except (lmdb.Error, TypeError, OSError):
                        pass  # a log that is only being made
                notes.flush()
                self.kept = dict(self.last)

    def end(self) -> None:
        self.is_over.set()
        self.join()


class Chores:
    """What an operator does meanwhile, each by a command that takes as long as it takes: moves, a changed file, prunes."""

    def __init__(self, hypha: str, data: pathlib.Path, changed: pathlib.Path, environment: dict[str, str]) -> None:
        self.hypha, self.data, self.changed, self.environment = hypha, data, changed, environment
        self.running: list[tuple[str, subprocess.Popen]] = []
        self.done: dict[str, int] = {}
        self.last_failure: dict[str, str] = {}

    def begin(self, what: str, detail: list, kept: dict[str, int]) -> bool:
        """Whether it has begun: only one of a kind at a time."""
        self.look()
        if any(other == what for other, _ in self.running):
            return False
        match what:
            case "move":
                words = ["agents", "move", str(self.data), detail[0], "--to", detail[1], "--by", "soak"]
            case "apply":
                words = ["topology", "apply", str(self.changed), "--data", str(self.data), "--by", "soak"]
            case _:
                # What nobody has seen stays.
                words = ["log", "prune", str(self.data / PRUNED), *detail, "--protect", str(kept[PRUNED] + 1), "--as", "soak", "--yes"]
        process = subprocess.Popen(
            [self.hypha, *words], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.running.append((what, process))
        return True

    def look(self) -> bool:
        """Whether none runs any more."""
        for what, process in list(self.running):
            if process.poll() is None:
                continue
            self.running.remove((what, process))
            said = process.stdout.read().strip() if process.stdout else ""
            if process.returncode == 0:
                self.done[what] = self.done.get(what, 0) + 1
            else:
                self.last_failure[what] = said
        return not self.running

    def end(self) -> None:
        for _, process in self.running:
            process.kill()
            process.wait()
