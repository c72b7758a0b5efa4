import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// What is wrong with a topology file, one line each.
func problems(_ yaml: String) -> [String] {
  do throws(TopologyDiagnostics) {
    _ = try TopologyFile.read(yaml: yaml, file: "f")
    return []
  } catch {
    return error.diagnostics.map(\.description)
  }
}

/// A file with these agents, from line 4 on.
private func problems(agents: String) -> [String] {
  problems("hypha: 1\nname: n\nnodes: {hq: {}, ops: {}}\nagents:\n\(agents)")
}

@Suite struct `A topology file that breaks a rule` {
  @Test func `lists all that is wrong, by line`() {
    let text = """
      hypha: 1
      nme: n
      version: 0
      log: {map-size: 12 parsecs, sync: true}
      nodes:
        hq: []
        ops: {adress: local}
        far: {address: "tcp://example org:7410"}
      agents:
        director: {kind: supervisor, node: hq}
        ana: {node: opps, reports-to: directr}
      """
    #expect(
      problems(text) == [
        "f:1:1: 'name' is missing; add 'name: my-deployment'",
        "f:2:1: the topology file has an unknown key, 'nme'; did you mean 'name'?",
        "f:3:10: version must be a whole number; write a number from 1 to 4000000000, without quotes",
        "f:4:17: map-size '12 parsecs' is not a size in whole bytes; "
          + "write a number with a unit, such as 512MiB or 64GiB",
        "f:4:29: log has an unknown key, 'sync'; "
          + "use one of map-size, inline-payload, keep-newer-than, keep-at-most, keep-newest, keep-handled",
        "f:6:7: node 'hq' must be a mapping, not a list; "
          + "write lines of the form 'key: value', indented below it",
        "f:7:9: node 'ops' has an unknown key, 'adress'; did you mean 'address'?",
        "f:8:18: the address 'tcp://example org:7410' is neither 'local' nor of the form tcp://HOST:PORT; "
          + "write tcp://127.0.0.1:7410, or leave the address out",
        "f:11:3: agent 'ana' has no kind; add 'kind: supervisor', or another",
        "f:11:15: agent 'ana' is placed on node 'opps', which does not exist; did you mean 'ops'?",
        "f:11:33: agent 'ana' reports to 'directr', which does not exist; did you mean 'director'?",
      ])
  }

  @Test(
    arguments: [
      (
        "{hypha: 2, nmae: x}",
        "f:1:9: the file has format version 2; this program reads version 1; use a newer version "
          + "of this program"
      ),
      ("{hypha: 0}", "f:1:9: the file has format version 0; this program reads version 1; write 'hypha: 1'"),
      (
        "[a]",
        "f:1:1: the topology file must be a mapping, not a list; write lines of the form 'key: "
          + "value', indented below it"
      ),
      (
        "a: 'x",
        "f:1:6: found unexpected end of stream, while scanning a quoted scalar; close the quotes "
          + "or the bracket"
      ),
    ] as [(String, String)]) func `stops where nothing more can be said`(text: String, expected: String)
  {
    #expect(problems(text) == [expected])
  }

  @Test(
    arguments: [
      ("hypha: '1'", "f:1:8: 'hypha' must be the version of the file's format, a number; write 'hypha: 1'"),
      (
        "name: n",
        "f:1:1: 'hypha' is missing: the version of the file's format; begin the file with 'hypha: "
          + "1'"
      ),
      ("hypha: 1", "f:1:1: 'nodes' is missing; add 'nodes: {main: {}}'"),
      ("hypha: 1", "f:1:1: 'agents' is missing; add the agents: 'agents: {director: {kind: supervisor}}'"),
      ("nodes: {}", "f:1:8: 'nodes' names no node; name one: 'nodes: {main: {}}'"),
      ("agents: {}", "f:1:9: 'agents' names no agent; name one: 'agents: {director: {kind: supervisor}}'"),
      ("name: [n]", "f:1:7: name must be a single value, not a list; write one name or text"),
      (
        "name: a b",
        "f:1:7: the deployment name 'a b' has a character that is not allowed; use letters, "
          + "digits, '.', '_' and '-'"
      ),
      (
        "realtime: {burst: 3}",
        "f:1:11: realtime has no rate; write how many events a second an agent may send: {rate: 10000}"
      ),
      (
        "realtime: {rate: 0}",
        "f:1:18: rate of realtime must be a whole number; write a number from 1 to 100000000, without quotes"
      ),
      (
        "alerts: {deadline: 30}",
        "f:1:20: deadline '30' is not a duration; write a whole number with a unit, such as 500ms, 30s, 5m or 1h"
      ),
      ("alerts: {redelivery: 8d}", "f:1:22: redelivery '8d' is out of range; use a duration from 1ms to 7d"),
      ("alerts: {redelivery: 0s}", "f:1:22: redelivery '0s' is out of range; use a duration from 1ms to 7d"),
      ("alerts: {every: 1s}", "f:1:10: alerts has an unknown key, 'every'; use one of deadline, redelivery"),
      (
        "membership: {suspect-after: 3s, suspect-level: 8}",
        "f:1:33: membership has both suspect-after and suspect-level; keep suspect-after for a fixed silence, or remove it"
      ),
      (
        "membership: {suspect-after: 500ms}",
        "f:1:29: suspect-after 500ms is less than three heartbeats of 200ms; wait longer, or shorten the heartbeat"
      ),
      (
        "membership: {heartbeat: 10s}",
        "f:1:13: down-after 10s is less than 30s, when a node is suspected at the earliest; wait longer, or shorten the heartbeat"
      ),
      (
        "membership: {heartbeat: 1ms}",
        "f:1:25: heartbeat '1ms' is out of range; use a duration from 20ms to 10s"
      ),
      (
        "membership: {suspect-level: 17}",
        "f:1:29: suspect-level must be a whole number; write a number from 1 to 16, without quotes"
      ),
      (
        "log: {inline-payload: 2MiB}",
        "f:1:23: inline-payload '2MiB' is out of range; use a size from 1KiB to 1MiB"
      ),
      ("log: {map-size: 1KiB}", "f:1:17: map-size '1KiB' is out of range; use a size from 1MiB to 64TiB"),
      (
        "log: {map-size: 1.0001MB}",
        "f:1:17: map-size '1.0001MB' is not a size in whole bytes; write a number with a unit, "
          + "such as 512MiB or 64GiB"
      ),
      (
        "nodes: {a b: }",
        "f:1:9: the node name 'a b' has a character that is not allowed; use letters, digits, '.', "
          + "'_' and '-'"
      ),
      (
        "nodes: {a: {address: '127.0.0.1:80'}}",
        "f:1:22: the address '127.0.0.1:80' is neither 'local' nor of the form tcp://HOST:PORT; "
          + "write tcp://127.0.0.1:7410, or leave the address out"
      ),
      (
        "nodes: {a: {address: 'tcp://127.0.0.1:65533'}}",
        "f:1:22: the address 'tcp://127.0.0.1:65533' has no port from 1 to 65532; a node takes "
          + "four ports in a row; write the first"
      ),
      (
        "nodes: {a: {address: 'tcp://localhost:+80'}}",
        "f:1:22: the address 'tcp://localhost:+80' has no port from 1 to 65532; a node takes four "
          + "ports in a row; write the first"
      ),
      (
        "nodes: {a: {address: 'tcp://0.0.0.0:80'}}",
        "f:1:22: the address 'tcp://0.0.0.0:80' stands for every address of its machine, and nobody can "
          + "connect to that; write the address that others use, and beside it 'listen: tcp://0.0.0.0:80'"
      ),
      (
        "kinds: {k: {a: 99999999999999999999}}",
        "f:1:16: the setting 'a' of kind 'k' has the number '99999999999999999999', which is "
          + "beyond 64 bits or not finite; use a smaller number, or put it in quotes to keep it as text"
      ),
      (
        "kinds: {k: {a: [-.inf]}}",
        "f:1:17: the setting 'a' of kind 'k' has the number '-.inf', which is beyond 64 bits or "
          + "not finite; use a smaller number, or put it in quotes to keep it as text"
      ),
      (
        "kinds: {k: [1]}",
        "f:1:12: the settings of kind 'k' must be a mapping, not a list; write lines of the form "
          + "'key: value', indented below it"
      ),
      (
        "kinds: {k!: }",
        "f:1:9: the kind 'k!' has a character that is not allowed; use letters, digits, '.', '_' "
          + "and '-'"
      ),
      (
        "limits: {}",
        "f:1:1: the topology file has an unknown key, 'limits'; use one of hypha, name, version, "
          + "log, alerts, membership, supervision, security, observer, oversight, realtime, delegation, nodes, kinds, agents"
      ),
      (
        "supervision: {attempts: 0}",
        "f:1:25: attempts of supervision must be a whole number; write a number from 1 to 1000, without quotes"
      ),
      (
        "supervision: {initial: fast}",
        "f:1:24: initial 'fast' is not a duration; write a whole number with a unit, such as 500ms, 30s, 5m or 1h"
      ),
      (
        "supervision: {strategy: restrat}",
        "f:1:25: strategy of supervision must be one of resume, restart, stop, not 'restrat'; did you mean 'restart'?"
      ),
      (
        "\"a\\n\\e[31m\": {}",
        "f:1:1: the topology file has an unknown key, 'a\\u{a}\\u{1b}[31m'; use one of hypha, "
          + "name, version, log, alerts, membership, supervision, security, observer, oversight, realtime, delegation, nodes, "
          + "kinds, agents"
      ),
    ] as [(String, String)]) func `says so at the place`(text: String, expected: String)
  {
    #expect(problems(text).contains(expected))
  }

  @Test func `names both nodes that take the same ports`() {
    let text = """
      hypha: 1
      name: n
      nodes:
        a: {address: "tcp://127.0.0.1:7410"}
        b: {address: "tcp://127.0.0.2:7411"}
        c: {address: "tcp://localhost:7413"}
      agents: {x: {kind: k, node: a}}
      """
    #expect(
      problems(text) == [
        "f:6:16: node 'c' takes the ports 7413 to 7416, and node 'a' (line 4) 7410 to 7413; "
          + "give them first ports that are 4 or more apart"
      ])
  }

  @Test(
    arguments: [
      (
        "  a: {kind: k, node: hq, parent: b}",
        "f:5:26: agent 'a' has an unknown key, 'parent'; use one of kind, node, reports-to, standby, "
          + "publishes, subscribes, settings, supervision, realtime"
      ),
      (
        "  a: {kind: k, node: hq, supervision: {retries: 3}}",
        "f:5:40: supervision of agent 'a' has an unknown key, 'retries'; use one of attempts, initial, factor, cap, "
          + "jitter, handler-deadline, strategy, restarts, restart-window"
      ),
      (
        "  a: {kind: k, node: hq, reportsTo: b}",
        "f:5:26: agent 'a' has an unknown key, 'reportsTo'; did you mean 'reports-to'?"
      ),
      (
        "  a: x",
        "f:5:6: agent 'a' must be a mapping, not a single value; write lines of the form 'key: "
          + "value', indented below it"
      ),
      (
        "  Ana Müller: {kind: k}",
        "f:5:3: the agent id 'Ana Müller' has a character that is not allowed; use letters, "
          + "digits, '.', '_' and '-'"
      ),
      (
        "  a: {kind: k, node: hq, publishes: work.Done}",
        "f:5:37: publishes of agent 'a' must be a list, not a single value; write [work.Done]"
      ),
      (
        "  a: {kind: k, node: hq, publishes: [work Done]}",
        "f:5:38: the event type 'work Done' has a character that is not allowed; use letters, "
          + "digits, '.', '_' and '-'"
      ),
      (
        "  a: {kind: k, node: hq, subscribes: [{subject: x}]}",
        "f:5:39: a subscription of agent 'a' has no type; write {type: TYPE, subject: PATTERN}"
      ),
      (
        "  a: {kind: k, node: hq, subscribes: [{type: t, subjects: x}]}",
        "f:5:49: a subscription of agent 'a' has an unknown key, 'subjects'; did you mean "
          + "'subject'?"
      ),
      (
        "  a: {kind: k, node: hq, subscribes: [{type: t, subject: '>.a'}]}",
        "f:5:58: the pattern '>.a' has '>' before its end; use '*' for one token"
      ),
      (
        "  a: {kind: k, node: hq, subscribes: [[t]]}",
        "f:5:39: a subscription of agent 'a' must be a single value, not a list; write one name or "
          + "text"
      ),
      (
        "  a: {kind: k, node: elsewhere}",
        "f:5:22: agent 'a' is placed on node 'elsewhere', which does not exist; add it under "
          + "nodes, or name one of hq, ops"
      ),
      (
        "  a: {kind: k}\n  b: {kind: k, reports-to: a}",
        "f:5:3: the root 'a' names no node, and there are 2; add 'node: ' and one of hq, ops"
      ),
      (
        "  a: {kind: k, node: hq}\n  b: {kind: k, reports-to: nobody-known}",
        "f:6:28: agent 'b' reports to 'nobody-known', which does not exist; add it under agents"
      ),
      (
        "  a: {kind: k, node: hq}\n  b: {kind: k, node: hq}",
        "f:6:3: agent 'b' reports to nobody, and neither does 'a' (line 5): there can be one root; "
          + "add 'reports-to: a', or another supervisor"
      ),
    ] as [(String, String)]) func `says what is wrong with an agent, once`(agents: String, expected: String)
  {
    #expect(problems(agents: agents) == [expected])
  }

  @Test func `a cycle of supervisors is named member by member, with its line`() {
    let agents = """
        top: {kind: k, node: hq}
        low: {kind: k, reports-to: b}
        a: {kind: k, reports-to: b}
        b: {kind: k, reports-to: c}
        c: {kind: k, reports-to: a}
        me: {kind: k, reports-to: me}
      """
    #expect(
      problems(agents: agents) == [
        "f:6:30: agent 'low' has no way to the root: above 'b' is the circle of 'a' (line 7); "
          + "break that circle, or let it report to another agent",
        "f:7:28: 3 agents report to each other in a circle: 'a' → 'b' → 'c' → 'a'; "
          + "let one of them report to an agent outside of the circle",
        "f:10:29: agent 'me' reports to itself; let it report to another agent",
      ])
  }

  @Test func `a file without a root says so beside the cycle`() {
    #expect(
      problems(agents: "  a: {kind: k, reports-to: b}\n  b: {kind: k, reports-to: a}") == [
        "f:5:3: no agent is the root: every agent reports to another; leave reports-to out at exactly one agent",
        "f:5:28: 2 agents report to each other in a circle: 'a' → 'b' → 'a'; "
          + "let one of them report to an agent outside of the circle",
      ])
  }

  @Test func `agents below a wrong one are not reported with it`() {
    let agents = """
        top: {kind: k, node: hq}
        a: {kind: k, reports-to: nobody-known}
        b: {kind: k, reports-to: a}
        c: {kind: k, reports-to: b}
      """
    #expect(problems(agents: agents).count == 1)
  }

  @Test func `duplicate ids are named with both lines, by the parser and by the decoder`() throws {
    #expect(
      problems(agents: "  a: {kind: k, node: hq}\n  a: {kind: k}") == [
        "f:6:3: the key 'a' stands here and on line 5; rename or remove one of them"
      ])
    let text = "hypha: 1\nname: n\nnodes: {m: }\nagents:\n  a: {kind: k}\n  b: {kind: k}\n"
    var document = try YAML.parse(text, file: "f")
    guard case .mapping(var entries) = document.content, case .mapping(var agents) = entries[3].value.content
    else {
      Issue.record("not the expected document")
      return
    }
    agents[1].key.content = agents[0].key.content
    entries[3].value.content = .mapping(agents)
    document.content = .mapping(entries)
    let thrown = #expect(throws: TopologyDiagnostics.self) { try TopologyFile.decode(document, file: "f") }
    #expect(
      thrown?.description
        == "f:6:3: agents has the key 'a' twice: it is also on line 5; rename or remove one of them")
  }

  @Test func `a file with very many problems is cut off, and says so`() {
    let agents = (1...3000).map { "  agent-\($0): {kind: k, node: nowhere-\($0), reports-to: agent-0\($0)}" }
    let found = problems(agents: agents.joined(separator: "\n"))
    #expect(found.count == 1001)
    #expect(found.last?.hasSuffix("there are 5001 more problems in this file; mend these 1000 first") == true)
  }

  @Test func `as one error it has the first problem and counts the others`() {
    let thrown = #expect(throws: TopologyDiagnostics.self) {
      try TopologyFile.read(yaml: "hypha: 1", file: "f.yaml")
    }
    #expect(
      thrown?.error.description
        == "invalidTopology: f.yaml:1:1: 'name' is missing; add 'name: my-deployment' (and 2 more problems)")
  }
}
