"""An agent of kind `exec` in Python (docs/exec.md), with nothing but the standard library:

    import hypha_agent

    agent = hypha_agent.Agent()

    @agent.on("InvoiceSubmitted")
    def decide(invoice, event):
        event.publish("InvoiceApproved", {"invoice": invoice["invoice"], "approver": agent.name})

    agent.run()

A handler gets the event's data and the event. What it publishes is committed, together with the note that the event is handled,
once it has returned. Where it raises, nothing of it has happened, and the event comes again as the agent's supervision says;
`hypha_agent.Permanent` says that trying again cannot mend it. What is printed goes to the log as diagnostics.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
import uuid
from collections.abc import Callable
from typing import Any


class Permanent(Exception):
    """Trying again cannot mend it: the event is put aside at once."""


class Refused(Permanent):
    """What the program asked for cannot be: the topology file says otherwise."""


class Event:
    """An event that is being handled; an alert is answered once its handler has returned. ``attributes`` are those of its CloudEvent: `id`, `type`, `source`, `subject`, `time`, …"""

    def __init__(
        self,
        attributes: dict[str, Any],
        say: Callable[[dict[str, Any]], None],
        flush: Callable[[], None],
        read: Callable[[], bytes] = lambda: b"",
    ) -> None:
        self.attributes = attributes
        self.id: str = attributes["id"]
        self.type: str = attributes["type"]
        self.sender: str = attributes["source"].removeprefix("/agents/")
        self.attempt: int = attributes.get("hyphaattempt", 1)
        self.channel: str = attributes.get("channel", "persistent")
        self._say = say
        self._flush = flush
        self._read = read

    @property
    def data(self) -> Any:
        """The payload: a value of JSON, or bytes where it is none."""
        if "data_base64" in self.attributes:
            return base64.b64decode(self.attributes["data_base64"])
        return self.attributes.get("data")

    def publish(
        self, type: str, data: Any = None, to: str | None = None, subject: str | None = None, version: int = 1
    ) -> None:
        """Publishes an event to one agent, or to all that subscribe to its type."""
        self._say(self._described(type, data, to, subject, version))

    def alert(
        self,
        type: str,
        data: Any = None,
        to: str | None = None,
        subject: str | None = None,
        version: int = 1,
        within: float | None = None,
    ) -> None:
        """Publishes an alert, which leaves at once, whatever becomes of the event that is being handled. `within`: the seconds in
        which it is to be answered before the supervisor is told; the topology file's `alerts: deadline` if not given."""
        event = self._described(type, data, to, subject, version) | {"channel": "alert"}
        event |= {} if within is None else {"withinms": round(within * 1000)}
        self._say(event)
        self._flush()

    def decide(
        self, request: Any, kind: str, by: str | None = None, role: str | None = None, amount: int | None = None
    ) -> str:
        """Asks an approver for a decision, and returns its id. The answer comes as a `hypha.DecisionTaken` of its own, with that id as
        `decision`. `by`: the nearest above that takes decisions, if not given; `role`: "exec"."""
        parts = {"request": request, "kind": kind, "by": by, "role": role, "amount": amount}
        self._say({"type": "hypha.decide", "data": {name: part for name, part in parts.items() if part is not None}})
        self._flush()
        reply = json.loads(self._read() or b'{"data": {"error": "the agent stops"}}')["data"]
        if "decision" not in reply:
            raise Refused(reply["error"])
        return reply["decision"]

    def grant(self, reason: str | None = None, decision: str | None = None) -> None:
        """Grants the decision that the event puts before the agent (`hypha.DecisionReferred`), or one that was put before it earlier; of one
        that was granted without it (`data["audited"]`), it says that it would have."""
        self._answer("hypha.grant", reason, decision)

    def reject(self, reason: str | None = None, decision: str | None = None) -> None:
        """Rejects it; or says that it would have, which takes that grant back."""
        self._answer("hypha.reject", reason, decision)

    def _answer(self, type: str, reason: str | None, decision: str | None) -> None:
        data = {"decision": decision or self.data["decision"]}
        self._say({"type": type, "data": data | ({} if reason is None else {"reason": reason})})

    @staticmethod
    def _described(type: str, data: Any, to: str | None, subject: str | None, version: int) -> dict[str, Any]:
        event: dict[str, Any] = {"type": type, "schemaversion": version}
        if isinstance(data, bytes):
            event |= {"data_base64": base64.b64encode(data).decode(), "datacontenttype": "application/octet-stream"}
        else:
            event |= {"data": {} if data is None else data}
        event |= {"addressee": to} if to else {}
        event |= {"subject": subject} if subject else {}
        return event


class Agent:
    """The program's side of its agent."""

    def __init__(self) -> None:
        self.name = os.environ.get("HYPHA_AGENT", "")
        self._handlers: dict[str, Callable[[Any, Event], None]] = {}
        # Standard output is for events alone: what is printed is a diagnostic.
        self._input, self._output = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def on(self, type: str) -> Callable[[Callable[[Any, Event], None]], Callable[[Any, Event], None]]:
        """The decorated function handles the events of a type."""

        def add(handler: Callable[[Any, Event], None]) -> Callable[[Any, Event], None]:
            self._handlers[type] = handler
            return handler

        return add

    def flush(self) -> None:
        """Lets what was published so far leave the program; `run` does so behind each event."""
        self._output.flush()

    def run(self) -> None:
        """Handles events until there are no more: the agent's node stops."""
        for line in self._input:
            attributes = json.loads(line)

            def say(event: dict[str, Any], cause: str = attributes["id"]) -> None:
                event |= {"specversion": "1.0", "id": str(uuid.uuid4()), "source": f"/agents/{self.name}"}
                event["causationid"] = cause
                self._output.write(json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n")

            event = Event(attributes, say, self._output.flush, self._input.readline)
            try:
                if event.type not in self._handlers:
                    raise Permanent(f"the program has no handler for {event.type}")
                self._handlers[event.type](event.data, event)
                say({"type": "hypha.handled"})
            except Exception as error:
                if not isinstance(error, Permanent):
                    traceback.print_exc()
                reason = "".join(traceback.format_exception_only(error)).strip()
                say({"type": "hypha.failed", "data": {"error": reason, "permanent": isinstance(error, Permanent)}})
            self._output.flush()
