import HyphaCore
import HyphaTransport
import Testing

@testable import HyphaRuntime

@Suite struct LaneTableTests {
  private let now = Timestamp(microseconds: 1_000_000)
  private let later = Timestamp(microseconds: 2_000_000)

  private func lane(_ number: Int) -> Lane {
    Lane(agent: AgentID(unchecked: "agent-\(number)"), channel: .persistent, target: .type("load.Entry"))
  }

  /// Early events: the first of the lane is missing.
  private func early(_ count: UInt64, of lane: Lane, byteCount: Int = 2) throws -> [Record] {
    try (2..<2 + count).map { try record(lane.agent, $0, byteCount: byteCount) }
  }

  @Test func `each lane keeps its own place, however many there are`() throws {
    var table = LaneTable([lane(7): LaneReceiver(head: LanePoint(epoch: 1, sequence: 5))]) { $0 }
    for number in 0..<5_000 {
      let first = try record(lane(number).agent, 1)
      let reception = table.receive([first, first], of: lane(number), now: now)
      #expect(reception.delivered.count == (number == 7 ? 0 : 1))
      #expect(reception.duplicateCount == (number == 7 ? 2 : 1))
    }
    #expect(table.count == 5_000 && table.behindCount == 0 && table.parkedCount == 0)
  }

  @Test func `the bound over all lanes holds, and what had no room is known to be missing`() throws {
    var table = LaneTable([:]) { $0 }
    var droppedCount = 0
    for number in 0..<300 {
      let lane = lane(number)
      droppedCount += table.receive(try early(256, of: lane), of: lane, now: now).droppedCount
      #expect(table.parkedCount <= LaneTable.parkedCountMax)
    }
    #expect(table.parkedCount == 65_536 && droppedCount == 300 * 256 - 65_536 && table.behindCount == 300)
    // What closes a gap makes room.
    let closed = table.receive([try record(lane(0).agent, 1)], of: lane(0), now: now)
    #expect(closed.delivered.count == 257 && table.parkedCount == 65_536 - 256 && table.behindCount == 299)
  }

  @Test func `the bound of bytes over all lanes holds`() throws {
    var table = LaneTable([:]) { $0 }
    for number in 0..<24 {
      let lane = lane(number)
      _ = table.receive(try early(4, of: lane, byteCount: 1_000_000), of: lane, now: now)
      #expect(table.parkedByteCount <= LaneTable.parkedByteCountMax)
    }
    #expect(table.parkedByteCount > LaneTable.parkedByteCountMax - 2_000_000 && table.behindCount == 24)
  }

  @Test func `lanes that are behind are fetched in turn, each once, until they have everything`() throws {
    var table = LaneTable([:]) { $0 }
    let end = LanePoint(epoch: 1, sequence: 1)
    for number in 0..<10 { table.announce(end, of: lane(number), by: .origin, now: now) }
    func fetch(_ limit: Int, at time: Timestamp) -> [Lane] {
      var lanes: [Lane] = []
      while lanes.count < limit, let (lane, _) = table.nextFetch(now: time) { lanes.append(lane) }
      table.endFetches()
      return lanes
    }
    #expect(fetch(10, at: now).isEmpty, "within the grace")
    #expect(fetch(4, at: later) == (0..<4).map(lane))
    #expect(fetch(20, at: later) == (4..<10).map(lane))
    #expect(fetch(20, at: later).isEmpty, "each was asked for")
    for number in 0..<9 {
      _ = table.receive(
        answer: [try record(lane(number).agent, 1)], of: lane(number), after: .start, from: .origin,
        now: later)
    }
    #expect(table.behindCount == 1)
    #expect(fetch(20, at: Timestamp(microseconds: 4_000_000)) == [lane(9)])
    table.reset(lane(3), to: .start, now: later)
    #expect(table.behindCount == 2)
    #expect(fetch(20, at: Timestamp(microseconds: 4_000_001)) == [lane(3)])
  }
}
