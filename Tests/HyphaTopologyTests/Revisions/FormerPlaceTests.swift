import HyphaCore
import Testing

@testable import HyphaTopology

/// Where the node that orders files goes on listening when a file gives it another address.
@Suite struct FormerPlaceTests {
  private func topology(
    hub: UInt16 = 7400, at host: String = "10.0.0.1", x: UInt16 = 7500, listen: NodeAddress? = nil,
    key: LinkKey? = nil, nodes: [NodeSpec] = []
  ) throws -> Topology {
    try Topology(
      name: "office",
      nodes: [
        NodeSpec(id: "hub", address: .tcp(host: host, port: hub), listen: listen, key: key),
        NodeSpec(id: "x", address: .tcp(host: "10.0.0.1", port: x)),
      ] + nodes,
      agents: [
        AgentSpec(id: "root", kind: "supervisor", node: "hub"),
        AgentSpec(id: "ana", kind: "clerk", node: "x", reportsTo: "root"),
      ], security: SecuritySettings(allowsPlain: true))
  }

  /// What is ordered after some revisions; nil where that is refused.
  private func ordered(
    _ new: Topology, from old: Topology, _ revisions: Revisions = Revisions(), isKnownToAll: Bool = false
  ) -> TopologyRevised? {
    let answer = revisions.answer(
      to: RevisionAsked(file: "new", after: revisions.number), now: ("old", old), new: new, running: old,
      moves: AgentMoves(), version: revisions.number, isKnownToAll: isKnownToAll)
    guard case .revised(let order) = answer else { return nil }
    return order
  }

  private func obstacles(_ new: Topology, from old: Topology) -> [String] {
    TopologyPlan(from: old, to: new, .init(seat: "hub")).obstacles.map(\.problem)
  }

  @Test func `it listens where it was until a file that is applied when all have been heard`() throws {
    var revisions = Revisions()
    var running = try topology()
    func follow(_ new: Topology, isKnownToAll: Bool = false) throws -> [NodeAddress] {
      let order = try #require(ordered(new, from: running, revisions, isKnownToAll: isKnownToAll))
      let isNew = revisions.take(order, at: .zero)
      #expect(isNew)
      // As it comes from a log.
      let read = try JSON.decode(TopologyRevised.self, from: JSON.encode(order))
      running = try new.revised(by: read, after: [])
      #expect(running.formerAddresses(of: "x").isEmpty)
      return running.formerAddresses(of: "hub")
    }
    func at(_ port: UInt16) -> NodeAddress { .tcp(host: "10.0.0.1", port: port) }
    #expect(try follow(topology(hub: 7410)) == [at(7400)])
    #expect(try follow(topology(hub: 7420)) == [at(7400), at(7410)])
    // Another node's address is its own matter.
    #expect(try follow(topology(hub: 7420, x: 7600)) == [at(7400), at(7410)])
    // Where it is again it is not by way of an earlier file.
    #expect(try follow(topology(hub: 7400, x: 7600)) == [at(7410), at(7420)])
    #expect(try follow(topology(hub: 7430, x: 7600), isKnownToAll: true) == [at(7400)])
    #expect(try follow(topology(hub: 7430, x: 7500), isKnownToAll: true).isEmpty)
  }

  @Test func `where others connect to does not matter to where it listens`() throws {
    let wide: NodeAddress = .tcp(host: "0.0.0.0", port: 7400)
    let old = try topology(listen: wide)
    #expect(try ordered(topology(at: "10.0.0.2", listen: wide), from: old)?.former == nil)
    let order = try #require(try ordered(topology(hub: 7410), from: old))
    #expect(try topology(hub: 7410).revised(by: order, after: []).formerAddresses(of: "hub") == [wide])
  }

  @Test func `nobody listens where it goes on listening`() throws {
    let old = try topology()
    #expect(
      obstacles(try topology(hub: 7403), from: old) == [
        "node 'hub' is to listen at tcp://10.0.0.1:7403, and goes on listening at tcp://10.0.0.1:7400 for nodes that have not heard of the file; a node takes four ports in a row"
      ])
    #expect(obstacles(try topology(hub: 7403, at: "10.0.0.2"), from: old).isEmpty, "another machine's port")
    #expect(
      obstacles(try topology(hub: 7404, x: 7400), from: old) == [
        "node 'x' is to listen at tcp://10.0.0.1:7400, and node 'hub' goes on listening at tcp://10.0.0.1:7400 for nodes that have not heard of the file"
      ])
    // Once all have been heard under it, it listens there no more.
    var revisions = Revisions()
    let moved = try topology(hub: 7410)
    let isNew = revisions.take(try #require(ordered(moved, from: old)), at: .zero)
    #expect(isNew)
    let after = try topology(hub: 7410, x: 7400)
    #expect(ordered(after, from: moved, revisions) == nil)
    #expect(ordered(after, from: moved, revisions, isKnownToAll: true)?.former == nil)
  }

  @Test func `with keys it stays on TCP, or local`() throws {
    let key = try #require(LinkKey(bytes: Array(repeating: 1, count: 32)))
    let old = try topology(key: key)
    let local = try Topology(
      name: "office",
      nodes: [NodeSpec(id: "hub", key: key), NodeSpec(id: "x", address: .tcp(host: "10.0.0.1", port: 7500))],
      agents: old.agents, security: old.security)
    #expect(
      obstacles(local, from: old).first?.hasPrefix("node 'hub' orders what is applied, and is at local")
        == true)
  }

  @Test func `an order whose address is none is refused`() throws {
    var order = try #require(try ordered(topology(hub: 7410), from: topology()))
    let text = String(decoding: try JSON.encode(order), as: UTF8.self)
      .replacing("tcp:\\/\\/10.0.0.1:7400", with: "7400").replacing("tcp://10.0.0.1:7400", with: "7400")
    order = try JSON.decode(TopologyRevised.self, from: Array(text.utf8))
    #expect(throws: HyphaError.self) { try topology(hub: 7410).revised(by: order, after: []) }
  }
}
