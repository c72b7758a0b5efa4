import HyphaCore
import HyphaTopology
import Testing

@Suite struct AgentMovesTests {
  private func topology() throws -> Topology {
    try Topology(
      name: "moves", nodes: ["a", "b", "c"].map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "b"),
        AgentSpec(id: "one", kind: "one", node: "a", reportsTo: "root"),
        AgentSpec(id: "two", kind: "two", node: "b", reportsTo: "root"),
      ])
  }

  private func order(_ moves: AgentMoves, _ agent: AgentID, to node: NodeID) throws -> AgentMoved? {
    guard case .moved(let order) = moves.answer(to: MoveAsked(agent: agent, to: node), in: try topology())
    else { return nil }
    return order
  }

  private func refusal(_ moves: AgentMoves, _ agent: AgentID, to node: NodeID) throws -> String {
    let asked = MoveAsked(agent: agent, to: node)
    guard case .refused(let refusal) = moves.answer(to: asked, in: try topology()) else { return "" }
    return refusal.reason
  }

  @Test func `an agent moves from where it is, and again once it is there`() throws {
    var moves = AgentMoves()
    let first = try #require(try order(moves, "one", to: "b"))
    #expect(first == AgentMoved(move: 1, agent: "one", from: "a", to: "b"))
    moves.take(first, at: .zero)
    #expect(try refusal(moves, "one", to: "c").contains("on its way from 'a' to 'b' (move 1)"))
    // Others do not wait for it.
    #expect(try order(moves, "two", to: "a") == AgentMoved(move: 2, agent: "two", from: "b", to: "a"))
    moves.note(1, .handedOver)
    #expect(try order(moves, "one", to: "c") == nil)
    moves.note(1, .arrived)
    #expect(try order(moves, "one", to: "a") == AgentMoved(move: 2, agent: "one", from: "b", to: "a"))
    #expect(try refusal(moves, "one", to: "b") == "it is there already")
  }

  @Test func `what cannot be is refused by name`() throws {
    let moves = AgentMoves()
    #expect(try refusal(moves, "nobody", to: "a") == "there is no agent 'nobody'")
    #expect(try refusal(moves, "one", to: "x") == "there is no node 'x'; name one of a, b, c")
    #expect(try refusal(moves, "one", to: "a") == "it is there already")
    #expect(try order(moves, "one", to: "c") != nil)
  }

  @Test func `in whatever order it becomes known, it is the same`() throws {
    let orders = [
      AgentMoved(move: 1, agent: "one", from: "a", to: "b"),
      AgentMoved(move: 2, agent: "two", from: "b", to: "c"),
      AgentMoved(move: 3, agent: "one", from: "b", to: "c"),
    ]
    var steps: [(inout AgentMoves) -> Void] = orders.map { order in { $0.take(order, at: .zero) } }
    steps += [{ $0.note(1, .handedOver) }, { $0.note(1, .arrived) }, { $0.note(3, .handedOver) }]
    var wanted = AgentMoves()
    for step in steps { step(&wanted) }
    #expect(wanted.newest(of: "one")?.stage == .handedOver && wanted.newest(of: "two")?.stage == .ordered)
    #expect(wanted.places == ["one": "c", "two": "c"])
    #expect(wanted.newest.map(\.order.move) == [2, 3])
    for seed in seeds(50) {
      var random = SeededGenerator(seed: seed)
      var moves = AgentMoves()
      // Each may come twice.
      for step in (steps + steps).shuffled(using: &random) { step(&moves) }
      #expect(moves == wanted, "HYPHA_SEED=\(seed)")
      var half = AgentMoves()
      for step in steps.shuffled(using: &random).prefix(3) { step(&half) }
      half.merge(moves)
      #expect(half == wanted, "HYPHA_SEED=\(seed)")
    }
  }

  @Test func `a topology with moved agents has the fingerprint of its file, and the same node orders moves`()
    throws
  {
    let file = try topology()
    var moves = AgentMoves()
    #expect(try moves.placing(file) == file && file.moveSeat == "b")
    moves.take(AgentMoved(move: 1, agent: "root", from: "b", to: "c"), at: .zero)
    moves.take(AgentMoved(move: 2, agent: "stranger", from: "b", to: "c"), at: .zero)
    moves.take(AgentMoved(move: 3, agent: "two", from: "b", to: "nowhere"), at: .zero)
    let placed = try moves.placing(file)
    #expect(placed.agent("root")?.node == "c" && placed.agent("two")?.node == "b")
    #expect(placed.hash == file.hash && placed.moveSeat == "b")
    #expect(Set(placed.agents(on: "c").map(\.id)) == ["root"])
    // Once more, and back.
    moves.take(AgentMoved(move: 4, agent: "root", from: "c", to: "b"), at: .zero)
    #expect(try moves.placing(placed).agents == file.agents && moves.placing(placed).hash == file.hash)
    #expect(try placed.replacing(nodes: file.nodes).hash == file.hash)
  }

  @Test(arguments: [0, 1, AgentHandedOver.byteCountMax, AgentHandedOver.byteCountMax + 1, 1_000_000])
  func `what an agent had is carried in parts`(byteCount: Int) throws {
    let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let order = AgentMoved(move: 7, agent: "one", from: "a", to: "b")
    let parts = AgentHandedOver.parts(of: bytes, move: order)
    #expect(parts.allSatisfy { $0.partCount == parts.count && $0.move == 7 && $0.agent == "one" })
    #expect(parts.map(\.part) == Array(0..<parts.count))
    #expect(parts.flatMap(\.bytes.bytes) == bytes)
    #expect(parts.count == max(1, (byteCount + (256 << 10) - 1) / (256 << 10)))
    for part in parts {
      var payload: [UInt8] = []
      try part.encode(into: &payload)
      #expect(payload.count < 1 << 20)
    }
  }
}
