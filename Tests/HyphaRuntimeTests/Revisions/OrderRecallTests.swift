import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaRuntime

/// Asking others for what a node has ordered before its log began.
@Suite struct OrderRecallTests {
  private let author = NodeID("a").author

  private func record(_ sequence: UInt64, of lane: Lane) throws -> Record {
    guard case .type(let type) = lane.target else { preconditionFailure("orders have no addressee") }
    let id = EventID(time: Timestamp(microseconds: 5), random: sequence)
    return try Record(
      RecordHeader(
        id: id, time: Timestamp(microseconds: sequence), channel: .persistent, agent: lane.agent, epoch: 1,
        sequence: sequence, previous: sequence > 1 ? LanePoint(epoch: 1, sequence: sequence - 1) : .start,
        addressee: nil, type: type, schemaVersion: 1, subject: "s", correlation: id,
        authority: Authority(principal: lane.agent, grant: "topology", policyVersion: 1)), payload: [])
  }

  private typealias Peers = [(node: NodeID, isAlike: Bool)]

  /// A machine that asks, at second after second.
  private final class Asker {
    private var recall = OrderRecall(of: NodeID("a").author)
    var found: [Record]? { recall.found }

    private func second(_ second: UInt64) -> Timestamp { Timestamp(microseconds: second * 1_000_000) }

    func due(at time: UInt64, _ peers: Peers) -> (node: NodeID, lane: Lane, after: LanePoint)? {
      guard let due = recall.due(now: second(time), peers: peers),
        case .fetch(let lane, let after) = due.question
      else { return nil }
      return (due.node, lane, after)
    }

    func receive(
      _ records: [Record], of lane: Lane, after: LanePoint = .start, from node: NodeID, at time: UInt64
    )
      -> Bool
    { recall.received(records, of: lane, after: after, from: node, now: second(time)) }

    func refused(by node: NodeID) -> Bool { recall.refused(by: node) }

    /// Has the node that is asked answer that it has nothing.
    func answerNothing(at time: UInt64, _ peers: Peers) throws -> NodeID {
      var nodes: Set<NodeID> = []
      for _ in OrderSuccession.types {
        let due = try #require(self.due(at: time, peers))
        nodes.insert(due.node)
        #expect(receive([], of: due.lane, after: due.after, from: due.node, at: time))
      }
      #expect(nodes.count == 1)
      return try #require(nodes.first)
    }
  }

  @Test func `all lanes of orders are asked for, each to its end, of one node`() throws {
    let asker = Asker()
    let peers: Peers = [("b", false), ("c", true)]
    var asked: Set<Lane> = []
    while asker.found == nil {
      let (node, lane, after) = try #require(asker.due(at: 9, peers))
      #expect(node == "b" && asked.count < 6)
      // Not again at once.
      #expect(asker.due(at: 9, peers) == nil)
      let isMoves = lane.target == .type(AgentMoved.eventType)
      let records = try isMoves && after.sequence < 3 ? [record(after.sequence + 1, of: lane)] : []
      #expect(!asker.receive(records, of: lane, after: after, from: "c", at: 9))
      #expect(asker.receive(records, of: lane, after: after, from: "b", at: 9))
      // Doubled on the way.
      #expect(!asker.receive(records, of: lane, after: after, from: "b", at: 9))
      asked.insert(lane)
    }
    let lanes = OrderSuccession.types.map { Lane(agent: author, channel: .persistent, target: .type($0)) }
    #expect(asked == Set(lanes))
    #expect(asker.found?.map(\.header.sequence) == [1, 2, 3])
    #expect(asker.due(at: 99, peers) == nil)
  }

  @Test func `that one knows of nothing counts only where it follows no later topology`() throws {
    let asker = Asker()
    let peers: Peers = [("b", false), ("c", false), ("d", true)]
    #expect(try asker.answerNothing(at: 1, peers) == "b" && asker.found == nil)
    #expect(try asker.answerNothing(at: 2, peers) == "c" && asker.found == nil)
    // All over again, where there is nobody else.
    #expect(try asker.answerNothing(at: 3, Array(peers.prefix(2))) == "b" && asker.found == nil)
    #expect(try asker.answerNothing(at: 4, peers) == "c" && asker.found == nil)
    #expect(try asker.answerNothing(at: 5, peers) == "d" && asker.found == [])
  }

  @Test func `who does not answer is asked again, and then another one is; what it had said does not count`()
    throws
  {
    let asker = Asker()
    let peers: Peers = [("b", true), ("c", true)]
    let first = try #require(asker.due(at: 1, peers))
    #expect(try asker.receive([record(1, of: first.lane)], of: first.lane, from: "b", at: 1))
    #expect(asker.due(at: 1, peers)?.node == "b")
    #expect(asker.due(at: 2, peers)?.node == "b")
    #expect(asker.due(at: 6, peers)?.node == "c")
    // One that has gone meanwhile is not waited for.
    #expect(asker.due(at: 6, [("b", true)])?.node == "b")
    #expect(!asker.refused(by: "c") && asker.refused(by: "b"))
    #expect(asker.found == [])
  }

  @Test func `what does not belong to the question is not taken`() throws {
    let asker = Asker()
    let due = try #require(asker.due(at: 1, [("b", true)]))
    let other = Lane(agent: NodeID("b").author, channel: .persistent, target: due.lane.target)
    #expect(try !asker.receive([record(1, of: other)], of: due.lane, from: "b", at: 1))
    #expect(!asker.receive([], of: due.lane, after: LanePoint(epoch: 1, sequence: 4), from: "b", at: 1))
    #expect(asker.found == nil)
  }
}
