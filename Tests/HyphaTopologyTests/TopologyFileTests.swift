import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// Much like the example of the documentation.
let incidentRoom = """
  hypha: 1                      # the version of this file format
  name: incident-room
  version: 3
  log:
    map-size: 32GiB
    inline-payload: 16KiB
  nodes:
    hq: {}
    ops: {address: "tcp://127.0.0.1:7410"}
  kinds:
    trace: {file: handovers.csv, speed: 3600}
  agents:
    director: {kind: supervisor, node: hq}
    triage: {kind: supervisor, node: ops, reports-to: director}
    ana:
      kind: trace
      reports-to: triage
      publishes: [work.HandedOver]
      subscribes: [ops.Signal, {type: ops.Signal, subject: "metrics.cpu.>"}]
      settings: {resource: Ana, speed: 60}
  """

@Suite struct `A topology file` {
  @Test func `says who is there, where, and under whom`() throws {
    let file = try TopologyFile.read(yaml: incidentRoom, file: "f.yaml")
    let expected = try Topology(
      name: "incident-room", version: 3,
      nodes: [
        NodeSpec(id: "hq"), NodeSpec(id: "ops", address: .tcp(host: "127.0.0.1", port: 7410)),
      ],
      agents: [
        AgentSpec(id: "director", kind: "supervisor", node: "hq"),
        AgentSpec(id: "triage", kind: "supervisor", node: "ops", reportsTo: "director"),
        AgentSpec(
          id: "ana", kind: "trace", node: "ops", reportsTo: "triage", publishes: ["work.HandedOver"],
          subscribes: [
            Subscription(type: "ops.Signal"), Subscription(type: "ops.Signal", subjects: "metrics.cpu.>"),
          ],
          settings: .object([
            "file": .string("handovers.csv"), "speed": .integer(60), "resource": .string("Ana"),
          ])),
      ],
      log: LogSettings(mapByteCount: 32 << 30, inlinePayloadByteCountMax: 16 << 10))
    #expect(file.topology == expected)
    #expect(file.kinds == ["trace": .object(["file": .string("handovers.csv"), "speed": .integer(3600)])])
  }

  @Test func `keeps the lines of its parts`() throws {
    let sources = try TopologyFile.read(yaml: incidentRoom, file: "f.yaml").sources
    #expect(sources.nodes["ops"] == SourceMark(line: 9, column: 3))
    #expect(sources.kinds["trace"]?.settings["speed"] == SourceMark(line: 11, column: 32))
    let ana = sources.agents["ana"]
    #expect(ana?.id == SourceMark(line: 15, column: 3))
    #expect(ana?.kind.line == 16)
    #expect(ana?.node == nil)
    #expect(ana?.reportsTo?.line == 17)
    #expect(ana?.publishes["work.HandedOver"]?.line == 18)
    #expect(ana?.subscribes.map(\.column) == [18, 30])
    #expect(ana?.settings["resource"] == SourceMark(line: 20, column: 16))
  }

  @Test func `may leave most things out`() throws {
    let text =
      "{hypha: 1, name: n, log: , nodes: {main: }, kinds: ~, agents: {a: {kind: k}, b: {kind: k, reports-to: a}}}"
    let topology = try TopologyFile.read(yaml: text, file: "f").topology
    #expect(topology.version == 1)
    #expect(topology.log == LogSettings())
    #expect(topology.nodes == [NodeSpec(id: "main")])
    #expect(topology.root == "a")
    #expect(topology.agents.map(\.node) == ["main", "main"])
    #expect(topology.agents.allSatisfy { $0.publishes == nil && $0.settings == .object([:]) })
  }

  @Test func `gives an agent without a node that of its nearest supervisor with one`() throws {
    let text = """
      hypha: 1
      name: n
      nodes: {x: {}, y: {}}
      agents:
        c: {kind: k, reports-to: b}
        b: {kind: k, reports-to: a}
        a: {kind: k, node: y, reports-to: root}
        root: {kind: k, node: x}
      """
    #expect(try TopologyFile.read(yaml: text, file: "f").topology.agents.map(\.node) == ["y", "y", "y", "x"])
  }

  @Test func `tells publishing nothing from publishing all`() throws {
    let text = "{hypha: 1, name: n, nodes: {m: }, agents: {a: {kind: k, publishes: []}}}"
    #expect(try TopologyFile.read(yaml: text, file: "f").topology.agent("a")?.publishes == [])
  }

  @Test func `reads names that look like other values as names`() throws {
    let text =
      "{hypha: 1, name: 12, nodes: {1.5: }, agents: {true: {kind: 0x1}, 7: {kind: k, reports-to: true}}}"
    let topology = try TopologyFile.read(yaml: text, file: "f").topology
    #expect(topology.name == "12")
    #expect(topology.root == "true")
    #expect(topology.agent("7")?.node == "1.5")
  }

