import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// The promises about oversight, on nodes that crash behind a network that loses, doubles and delays, with links that lead
/// around who oversees.
@Suite struct OversightSimulationTests {
  /// `ana` and `ben` request on the node `far`, below `head` on `mid`; `cleo` on `top` and `dora`, beside those who request, take
  /// requests. A link joins `ana` and `cleo`.
  private struct Place {
    let deployment: SimulatedDeployment
    static let count = 60

    init(
      _ mode: OversightRule.Mode?, seed: UInt64, faults: MemoryNetwork.Faults = .none,
      to addressee: AgentID? = nil, isLinked: Bool = true
    ) throws {
      var policy = ObserverPolicy()
      policy.node = "top"
      if isLinked { policy.pins = [DirectLink("ana", "cleo"), DirectLink("ben", "root")] }
      let takes = [Subscription(type: "test.Request")]
      var settings: [String: JSONValue] = ["count": .integer(Int64(Self.count))]
      if let addressee { settings["to"] = .string(addressee.text) }
      // Digests come once a second, and some of the crashes are to be between them.
      if mode == .after { settings["every"] = .integer(50) }
      let topology = try Topology(
        name: "overseen", nodes: [NodeSpec(id: "far"), NodeSpec(id: "mid"), NodeSpec(id: "top")],
        agents: [
          AgentSpec(id: "root", kind: "supervisor", node: "top"),
          AgentSpec(
            id: "head", kind: "desk", node: "mid", reportsTo: "root",
            settings: .object(["passes": .bool(true)])),
          AgentSpec(
            id: "ana", kind: "requester", node: "far", reportsTo: "head", settings: .object(settings)),
          AgentSpec(
            id: "ben", kind: "requester", node: "far", reportsTo: "head", settings: .object(settings)),
          AgentSpec(id: "dora", kind: "desk", node: "far", reportsTo: "head", subscribes: takes),
          AgentSpec(id: "cleo", kind: "desk", node: "top", reportsTo: "root", subscribes: takes),
          // Nobody oversees this one: its requests go to all who take them.
          AgentSpec(
            id: "eve", kind: "requester", node: "mid", reportsTo: "root",
            settings: .object(["count": .integer(Int64(Self.count))])),
        ], supervision: SupervisionSettings(retry: RetryPolicy(attemptCountMax: 1)), observer: policy,
        oversight: mode.map { [OversightRule("test.Request", by: "head", $0, every: .seconds(1))] } ?? [])
      let kinds = try KindRegistry(BuiltInKinds.all + [Requester.self, Desk.self])
      deployment = SimulatedDeployment(topology, kinds: kinds, seed: seed, faults: faults)
      try deployment.start()
    }

    /// What a desk has taken of one author.
    func numbers(_ desk: AgentID, on node: NodeID, by author: AgentID) throws -> [Int] {
      let state = try deployment.state(of: desk, Desk.self, in: deployment.reader(of: node))
      return zip(state.authors, state.numbers).filter { $0.0 == author }.map(\.1)
    }

    func digests() throws -> [OversightDigest] {
      try deployment.state(of: "head", Desk.self, in: deployment.reader(of: "mid")).digests
    }

    /// The authors whose requests a node's log has.
    func authors(on node: NodeID) throws -> Set<AgentID> {
      let entries = try deployment.reader(of: node).read(after: .start, limit: .max, byteLimit: .max)
      return Set(entries.map(\.record).filter { $0.type == "test.Request" }.map(\.agent))
    }
  }

  /// A place whose nodes were killed now and then, and that has come to its end.
  private func settled(_ mode: OversightRule.Mode?, seed: UInt64) throws -> Place {
    var random = SeededGenerator(seed: seed, name: "oversight")
    let faults = MemoryNetwork.Faults(
      loss: Double(random.next() % 20) / 100, duplication: Double(random.next() % 20) / 100,
      delay: .microseconds(100)...(.microseconds(3_000)))
    let place = try Place(mode, seed: seed, faults: faults)
    for _ in 0..<4 {
      place.deployment.run(for: .milliseconds(Int64(random.next() % (mode == .after ? 1_500 : 150))))
      let node: NodeID = ["far", "mid", "top"][Int(random.next() % 3)]
      place.deployment.kill(node)
      place.deployment.run(for: .milliseconds(Int64(random.next() % 80)))
      try place.deployment.start(node)
    }
    #expect(place.deployment.runToEnd(limit: .seconds(600)), "HYPHA_SEED=\(seed)")
    return place
  }

  private let all = Array(1...Place.count)
  private var even: [Int] { all.filter { $0.isMultiple(of: 2) } }

  @Test func `what is overseen in comes to nobody but by who oversees it`() throws {
    for seed in seeds(12) {
      let place = try settled(.in, seed: seed)
      for (desk, node) in [("cleo", "top"), ("dora", "far")] as [(AgentID, NodeID)] {
        for author in ["ana", "ben"] as [AgentID] {
          #expect(try place.numbers(desk, on: node, by: author) == [], "HYPHA_SEED=\(seed) \(desk)")
        }
        let passed = try place.numbers(desk, on: node, by: "head")
        // Each of the two authors' even numbers, in the order in which the head took them.
        #expect(passed.sorted() == (even + even).sorted(), "HYPHA_SEED=\(seed) \(desk)")
        #expect(try place.numbers(desk, on: node, by: "eve") == all, "HYPHA_SEED=\(seed) \(desk)")
      }
      for author in ["ana", "ben"] as [AgentID] {
        #expect(try place.numbers("head", on: "mid", by: author) == all, "HYPHA_SEED=\(seed)")
      }
      #expect(try place.numbers("head", on: "mid", by: "eve") == [], "HYPHA_SEED=\(seed)")
      #expect(try place.authors(on: "top") == ["head", "eve"], "HYPHA_SEED=\(seed)")
    }
  }

