import Foundation
import HyphaCore
import HyphaTopology

/// The seeds of a randomised test: `1...count`, or the one in the environment variable `HYPHA_SEED`.
/// A failed expectation prints its seed.
func seeds(_ count: UInt64) -> [UInt64] {
  if let seed = ProcessInfo.processInfo.environment["HYPHA_SEED"].flatMap(UInt64.init) { return [seed] }
  return Array(1...count)
}

/// SplitMix64: small, and equal on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

/// Random topologies that are valid in a file.
struct TopologyGenerator {
  var random: SeededGenerator
  static let types: [EventTypeName] = ["work.Begun", "work.Done", "ops.Signal", "a", "7", "true", "x-y_z.W"]

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// A tree of up to `agentCountMax` agents on up to `nodeCountMax` nodes, in a random order.
  mutating func tree(agentCountMax: Int = 20, nodeCountMax: Int = 6) throws -> Topology {
    let nodes = (0..<Int.random(in: 1...nodeCountMax, using: &random)).map { NodeID(unchecked: "n\($0)") }
    var agents: [AgentSpec] = []
    // From bushy to a chain: a new agent's supervisor is one of the last few.
    let reach = Int.random(in: 1...agentCountMax, using: &random)
    for number in 0..<Int.random(in: 1...agentCountMax, using: &random) {
      let supervisor = agents.suffix(reach).randomElement(using: &random)?.id
      let subscribes = Self.types.filter { _ in random.chance(20) }.map { Subscription(type: $0) }
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: "a\(number)"), kind: "k", node: nodes.randomElement(using: &random)!,
          reportsTo: supervisor, subscribes: subscribes))
    }
    agents.shuffle(using: &random)
    return try Topology(name: "random", nodes: nodes.map { NodeSpec(id: $0) }, agents: agents)
  }

  /// A topology with everything that a file can say, under names and texts of all sorts.
  mutating func full() throws -> (topology: Topology, kinds: [String: JSONValue]) {
    let nodes = names(upTo: 5).enumerated().map { place, name in
      let port = UInt16(1 + 4 * place + Int.random(in: 0..<4, using: &random) * 100)
      let host = ["127.0.0.1", "127.1.2.3", "localhost", "[::1]", "10.0.0.7", "lab_1.example"].randomElement(
        using: &random)!
      var node = NodeSpec(
        id: NodeID(unchecked: name), address: random.chance(50) ? .local : .tcp(host: host, port: port))
      if node.address != .local, random.chance(50) {
        node.listen = .tcp(
          host: ["0.0.0.0", "*", "[::]", "10.0.0.7"].randomElement(using: &random)!, port: port)
      }
      if random.chance(50) {
        node.key = LinkKey(bytes: (0..<32).map { _ in .random(in: .min ... .max, using: &random) })
      }
      return node
    }
    var kinds: [String: JSONValue] = [:]
    let kindNames = names(upTo: 4)
    for name in kindNames where random.chance(60) { kinds[name] = .object(object(depth: 3)) }
    var agents: [AgentSpec] = []
    for name in names(upTo: 12) {
      let kind = kindNames.randomElement(using: &random)!
      var settings: [String: JSONValue] = [:]
      // Most agents have what their kind has; what one lacks is then no longer shared.
      if case .object(let shared)? = kinds[kind], random.chance(90) { settings = shared }
      settings.merge(object(depth: 3)) { _, own in own }
      agents.append(
        AgentSpec(
          id: AgentID(unchecked: name), kind: kind, node: nodes.randomElement(using: &random)!.id,
          reportsTo: agents.randomElement(using: &random)?.id,
          publishes: random.chance(50) ? nil : Set(Self.types.filter { _ in random.chance(30) }),
          subscribes: try (0..<Int.random(in: 0...3, using: &random)).map { _ in try subscription() },
          settings: .object(settings), supervision: random.chance(70) ? nil : supervision(),
          realtime: random.chance(80) ? nil : limit()))
    }
    agents.shuffle(using: &random)
    agents = standbys(of: agents)
    var log = LogSettings()
    if random.chance(50) { log.mapByteCount = .random(in: (1 << 20)...(64 << 40), using: &random) }
    if random.chance(50) { log.inlinePayloadByteCountMax = .random(in: 1_024...(1 << 20), using: &random) }
    var security = SecuritySettings()
    if random.chance(50) {
      security.keysDirectory = ["keys", "../a b/'c'", "~", "null"].randomElement(using: &random)
    }
    if security.keysDirectory == nil { security.allowsPlain = random.chance(50) }
    let topology = try Topology(
      name: names(upTo: 1)[0], version: .random(in: 1...4_000_000_000, using: &random), nodes: nodes,
      agents: agents,
      log: log,
      alerts: AlertSettings(
        deadline: .milliseconds(Int64.random(in: 1...604_800_000, using: &random)),
        redelivery: random.chance(50) ? .seconds(1) : .seconds(Int64.random(in: 1...86_400, using: &random))),
      membership: membership(), supervision: random.chance(50) ? SupervisionSettings() : supervision(),
      security: security, oversight: oversight(of: agents), realtime: random.chance(70) ? nil : limit())
    return (topology, kinds)
  }

  private mutating func limit() -> RealtimeLimit {
    RealtimeLimit(
      perSecond: .random(in: 1...100_000_000, using: &random),
      burst: random.chance(50) ? nil : .random(in: 1...1_000_000, using: &random))
  }

  /// The same agents, some of whose supervisors have a standby on another node.
  mutating func standbys(of agents: [AgentSpec]) -> [AgentSpec] {
    agents.map { agent in
      guard agents.contains(where: { $0.reportsTo == agent.id }), random.chance(50) else { return agent }
      var agent = agent
      agent.standby =
        agents.filter { other in
          let isBeside = other.reportsTo == agent.reportsTo && agent.reportsTo != nil
          return other.id != agent.id && other.node != agent.node && (isBeside || other.reportsTo == agent.id)
        }.randomElement(using: &random)?.id
      return agent
    }
  }

  /// Rules for supervisors among agents, each for a type once.
  mutating func oversight(of agents: [AgentSpec]) -> [OversightRule] {
    let supervisors = Set(agents.compactMap(\.reportsTo)).sorted()
    return supervisors.flatMap { supervisor in
      Self.types.filter { _ in random.chance(25) }.map { type in
        let mode = OversightRule.Mode.allCases.randomElement(using: &random)!
        let period = Duration.seconds(Int64.random(in: 1...604_800, using: &random))
        return OversightRule(
          type, by: supervisor, mode, every: mode == .after ? period : OversightRule.usualPeriod)
      }
    }
  }

  private mutating func membership() -> MembershipSettings {
    let heartbeat = Int64.random(in: 20...1000, using: &random)
    let after = Int64.random(in: 3 * heartbeat...4000, using: &random)
    return MembershipSettings(
      heartbeat: .milliseconds(heartbeat),
      suspicion: random.chance(50)
        ? .fixed(after: .milliseconds(max(200, after)))
        : .phi(level: .random(in: 1...16, using: &random), pause: .milliseconds(after)),
      downAfter: .seconds(Int64.random(in: 4...3600, using: &random)))
  }

  /// Settings that differ from the usual ones, and from others of these, in each part.
  private mutating func supervision() -> SupervisionSettings {
    func wait() -> Duration { .milliseconds(Int64.random(in: 1_000_001...604_800_000, using: &random)) }
    return SupervisionSettings(
      retry: RetryPolicy(
        initial: wait(), factor: .random(in: 3...100, using: &random), cap: wait(),
        jitterPercent: .random(in: 11...100, using: &random),
        attemptCountMax: .random(in: 6...1000, using: &random)),
      handlerDeadline: wait(), strategy: random.chance(50) ? .restart : .stop,
      restartCountMax: .random(in: 4...1000, using: &random), restartWindow: wait())
  }

  private mutating func names(upTo count: Int) -> [String] {
    let odd = [
      "null", "true", "No", "12", "0x1F", "1.5", "-", "--", "-x", "...", "---", ".x", "_", "1e3", "y", ".inf",
    ]
    let alphabet = Array("abXYZ019._-")
    var names: Set<String> = []
    for _ in 0..<Int.random(in: 1...count, using: &random) {
      let length = Int.random(in: 1...(random.chance(10) ? 63 : 8), using: &random)
      var name = String((0..<length).map { _ in alphabet.randomElement(using: &random)! })
      // These are no names: they stand for directories.
      if name == "." || name == ".." { name = "dot" }
      names.insert(random.chance(25) ? odd.randomElement(using: &random)! : name)
    }
    return names.sorted()
  }

  private mutating func subscription() throws -> Subscription {
    let subjects = [
      ">", "*", "metrics.cpu.>", "a.*.c", "#", "ä.{b}", "'", "\"", "a:b", "[,]", "&x.*", "-", "null", "\\",
      "\u{1F344}.>",
    ]
    return Subscription(
      type: Self.types.randomElement(using: &random)!,
      subjects: try Pattern(subjects.randomElement(using: &random)!))
  }

  mutating func object(depth: Int) -> [String: JSONValue] {
    var members: [String: JSONValue] = [:]
    for _ in 0..<Int.random(in: 0...4, using: &random) { members[text()] = value(depth: depth) }
    return members
  }

  private mutating func value(depth: Int) -> JSONValue {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &random) {
    case 0: return .null
    case 1: return .bool(random.chance(50))
    case 2:
      let some = Int64.random(in: .min ... .max, using: &random)
      return .integer([0, 1, -1, .max, .min, some].randomElement(using: &random)!)
    case 3:
      let number = Double(bitPattern: random.next())
      return .number(number.isFinite ? number : 3)
    case 4, 5: return .string(text())
    case 6: return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in value(depth: depth - 1) })
    default: return .object(object(depth: depth - 1))
    }
  }

  /// Texts that YAML could mistake for something else, and texts of random scalars.
  mutating func text() -> String {
    let odd = [
      "", " ", "~", "null", "true", "False", "yes", "12", "+12", "0x1F", "0o17", "1.5", ".5", "5.", "1e3",
      ".inf", ".nan",
      "<<", "=", "-", "- a", "? a", ": a", "a: b", "a #b", "#a", "&a", "*a", "!a", "!!str a", "%a", "@a",
      "`a", "[a]", "{a}",
      "a, b", "'", "\"", "\\", "\\n", "a\nb", "a\r\nb", "\n", "\t", " a ", "\u{0}", "\u{7F}", "\u{85}",
      "\u{2028}",
      "\u{FEFF}a", "\u{FFFE}", "é", "e\u{301}", "\u{1F344}", "---", "...", "| a", "> a", "plain text",
      "2024-01-01",
    ]
    if random.chance(60) { return odd.randomElement(using: &random)! }
    var text = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 0...(random.chance(3) ? 1500 : 12), using: &random) {
      let bound: UInt32 = random.chance(70) ? 0x7F : 0x10FFFF
      text.append(Unicode.Scalar(UInt32.random(in: 0...bound, using: &random)) ?? "x")
    }
    return String(text)
  }
}
