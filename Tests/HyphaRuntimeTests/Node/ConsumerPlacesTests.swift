import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// What a node leaves in its log for prunes and for its next start.
@Suite struct ConsumerPlacesTests {
  private let ana = CursorKey(agent: "ana", channel: .persistent)
  private let bob = CursorKey(agent: "bob", channel: .alert)

  private func place(_ position: UInt64, _ count: UInt64 = 7) -> Cursor {
    Cursor(position: Position(rawValue: position), handledCount: count)
  }

  private func moved(_ place: Cursor?, newest: UInt64?) -> Cursor? {
    let places = place.map { [ana: $0] } ?? [:]
    let newest = newest.map { [ana: Position(rawValue: $0)] } ?? [:]
    return ConsumerPlaces.moved([ana], from: places, newest: newest, head: Position(rawValue: 100))[ana]
  }

  @Test func `a consumer with nothing before it stands at the head, and another one where it is`() {
    #expect(moved(place(5), newest: 5) == place(100))
    #expect(moved(place(5), newest: nil) == place(100))
    #expect(moved(place(5), newest: 6) == nil)
    #expect(moved(place(100), newest: 3) == nil)
    // A commit that came after the heads were read is not taken back.
    #expect(moved(place(120), newest: 3) == nil)
  }

  @Test func `a consumer that has handled nothing has a place before what waits for it`() {
    #expect(moved(nil, newest: 9) == .start)
    #expect(moved(nil, newest: nil) == place(100, 0))
    let both = ConsumerPlaces.moved(
      [ana, bob], from: [ana: place(5)], newest: [ana: Position(rawValue: 5), bob: Position(rawValue: 1)],
      head: Position(rawValue: 100))
    #expect(both == [ana: place(100), bob: .start])
  }

  @Test func `idle agents do not hold back a prune, and those that cannot work do`() throws {
    let topology = try Topology(
      name: "idle", nodes: [NodeSpec(id: "x")],
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "x"),
        AgentSpec(
          id: "reader", kind: "reader", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Note")]),
        AgentSpec(
          id: "broken", kind: "broken", node: "x", reportsTo: "root",
          subscribes: [Subscription(type: "test.Note")]),
        AgentSpec(
          id: "writer", kind: "writer", node: "x", reportsTo: "root",
          settings: .object(["texts": .array((0..<40).map { .string("\($0)") })])),
      ])
    let deployment = SimulatedDeployment(
      topology, kinds: try KindRegistry(BuiltInKinds.all + [Writer.self, Reader.self, Broken.self]), seed: 1)
    try deployment.start()
    deployment.run(for: .seconds(5))
    try deployment.stop()
    let log = try deployment.reader(of: "x")
    let heads = try log.heads()
    let cursors = try log.cursors()
    let notes = Lane(agent: "writer", channel: .persistent, target: .type("test.Note"))
    #expect(heads.lanes[notes]?.count == 40)
    for agent in ["root", "reader", "writer"] as [AgentID] {
      for channel in Channel.allCases where channel.isLogged {
        #expect(cursors[CursorKey(agent: agent, channel: channel)]?.position == heads.position, "\(agent)")
      }
    }
    #expect(cursors[CursorKey(agent: "reader", channel: .persistent)]?.handledCount == 40)
    // Its notes wait for it: its place is before them all.
    let broken = try #require(cursors[CursorKey(agent: "broken", channel: .persistent)])
    let first = try log.position(ofFirst: notes)
    #expect(broken.handledCount == 0 && broken.position < first)
    // And each agent's newest activation is what the next start reads.
    let needs = try RestartNeeds.positions(in: log)
    let activations = try needs.compactMap { try log.entry(at: $0) }
    #expect(Set(activations.map(\.record.header.agent)) == ["root", "reader", "broken", "writer"])
    #expect(activations.allSatisfy { $0.record.header.type == AgentActivated.eventType })
    // The next start finds it all as it was.
    try deployment.start()
    deployment.run(for: .seconds(5))
    #expect(deployment.summary().nodes.first?.brokenWorkers == ["broken"])
    try deployment.stop()
    let after = try log.cursors()
    #expect(after[CursorKey(agent: "broken", channel: .persistent)] == broken)
    #expect(after[CursorKey(agent: "reader", channel: .persistent)]?.handledCount == 40)
    let newer = try RestartNeeds.positions(in: log)
    #expect(newer.count == 4 && newer.isDisjoint(with: needs))
  }

  private actor Reader: Agent {
    static let handles = Handlers(Reader.self).on(Note.self) { agent, _, _ in agent.state.count += 1 }
    struct State: Codable { var count = 0 }
    var state = State()
  }

  private actor Broken: Agent {
    static let handles = Handlers(Broken.self).on(Note.self) { _, _, _ in }
    static let finishes = true
    func start(in context: Context) throws { throw HyphaError(.failed, "cannot begin") }
  }
}

extension LogReader {
  /// Where the first event of a lane stands.
  fileprivate func position(ofFirst lane: Lane) throws -> Position {
    try positions(ofLane: lane, after: .start).first ?? .start
  }
}
