import HyphaCore
import Testing

@testable import HyphaTopology

/// Who leaves a deployment, and when nobody waits for it any more.
@Suite struct DeparturesTests {
  private func topology(
    _ nodes: [NodeID] = ["hub", "x", "y"], ana: NodeID = "y", root: NodeID = "hub"
  ) throws -> Topology {
    try Topology(
      name: "office", nodes: nodes.map { NodeSpec(id: $0) },
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: root),
        AgentSpec(id: "ana", kind: "clerk", node: ana, reportsTo: "root"),
      ])
  }

  private func answer(
    _ new: Topology, from old: Topology, _ revisions: Revisions = Revisions(),
    _ departures: Departures = Departures(), lost: [NodeID] = [], running: Topology? = nil
  ) -> Revisions.Answer {
    revisions.answer(
      to: RevisionAsked(file: "new", after: revisions.number, lost: lost), now: ("old", old), new: new,
      running: running ?? old, moves: AgentMoves(), departures: departures, version: 1)
  }

  private func order(_ answer: Revisions.Answer) throws -> TopologyRevised {
    guard case .revised(let order) = answer else {
      Issue.record("\(answer)")
      throw HyphaError(.failed, "refused")
    }
    return order
  }

  private func ending(_ node: NodeID, since: UInt32, bytes: [UInt8], epoch: UInt64 = 1) -> [NodeEnding] {
    NodeEnding.parts(of: bytes, node: node, since: since, epoch: epoch)
  }

  @Test func `a file that is too large together with the one before is refused, with both sizes`() throws {
    let text = String(repeating: "#", count: 100_000)
    let answer = Revisions().answer(
      to: RevisionAsked(file: text, after: 1), now: (text, try topology()), new: try topology(ana: "x"),
      running: try topology(), moves: AgentMoves(), version: 1)
    #expect(
      answer
        == .refused(
          RevisionRefused(reasons: [
            "the file has 100000 bytes and the one that it replaces 100000, together more than 196608; leave comments out"
          ])))
  }

  @Test func `a node leaves once all that stay have released it under the newest file`() throws {
    let (old, new) = (try topology(["hub", "x", "y", "z"], ana: "y"), try topology())
    let order = try order(answer(new, from: old))
    #expect(order.leaving?.map(\.node) == ["z"] && order.leaving?.first?.since == 2)
    let running = try new.revised(by: order, after: [])
    #expect(running.nodes.map(\.id) == ["hub", "x", "y", "z"] && running.hash == new.hash)
    #expect(running.presentNodes.map(\.id) == ["hub", "x", "y", "z"] && running.isLeaving("z"))
    #expect(running.stayingNodes.map(\.id) == ["hub", "x", "y"] && running.moveSeat == "hub")
    let leave = Departures.Leave(node: "z", since: 2)
    #expect(running.leaves == [leave])

    var departures = Departures()
    for node in ["hub", "x", "y"] as [NodeID] {
      departures.take(NodeReleased(node: "z", by: node, revision: 2))
    }
    #expect(departures.ended(in: running, moves: AgentMoves()) == [], "it has not said how far its lanes go")
    // A part is missing.
    let parts = ending("z", since: 2, bytes: Array(repeating: 7, count: 300 << 10))
    #expect(parts.count == 2)
    departures.take(ending("z", since: 2, bytes: Array(repeating: 6, count: 300 << 10))[0])
    let again = ending("z", since: 2, bytes: Array(repeating: 7, count: 300 << 10), epoch: 2)
    departures.take(again[1])
    #expect(departures.ends(of: leave) == nil && departures.ended(in: running, moves: AgentMoves()) == [])
    departures.take(parts[0])
    #expect(departures.ends(of: leave) == nil, "parts of two statements do not go together")
    departures.take(again[0])
    #expect(departures.ends(of: leave) == Array(repeating: 7, count: 300 << 10))
    #expect(departures.ended(in: running, moves: AgentMoves()) == [leave])
    // What it hands over has to be where it goes.
    var moves = AgentMoves()
    moves.take(AgentMoved(move: 1, agent: "ana", from: "z", to: "y"), at: .zero)
    #expect(departures.ended(in: running, moves: moves) == [])
    moves.note(1, .arrived)
    #expect(departures.ended(in: running, moves: moves) == [leave])

    // Under another file they may want more.
    let third = try self.order(
      revisionsAfter(order).answer(
        to: RevisionAsked(file: "third", after: 2), now: ("new", new), new: topology(ana: "x"),
        running: running, moves: AgentMoves(), departures: departures, version: 2))
    let next = try topology(ana: "x").revised(by: third, after: [])
    #expect(next.leaves == [leave], "it goes on leaving")
    #expect(departures.awaited(by: "z", in: next) == ["hub", "x", "y"])
    #expect(departures.ended(in: next, moves: moves) == [], "nobody has released it under that")
    departures.take(NodeReleased(node: "z", by: "x", revision: 3))
    departures.take(NodeReleased(node: "z", by: "x", revision: 2))
    #expect(departures.awaited(by: "z", in: next) == ["hub", "y"])
    #expect(departures.ended(in: next, moves: moves) == [])
    for node in ["hub", "y"] as [NodeID] {
      departures.take(NodeReleased(node: "z", by: node, revision: 3))
    }
    #expect(departures.ended(in: next, moves: moves) == [leave])

    departures.take(NodeRetired(node: "z", since: 2))
    let left = next.without(departures)
    #expect(left.hasLeft("z") && left.leaves == [] && left.presentNodes.map(\.id) == ["hub", "x", "y"])
    #expect(left.node("z") != nil && left.hash == next.hash)
    #expect(!departures.hasLeft(.init(node: "z", since: 4)), "a later leave is another one")
  }

  private func revisionsAfter(_ order: TopologyRevised) -> Revisions {
    var revisions = Revisions()
    revisions.take(order, at: .zero)
    return revisions
  }

  @Test func `a node that is given up has left at once, and one that has left does not come back`() throws {
    let (old, new) = (try topology(["hub", "x", "y", "z"]), try topology())
    let lost = try order(answer(new, from: old, lost: ["z"]))
    #expect(try new.revised(by: lost, after: []).hasLeft("z"))
    let revisions = revisionsAfter(lost)
    let again = answer(old, from: new, revisions)
    guard case .refused(let refusal) = again else { throw HyphaError(.failed, "\(again)") }
    #expect(refusal.reasons.first?.hasPrefix("node 'z' was there before and has left") == true)

    // While it leaves it may stay, or be given up.
    let leaving = try order(answer(new, from: old))
    let back = try order(answer(old, from: new, revisionsAfter(leaving)))
    #expect(try back.leaving == nil && old.revised(by: back, after: []).leaves == [])
    let given = try order(answer(new, from: new, revisionsAfter(leaving), lost: ["z"]))
    #expect(try new.revised(by: given, after: []).hasLeft("z"))
    guard case .refused(let none) = answer(new, from: old, lost: ["x"]) else {
      throw HyphaError(.failed, "given up though it stays")
    }
    #expect(
      none.reasons == [
        "node 'x' does not leave, and cannot be given up; name a node that the file has no more"
      ])
  }

  @Test func `agents of a node that leaves move or go`() throws {
    let (old, new) = (try topology(ana: "y"), try topology(["hub", "x"], ana: "x"))
    let plan = TopologyPlan(from: old, to: new, .init(seat: "hub"))
    #expect(plan.changes.map(\.text) == ["agent 'ana' moves from 'y' to 'x'", "node 'y' leaves"])
    #expect(plan.obstacles == [])
    let lost = TopologyPlan(
      from: old, to: new, .init(seat: "hub", lost: ["y"]))
    #expect(
      lost.obstacles.map(\.problem) == [
        "agent 'ana' would move from node 'y', which is given up and cannot hand it over"
      ])
    // It was moved to the node that leaves: the file has it elsewhere, and there it goes.
    var moves = AgentMoves()
    moves.take(AgentMoved(move: 1, agent: "ana", from: "x", to: "y"), at: .zero)
    moves.note(1, .arrived)
    let back = TopologyPlan(from: try topology(ana: "x"), to: new, .init(moves: moves, seat: "hub"))
    #expect(back.changes.map(\.text) == ["agent 'ana' moves from 'y' to 'x'", "node 'y' leaves"])
  }

  @Test func `where the node that orders leaves, another one does that was there before`() throws {
    let old = try topology(["hub", "x", "y", "z"], ana: "y")
    let new = try topology(["x", "y", "z", "new"], ana: "y", root: "x")
    let plan = TopologyPlan(from: old, to: new, .init(seat: "hub"))
    #expect(
      plan.changes.map(\.text).contains("node 'x' orders moves and files in the place of 'hub'"), "\(plan)")
    let order = try order(answer(new, from: old))
    #expect(order.seat == "x" && SeatTerm.of(order.version) > SeatTerm.of(1))
    let running = try new.revised(by: order, after: [])
    #expect(running.moveSeat == "x" && running.hasOrdered("hub") && !running.hasOrdered("y"))

    #expect(running.lastOrderer == .init(node: "hub", since: 2) && old.lastOrderer == nil)
    var departures = Departures()
    let revisions = revisionsAfter(order)

    // It does not come back, nor does the next one leave before.
    func reasons(_ file: Topology, _ departures: Departures, lost: [NodeID] = []) -> [String] {
      let answer = answer(file, from: new, revisions, departures, lost: lost, running: running)
      guard case .refused(let refusal) = answer else { return ["\(answer)"] }
      return refusal.reasons
    }
    let back = reasons(try topology(["hub", "x", "y", "z", "new"], root: "x"), departures)
    #expect(
      back.first?.hasPrefix("node 'hub' leaves, and another one orders in its place") == true, "\(back)")
    let next = try topology(["y", "z", "new"], root: "y")
    #expect(
      reasons(next, departures).first?.contains("node 'hub', which did before, has not left yet") == true)
    departures.take(NodeRetired(node: "hub", since: 2))
    #expect(
      try self.order(answer(next, from: new, revisions, departures, running: running)).seat == "y")
    #expect(reasons(next, departures, lost: ["x"]).first?.contains("it cannot be given up") == true)

    // Who orders was there before.
    let strange = TopologyPlan(
      from: old, to: try topology(["new"], ana: "new", root: "new"), .init(seat: "hub"))
    #expect(strange.obstacles.contains { $0.problem.hasSuffix("all other nodes are new") }, "\(strange)")
  }

  @Test func `no agent is moved to a node that leaves, and none that is on its way there is left behind`()
    throws
  {
    let old = try topology(["hub", "x", "y", "z"], ana: "y")
    let order = try order(answer(try topology(), from: old))
    let running = try topology().revised(by: order, after: [])
    guard
      case .refused(let refused) = AgentMoves().answer(
        to: MoveAsked(agent: "ana", to: "z", note: nil), in: running)
    else {
      Issue.record("it is moved")
      return
    }
    #expect(refused.reason == "node 'z' leaves; name one of hub, x, y")
    // It was ordered before the file was known.
    var (departures, moves) = (Departures(), AgentMoves())
    moves.take(AgentMoved(move: 1, agent: "ana", from: "y", to: "z"), at: .zero)
    moves.note(1, .arrived)
    for node in ["hub", "x", "y"] as [NodeID] {
      departures.take(NodeReleased(node: "z", by: node, revision: 2))
    }
    for part in ending("z", since: 2, bytes: [1]) { departures.take(part) }
    #expect(departures.ended(in: running, moves: moves) == [])
  }

  @Test func `who is given up hands nothing over and takes nothing, so an agent on its way is removed`()
    throws
  {
    let old = try topology(["hub", "x", "y", "z"], ana: "z")
    var moves = AgentMoves()
    moves.take(AgentMoved(move: 1, agent: "ana", from: "z", to: "y"), at: .zero)
    func answer(_ new: Topology) -> Revisions.Answer {
      Revisions().answer(
        to: RevisionAsked(file: "new", after: 1, lost: ["z"]), now: ("old", old), new: new, running: old,
        moves: moves,
        departures: Departures(), version: 1)
    }
    guard case .refused(let refused) = answer(try topology()) else {
      Issue.record("it is kept, though nobody hands it over")
      return
    }
    #expect(
      refused.reasons.joined().contains("agent 'ana' is on its way from 'z' to 'y', and node 'z' is given up")
    )
    let without = try topology().replacing(agents: topology().agents.filter { $0.id != "ana" })
    guard case .revised = answer(without) else {
      Issue.record("\(answer(without))")
      return
    }
  }
}