  @Test(
    arguments: [
      ("null", .null), ("~", .null), ("Null", .null), ("true", .bool(true)), ("FALSE", .bool(false)),
      ("yes", .string("yes")), ("on", .string("on")), ("tRue", .string("tRue")), ("nULL", .string("nULL")),
      ("0", .integer(0)), ("-12", .integer(-12)), ("+12", .integer(12)), ("007", .integer(7)),
      ("0x1F", .integer(31)), ("0o17", .integer(15)), ("9223372036854775807", .integer(.max)),
      ("-9223372036854775808", .integer(.min)), ("1_000", .string("1_000")), ("0x", .string("0x")),
      ("0o8", .string("0o8")), ("1.5", .number(1.5)), (".5", .number(0.5)), ("5.", .number(5)),
      ("-1e3", .number(-1000)), ("1.25E-2", .number(0.0125)), ("1e", .string("1e")), (".", .string(".")),
      ("1.2.3", .string("1.2.3")), ("'-'", .string("-")), ("+", .string("+")), ("12s", .string("12s")),
      ("2024-01-01", .string("2024-01-01")), ("\"12\"", .string("12")), ("'true'", .string("true")),
      ("plain text", .string("plain text")), ("infinite", .string("infinite")), ("nan", .string("nan")),
      ("[1, [x], {a: ~}]", .array([.integer(1), .array([.string("x")]), .object(["a": .null])])),
    ] as [(String, JSONValue)])
  func `reads settings by the core schema of YAML`(text: String, expected: JSONValue) throws {
    let yaml = """
      hypha: 1
      name: n
      nodes: {m: {}}
      agents: {a: {kind: k}}
      kinds:
        k:
          x: \(text)
      """
    #expect(try TopologyFile.read(yaml: yaml, file: "f").kinds["k"]?["x"] == expected)
  }

  @Test(
    arguments: [
      ("1MiB", 1 << 20), ("64GiB", 64 << 30), ("64 gib", 64 << 30), ("1.5GiB", 3 << 29), ("64TiB", 64 << 40),
      ("2GB", 2_000_000_000), ("1.125MB", 1_125_000), ("1048577", 1_048_577), ("1048576B", 1 << 20),
      ("4096kB", 4_096_000), ("1024KiB", 1 << 20),
    ] as [(String, UInt64)])
  func `reads sizes with their units`(text: String, byteCount: UInt64) throws {
    let yaml = "{hypha: 1, name: n, log: {map-size: \(text)}, nodes: {m: }, agents: {a: {kind: k}}}"
    #expect(try TopologyFile.read(yaml: yaml, file: "f").topology.log.mapByteCount == byteCount)
  }

  @Test(
    arguments: [
      ("500ms", .milliseconds(500)), ("30s", .seconds(30)), ("5 m", .seconds(300)), ("2h", .seconds(7200)),
      ("7d", .seconds(604_800)),
    ] as [(String, Duration)])
  func `reads durations with their units`(text: String, duration: Duration) throws {
    let yaml =
      "{hypha: 1, name: n, alerts: {deadline: \(text), redelivery: 2s}, nodes: {m: }, agents: {a: {kind: k}}}"
    let alerts = try TopologyFile.read(yaml: yaml, file: "f").topology.alerts
    #expect(alerts == AlertSettings(deadline: duration, redelivery: .seconds(2)))
  }

  @Test func `reads how many realtime events agents may send`() throws {
    let yaml = """
      {hypha: 1, name: n, realtime: {rate: 5000}, nodes: {m: },
       agents: {a: {kind: k}, b: {kind: k, reports-to: a, realtime: {rate: 10, burst: 3}}}}
      """
    let topology = try TopologyFile.read(yaml: yaml, file: "f").topology
    #expect(topology.realtime == RealtimeLimit(perSecond: 5000, burst: 500))
    #expect(topology.agents.map(\.realtime) == [nil, RealtimeLimit(perSecond: 10, burst: 3)])
    #expect(RealtimeLimit(perSecond: 10).burst == 64)
  }

  @Test(
    arguments: [
      ("{}", MembershipSettings()),
      ("{suspect-level: 8}", MembershipSettings(suspicion: .phi(level: 8, pause: .seconds(2)))),
      ("{suspect-pause: 0ms}", MembershipSettings(suspicion: .phi(level: 10, pause: .zero))),
      (
        "{heartbeat: 100ms, suspect-after: 1s, down-after: 1m}",
        MembershipSettings(
          heartbeat: .milliseconds(100), suspicion: .fixed(after: .seconds(1)), downAfter: .seconds(60))
      ),
    ] as [(String, MembershipSettings)])
  func `reads how nodes watch each other`(text: String, expected: MembershipSettings) throws {
    let yaml = "{hypha: 1, name: n, membership: \(text), nodes: {m: }, agents: {a: {kind: k}}}"
    #expect(try TopologyFile.read(yaml: yaml, file: "f").topology.membership == expected)
  }
}
