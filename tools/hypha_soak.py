"""What tools/soak runs: its deployment, and each node's disk, process and witness."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import hypha_log

TOOLS = pathlib.Path(__file__).resolve().parent
NODES = ["n1", "n2", "n3", "n4", "n5"]
# How many answers exec agents give to each input: one of this type.
ANSWERS = {"echo-3": "soak.Seen", "echo-5": "soak.SeenAgain"}
ECHO = """
import sys
import hypha_agent

agent = hypha_agent.Agent()


@agent.on(sys.argv[1])
def answer(data, event):
    event.publish(sys.argv[2], {"of": event.id})


agent.run()
"""


def topology(addresses: dict[str, str], keys: str, seconds: float) -> dict:
    """The deployment: in JSON, which is YAML, so that the checker needs no package for it."""

    def load(node: str, event: str, every: int, to: list[str] | None = None, most: float = seconds) -> dict:
        settings = {"event": event, "every": every, "count": max(1, int(most * 1000 / every)), "padding": 40}
        if to:
            settings["to"] = to
        return {"kind": "generator", "node": node, "reports-to": leads[node], "settings": settings}

    def echo(node: str, takes: str, gives: str) -> dict:
        settings = {"command": sys.executable, "arguments": ["echo.py", takes, gives],
                    "environment": {"PYTHONPATH": str(TOOLS), "PYTHONDONTWRITEBYTECODE": "1"}}  # fmt: skip
        return {"kind": "exec", "node": node, "reports-to": leads[node], "subscribes": [takes], "publishes": [gives],
                "settings": settings}  # fmt: skip

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
    }  # fmt: skip
    return {
        "hypha": 1, "name": "soak", "security": {"keys": keys}, "observer": {"node": "n1"},
        "alerts": {"deadline": "2s", "redelivery": "500ms"},
        "nodes": {node: {"address": address} for node, address in addresses.items()}, "agents": agents,
    }  # fmt: skip


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
    """Reads the logs while they are written, and keeps what was in them."""

    def __init__(self, data: pathlib.Path, notes: pathlib.Path) -> None:
        super().__init__(daemon=True)
        self.data, self.notes = data, notes
        self.is_over = threading.Event()
        self.last = dict.fromkeys(NODES, 0)

    def run(self) -> None:
        import lmdb

        with open(self.notes, "w") as notes:
            while not self.is_over.wait(0.5):
                for node in NODES:
                    try:
                        for entry in hypha_log.entries(self.data / node, after=self.last[node]):
                            self.last[node] = entry["position"]
                            print(json.dumps({"node": node, "position": entry["position"], "id": entry["id"]}), file=notes)
                    except (lmdb.Error, TypeError, OSError):
                        pass  # a log that is only being made
                notes.flush()

    def end(self) -> None:
        self.is_over.set()
        self.join()
