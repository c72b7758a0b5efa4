#!/usr/bin/env python3
"""Several hosts on one machine: network namespaces, each joined by a veth pair to a bridge in a namespace of its own, and a node of a
deployment in each.

    python3 tools/hypha_hosts.py faults                          what this machine can do to a network, found out by trying
    python3 tools/hypha_hosts.py run FILE NODE… --data DIR       start each node of a topology file on a host of its own

`run` needs root. Nodes get their addresses by HYPHA_ADDRESS_<NODE>, so any file will do that has keys, or `security: {plain: allowed}`. What is
to happen is said on standard input, a line each:

    cut A B, heal A B                        frames between two hosts get lost, in both directions
    unplug A, plug A                         the host's cable is out
    shape A delay=20ms jitter=5ms loss=2% rate=1mbit, unshape A     what the host sends and gets, by tc netem
    kill A, start A, pause A, resume A       its node: kill -9, SIGSTOP, SIGCONT
    quit                                     stops all nodes in order; so does the end of standard input

Delay, jitter and loss need a kernel with the qdisc netem. Where there is none a rate alone is made by tbf, whose short queue overflows; what cannot
be made is refused in words. From Python: ``Hosts``; tools/soak is built on it. Nothing outside of the namespaces is changed, and they end with
``down()``. Uses the standard library, and `ip` and `tc` of Debian's iproute2.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from typing import Iterator

PORT = 7410
NETWORK = "10.213.0"


class Unavailable(Exception):
    """What this machine cannot do, and why."""


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"'{' '.join(words)}' failed: {done.stderr.strip() or done.returncode}")


class Hosts:
    """A network of hosts with these names. Faults can be made and taken back in any order; each of them is idempotent."""

    def __init__(self, names: list[str], tag: str | None = None) -> None:
        if len(names) > 250:
            raise ValueError("a network has at most 250 hosts")
        self.names = list(names)
        self.tag = tag or f"hypha{os.getpid()}"
        self._cuts: set[tuple[str, str]] = set()
        self._shaped: set[str] = set()

    # Names of a host's things.

    def address(self, name: str) -> str:
        return f"{NETWORK}.{self.names.index(name) + 1}"

    def space(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def port(self, name: str) -> str:
        return f"port{self.names.index(name) + 1}"

    @property
    def switch(self) -> str:
        return f"{self.tag}-.switch"

    def command(self, name: str, *words: str) -> list[str]:
        """What runs a program on a host; `ip` becomes that program, so the process is the program's."""
        return ["ip", "netns", "exec", self.space(name), *words]

    # Life.

    def up(self) -> None:
        """Makes the network.

        Raises Unavailable where the machine or the user cannot.
        """
        for tool in ("ip", "tc"):
            if not shutil.which(tool):
                raise Unavailable(f"there is no '{tool}'; install Debian's package iproute2")
        if os.geteuid() != 0:
            raise Unavailable("only root may make network namespaces")
        try:
            _call("ip", "netns", "add", self.switch)
            _call("ip", "-n", self.switch, "link", "add", "bridge", "type", "bridge")
            _call("ip", "-n", self.switch, "link", "set", "bridge", "up")
            for name in self.names:
                space, port = self.space(name), self.port(name)
                _call("ip", "netns", "add", space)
                _call("ip", "-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
                _call("ip", "-n", self.switch, "link", "set", port, "master", "bridge", "up")
                _call("ip", "-n", space, "link", "set", "lo", "up")
                _call("ip", "-n", space, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
                _call("ip", "-n", space, "link", "set", "eth0", "up")
        except Unavailable:
            self.down()
            raise

    def down(self) -> None:
        """Removes the network; what still runs in it keeps its namespace until it ends, without a cable."""
        for space in [self.switch, *(self.space(name) for name in self.names)]:
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)

    def __enter__(self) -> "Hosts":
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # Faults.

    def cut(self, one: str, other: str) -> None:
        """Frames between two hosts get lost: each sends them to an address that nobody has."""
        for here, there in ((one, other), (other, one)):
            _call("ip", "-n", self.space(here), "neighbour", "replace", self.address(there), "lladdr", "02:00:00:00:00:01",
                  "dev", "eth0", "nud", "permanent")  # fmt: skip
        self._cuts.add(tuple(sorted((one, other))))

    def heal(self, one: str, other: str) -> None:
        pair = tuple(sorted((one, other)))
        if pair not in self._cuts:
            return
        self._cuts.discard(pair)
        for here, there in ((one, other), (other, one)):
            _call("ip", "-n", self.space(here), "neighbour", "delete", self.address(there), "dev", "eth0")

    def unplug(self, name: str) -> None:
        _call("ip", "-n", self.switch, "link", "set", self.port(name), "down")

    def plug(self, name: str) -> None:
        _call("ip", "-n", self.switch, "link", "set", self.port(name), "up")

    def shape(
        self, name: str, delay: str | None = None, jitter: str | None = None, loss: str | None = None, rate: str | None = None
    ) -> None:
        """Delays, loses and slows down what a host sends and what it gets, each way by itself.

        Raises Unavailable for what the machine's kernel cannot do.
        """
        words = []
        if delay:
            words += ["delay", delay, *([jitter] if jitter else [])]
        if loss:
            words += ["loss", loss]
        if rate:
            words += ["rate", rate]
        if not words:
            return self.unshape(name)
        if self.can("netem"):
            self._set(name, ["netem", *words])
        elif delay or jitter or loss:
            raise Unavailable("this machine's kernel has no qdisc netem: no delay, jitter or loss")
        else:
            self._set(name, ["tbf", "rate", rate or "", "burst", "4kb", "limit", "64kb"])

    def unshape(self, name: str) -> None:
        if name in self._shaped:
            for space, device in self._ends(name):
                subprocess.run(["tc", "-n", space, "qdisc", "del", "dev", device, "root"], capture_output=True)
            self._shaped.discard(name)

    def _ends(self, name: str) -> list[tuple[str, str]]:
        return [(self.space(name), "eth0"), (self.switch, self.port(name))]

    def _set(self, name: str, words: list[str]) -> None:
        self._shaped.add(name)
        for space, device in self._ends(name):
            _call("tc", "-n", space, "qdisc", "replace", "dev", device, "root", *words)

    def recover(self) -> None:
        """Takes all faults back."""
        for one, other in sorted(self._cuts):
            self.heal(one, other)
        for name in self.names:
            self.plug(name)
            self.unshape(name)

    def can(self, qdisc: str) -> bool:
        """Whether the kernel has a qdisc, found out by trying on the port of the first host."""
        known = self.__dict__.setdefault("_known", {})
        if qdisc not in known:
            words = {"netem": ["netem", "delay", "1us"], "tbf": ["tbf", "rate", "1gbit", "burst", "1mb", "limit", "10mb"]}[qdisc]
            place = ["dev", self.port(self.names[0]), "root"]
            try:
                _call("tc", "-n", self.switch, "qdisc", "add", *place, *words)
                subprocess.run(["tc", "-n", self.switch, "qdisc", "del", *place], capture_output=True)
                known[qdisc] = True
            except Unavailable:
                known[qdisc] = False
        return known[qdisc]

    def missing(self) -> list[str]:
        """What this machine cannot do to this network, in words."""
        missing = []
        if not self.can("netem"):
            missing.append("no delay, jitter and loss on links: the kernel has no qdisc netem")
            if not self.can("tbf"):
                missing.append("no rate of links: the kernel has no qdisc tbf either")
        return missing


# Answers each datagram with itself, and says when it can.
ECHO = """
import socket, sys
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind((sys.argv[1], 7))
print("ready", flush=True)
while True:
    end.sendto(*end.recvfrom(999))
"""
# Sends the numbers up to its second argument there, one by one, and counts those that come back, each within 300 ms.
PROBE = """
import socket, sys, time
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.settimeout(0.3)
found, began = 0, time.monotonic()
for number in range(int(sys.argv[2])):
    try:
        end.sendto(b"%500d" % number, (sys.argv[1], 7))
        while end.recv(999) != b"%500d" % number:
            pass
        found += 1
    except OSError:
        pass
print(found, time.monotonic() - began)
"""


@contextlib.contextmanager
def _answering(hosts: Hosts, name: str) -> Iterator[None]:
    words = hosts.command(name, sys.executable, "-c", ECHO, hosts.address(name))
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        (process.stdout or sys.stdin).readline()
        yield
    finally:
        process.kill()
        process.wait()


def _probe(hosts: Hosts, here: str, there: str, count: int = 1) -> tuple[int, float]:
    """How many of so many datagrams come back, and in how many seconds."""
    words = hosts.command(here, sys.executable, "-c", PROBE, hosts.address(there), str(count))
    found, seconds = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return int(found), float(seconds)


def tried() -> list[tuple[str, str]]:
    """What becomes of datagrams between hosts under each fault, on a network made for it: (fault, `yes` or what is wrong)."""
    results = []
    with Hosts(["a", "b", "c"]) as hosts, _answering(hosts, "b"), _answering(hosts, "c"):

        def expect(fault: str, *checks: bool) -> None:
            results.append((fault, "yes" if all(checks) else "no: datagrams do not go as they should"))

        def passes(here: str = "a", there: str = "b") -> bool:
            # Behind a cable that was plugged in again the first may be lost.
            return any(_probe(hosts, here, there)[0] for _ in range(20))

        def stops(here: str = "a", there: str = "b") -> bool:
            return _probe(hosts, here, there)[0] == 0

        expect("hosts", passes(), passes("a", "c"))
        hosts.cut("a", "b")
        is_cut = [stops(), passes("a", "c"), passes("b", "c")]
        hosts.heal("a", "b")
        expect("partitions", *is_cut, passes())
        hosts.unplug("b")
        is_out = [stops(), stops("c", "b"), passes("a", "c")]
        hosts.plug("b")
        expect("cables", *is_out, passes(), passes("c", "b"))
        if hosts.can("netem"):
            hosts.shape("b", delay="20ms")
            is_late = [_probe(hosts, "a", "b", 5)[1] > 0.2, _probe(hosts, "a", "c", 5)[1] < 0.2]
            hosts.shape("b", loss="50%")
            found = _probe(hosts, "a", "b", 40)[0]
            hosts.unshape("b")
            expect("delay and loss", *is_late, 0 < found < 40, _probe(hosts, "a", "b", 5)[0] == 5)
        else:
            results.append(("delay and loss", "no: this machine's kernel has no qdisc netem"))
        if hosts.can("netem") or hosts.can("tbf"):
            # A datagram takes a tenth of a second; by tbf some 4 KB pass at once before.
            hosts.shape("b", rate="40kbit")
            is_slow = _probe(hosts, "a", "b", 20)[1] > 0.6
            hosts.recover()
            expect("rate", is_slow, _probe(hosts, "a", "b", 20)[1] < 0.6)
        else:
            results.append(("rate", "no: this machine's kernel has neither of the qdiscs netem and tbf"))
    return results


def variable(node: str) -> str:
    """The variable that replaces a node's address."""
    return "HYPHA_ADDRESS_" + re.sub("[.-]", "_", node).upper()


class Nodes:
    """The nodes of a topology file, one on each host; what they say goes to the terminal behind their names."""

    def __init__(self, hosts: Hosts, hypha: str, file: str, data: str) -> None:
        self.hosts, self.hypha, self.file, self.data = hosts, hypha, file, data
        self.processes: dict[str, subprocess.Popen] = {}

    def start(self, name: str) -> None:
        if name in self.processes and self.processes[name].poll() is None:
            return
        addresses = {variable(node): f"tcp://{self.hosts.address(node)}:{PORT}" for node in self.hosts.names}
        process = subprocess.Popen(
            self.hosts.command(name, self.hypha, "run", self.file, "--node", name, "--data", self.data),
            env={**os.environ, **addresses}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True)  # fmt: skip
        self.processes[name] = process
        threading.Thread(target=self._pass, args=(name, process), daemon=True).start()

    def _pass(self, name: str, process: subprocess.Popen) -> None:
        for line in process.stdout or []:
            print(f"[{name}] {line}", end="", flush=True)
        print(f"[{name}] ended with status {process.wait()}", flush=True)

    def signal(self, name: str, number: int) -> None:
        process = self.processes[name]
        if process.poll() is None:
            process.send_signal(number)

    def stop(self) -> None:
        for name in self.processes:
            self.signal(name, signal.SIGCONT)
            self.signal(name, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def obey(words: list[str], hosts: Hosts, nodes: Nodes) -> None:
    """Does what one line says."""
    verb, *rest = words
    names = [word for word in rest if "=" not in word]
    settings = dict(word.split("=", 1) for word in rest if "=" in word)
    unknown = [name for name in names if name not in hosts.names]
    if unknown:
        raise ValueError(f"there is no host '{unknown[0]}'")
    signals = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}
    if verb in ("cut", "heal") and len(names) == 2 and names[0] != names[1]:
        getattr(hosts, verb)(*names)
    elif verb in ("unplug", "plug", "unshape") and len(names) == 1:
        getattr(hosts, verb)(names[0])
    elif verb == "shape" and len(names) == 1 and set(settings) <= {"delay", "jitter", "loss", "rate"}:
        hosts.shape(names[0], **settings)
    elif verb in signals and len(names) == 1:
        nodes.signal(names[0], signals[verb])
    elif verb == "start" and len(names) == 1:
        nodes.start(names[0])
    else:
        raise ValueError(f"'{' '.join(words)}' is none of cut, heal, unplug, plug, shape, unshape, kill, start, pause, resume, quit")


def run(options: argparse.Namespace) -> int:
    with Hosts(options.node) as hosts:
        for missing in hosts.missing():
            print(f"hypha_hosts: {missing}", file=sys.stderr)
        nodes = Nodes(hosts, options.hypha, options.file, options.data)
        try:
            for name in hosts.names:
                nodes.start(name)
            for line in sys.stdin:
                words = line.split()
                if words[:1] == ["quit"]:
                    break
                try:
                    if words:
                        obey(words, hosts, nodes)
                except (ValueError, Unavailable) as error:
                    print(f"hypha_hosts: {error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            pass
        finally:
            nodes.stop()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("faults", help="what this machine can do, found out by trying")
    runs = verbs.add_parser("run", help="start each node on a host of its own")
    runs.add_argument("file", help="the topology file")
    runs.add_argument("node", nargs="+", help="all nodes of the file")
    runs.add_argument("--data", required=True, help="where the logs are")
    runs.add_argument("--hypha", default=".build/release/hypha", help="the program (default %(default)s)")
    options = parser.parse_args()
    if options.verb == "run":
        return run(options)
    results = tried()
    for fault, result in results:
        print(f"{fault}: {result}")
    return 1 if any("should" in result for _, result in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Unavailable, ValueError) as error:
        sys.exit(f"hypha_hosts: {error}")