/// Where the observer's seat moves by a file.
@Suite struct SeatRevisionTests {
  private func topology(_ seat: NodeID?, standby: NodeID? = nil) throws -> Topology {
    var policy = ObserverPolicy()
    (policy.node, policy.standby) = (seat, standby)
    return try Topology(
      name: "office", nodes: ["hub", "x", "y"].map { NodeSpec(id: $0) },
      agents: [AgentSpec(id: "root", kind: "supervisor", node: "hub")], observer: policy)
  }

  @Test func `a file that moves the seat begins in a later term of its node`() throws {
    let (hub, x) = (try topology("hub"), try topology("x"))
    #expect(Revisions.version(after: 7, of: hub, from: hub) == 8)
    #expect(Revisions.version(after: 7, of: x, from: hub) == SeatTerm.firstVersion(of: 3))
    let both = try topology("hub", standby: "y")
    #expect(Revisions.version(after: 7, of: both, from: both) == 8)
    let second = SeatTerm.firstVersion(of: 2) + 4
    #expect(
      Revisions.version(after: second, of: both, from: both) == SeatTerm.firstVersion(of: 5),
      "the standby has it, and may have begun another term")
    let plan = TopologyPlan(from: both, to: try topology("x", standby: "hub"), .init(seat: "hub"))
    #expect(plan.obstacles == [])
    #expect(plan.changes.map(\.text).contains("the observer's seat moves from node 'hub' to 'x'"))
  }
}