  @Test func `what is overseen in parallel comes to all, and to who oversees it`() throws {
    for seed in seeds(6) {
      let place = try settled(.parallel, seed: seed)
      for author in ["ana", "ben"] as [AgentID] {
        #expect(try place.numbers("cleo", on: "top", by: author) == all, "HYPHA_SEED=\(seed)")
        #expect(try place.numbers("dora", on: "far", by: author) == all, "HYPHA_SEED=\(seed)")
        #expect(try place.numbers("head", on: "mid", by: author) == all, "HYPHA_SEED=\(seed)")
      }
      #expect(try place.numbers("head", on: "mid", by: "eve") == [], "HYPHA_SEED=\(seed)")
    }
  }

  @Test func `what is overseen after is told of once, whatever crashes`() throws {
    var digestCount = 0
    for seed in seeds(12) {
      let place = try settled(.after, seed: seed)
      #expect(try place.numbers("cleo", on: "top", by: "ana") == all, "HYPHA_SEED=\(seed)")
      #expect(try place.numbers("head", on: "mid", by: "ana") == [], "HYPHA_SEED=\(seed)")
      place.deployment.run(for: .seconds(3))
      #expect(place.deployment.runToEnd(limit: .seconds(60)), "HYPHA_SEED=\(seed)")
      let digests = try place.digests()
      var through: UInt64 = 0
      for digest in digests {
        #expect(digest.node == "far" && digest.after == through, "HYPHA_SEED=\(seed) \(digests)")
        through = digest.through
      }
      for author in ["ana", "ben"] as [AgentID] {
        let counts = digests.flatMap(\.agents).filter { $0.agent == author }
        #expect(counts.reduce(0) { $0 + $1.count } == UInt64(Place.count), "HYPHA_SEED=\(seed) \(digests)")
        let newest = try #require(counts.last?.newest)
        let entry = try place.deployment.reader(of: "far").entry(withID: newest)
        #expect(entry?.record.agent == author, "HYPHA_SEED=\(seed)")
      }
      digestCount += digests.count
    }
    #expect(digestCount >= 24)
  }

  @Test func `without a rule, or outside, everything goes its way`() throws {
    for mode in [nil, .outside] as [OversightRule.Mode?] {
      let place = try settled(mode, seed: 1)
      for author in ["ana", "ben", "eve"] as [AgentID] {
        #expect(try place.numbers("cleo", on: "top", by: author) == all)
      }
      #expect(try place.numbers("head", on: "mid", by: "ana") == [])
    }
  }

  @Test(arguments: [OversightRule.Mode.in, .parallel])
  func `what is overseen cannot be addressed past who oversees it`(mode: OversightRule.Mode) throws {
    let place = try Place(mode, seed: 1, to: "cleo")
    place.deployment.run(for: .seconds(2))
    #expect(try place.authors(on: "far").isDisjoint(with: ["ana", "ben"]))
    let failures = try place.deployment.reader(of: "far").read(after: .start, limit: .max, byteLimit: .max)
      .map(\.record).filter { $0.type == HandlerFailed.eventType }
    let first = try #require(failures.first)
    let error = try first.withPayload { try HandlerFailed.decode(from: $0) }.error
    #expect(error.contains("addresses test.Request to 'cleo', past 'head' who oversees it"), "\(error)")
    // A node that lets it pass is not believed.
    try place.deployment.publish(Request(number: 7), from: "ana", to: "cleo")
    try place.deployment.publish(Request(number: 8), from: "ana", to: "ana")
    place.deployment.run(for: .seconds(2))
    #expect(try place.authors(on: "far").contains("ana"))
    #expect(try !place.authors(on: "top").contains("ana"))
    #expect(try place.numbers("cleo", on: "top", by: "ana") == [])
  }

  @Test func `an agent is told why it gets nothing of what is overseen`() throws {
    let place = try Place(.in, seed: 1)
    func findings(_ agent: AgentID, on node: NodeID) throws -> [String] {
      try #require(place.deployment.node(node)).explain(agent).findings.map(\.text)
    }
    let cleo = try findings("cleo", on: "top")
    #expect(cleo.contains("test.Request, which head, eve may publish"), "\(cleo)")
    #expect(cleo.contains("test.Request of ana, ben, dora ends at 'head', who oversees it"), "\(cleo)")
    let head = try findings("head", on: "mid")
    #expect(head.contains("test.Request of those below it, with the mode 'in'"), "\(head)")
  }

  @Test func `a lane that ends below leads nowhere above, whatever was asked before`() throws {
    let place = try Place(.in, seed: 1, isLinked: false)
    let routes = try #require(place.deployment.node("top")).routes
    func deliveries(of author: AgentID) -> [AgentID] {
      let lane = Lane(agent: author, channel: .persistent, target: .type("test.Request"))
      return routes.step(lane, at: "root", RouteSwitch.tree).deliveries.map(\.agent)
    }
    #expect(deliveries(of: "head") == ["cleo"])
    #expect(deliveries(of: "ana") == [])
    #expect(deliveries(of: "eve") == ["cleo"])
  }
}
