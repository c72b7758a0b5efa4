import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

/// Realtime events between agents of one node, as the values that they are.
@Suite struct ValueRunTests {
  private func front(_ agent: AgentID, _ subject: Subject) -> ValueFront {
    let header = RecordHeader(
      id: .none, time: .zero, channel: .realtime, agent: agent, epoch: 3, sequence: 1, previous: .start,
      addressee: "sink", type: Note.eventType, subject: subject, contentType: .json, correlation: .none,
      authority: Authority(principal: agent))
    return ValueFront(header, timeToLive: .microseconds(10))
  }

  private func numbers(_ sequence: UInt64) -> RecordTemplate.Numbers {
    RecordTemplate.Numbers(
      id: EventID(high: 1, low: sequence), time: Timestamp(microseconds: sequence), sequence: sequence,
      previous: LanePoint(epoch: 3, sequence: sequence - 1), causation: .none,
      correlation: EventID(high: 1, low: sequence))
  }

  /// Each event of a delivery: its sequence, and the text of its value.
  private func events(_ delivery: Delivery) throws -> [(sequence: UInt64, text: String)] {
    try (0..<delivery.count).map { index in
      guard case .value(let run, let place) = delivery.input(at: index) else {
        throw HyphaError(.failed, "a value came as bytes")
      }
      let note = try #require(run as? TypedRun<Note>).values[place]
      return (delivery.input(at: index).header.sequence, note.text)
    }
  }

  @Test func `values of a lane and subject that wait together are one delivery; nobody's copy of it grows`()
    throws
  {
    var inbox = RealtimeInbox()
    let (one, two) = (front("a", "s.one"), front("a", "s.two"))
    func offer(_ sequence: UInt64, _ front: ValueFront, hops: UInt8 = 2) {
      #expect(
        inbox.offer(Note(text: "\(sequence)", author: "a"), numbers(sequence), of: front, hops: hops).isEmpty)
    }
    offer(1, one)
    offer(2, one)
    let copy = inbox.first
    offer(3, one)
    offer(4, two)
    offer(5, two, hops: 3)
    #expect(try events(#require(copy)).map(\.sequence) == [1, 2])
    let taken = inbox.take(upTo: 9)
    offer(6, two, hops: 3)
    let all = taken + inbox.take(upTo: 9)
    #expect(try all.map { try events($0).map(\.sequence) } == [[1, 2], [3], [4], [5], [6]])
    #expect(all.map(\.hops) == [2, 2, 2, 3, 3])
    #expect(all[1].header.subject == "s.one" && all[2].header.subject == "s.two")
    #expect(all[4].header == two.header(numbers(6)))
  }

  @Test func `of values that wait together those past their time to live are counted, the others delivered`()
    throws
  {
    var inbox = RealtimeInbox()
    let front = front("a", "s")
    for sequence in 1...5 as ClosedRange<UInt64> {
      _ = inbox.offer(Note(text: "\(sequence)", author: "a"), numbers(sequence), of: front, hops: 0)
    }
    let (fresh, expired) = RealtimeInbox.parted(inbox.take(upTo: 9), at: Timestamp(microseconds: 13))
    #expect(try expired.map { try events($0).map(\.sequence) } == [[1, 2, 3]])
    #expect(try fresh.map { try events($0).map(\.sequence) } == [[4, 5]])
    #expect(fresh.first?.expiresAt == Timestamp(microseconds: 14))
    _ = inbox.offer(Note(text: "6", author: "a"), numbers(6), of: front, hops: 0)
    let late = RealtimeInbox.parted(inbox.take(upTo: 9), at: Timestamp(microseconds: 16))
    #expect(late.fresh.isEmpty && late.expired.map(\.count) == [1])
  }

  @Test func `whatever values come and go, each is delivered as it was stated or dropped, in order`() throws {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed)
      func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }
      let bound = 1 + below(30)
      var inbox = RealtimeInbox(bounds: InboxBounds(count: bound))
      let fronts = (["a", "b"] as [AgentID]).flatMap { agent in
        (["x", "y"] as [Subject]).map { front(agent, $0) }
      }
      var (dropped, got, newest): ([UInt64], [UInt64], [Int: UInt64]) = ([], [], [:])
      var kept: [(Delivery, count: Int)] = []
      func take(_ limit: Int) throws {
        for delivery in inbox.take(upTo: limit) {
          for event in try events(delivery) {
            #expect(event.text == "\(event.sequence)", "HYPHA_SEED=\(seed)")
            got.append(event.sequence)
          }
        }
      }
      for sequence in 1...120 as ClosedRange<UInt64> {
        let number = below(8) > 0 ? 0 : below(fronts.count)
        newest[number] = sequence
        let out = inbox.offer(
          Note(text: "\(sequence)", author: "a"), numbers(sequence), of: fronts[number], hops: 1)
        for out in out { dropped += try events(out.delivery).map(\.sequence) }
        #expect(inbox.count <= bound, "HYPHA_SEED=\(seed)")
        if below(10) == 0, let first = inbox.first { kept.append((first, first.count)) }
        if below(9) == 0 { try take(1 + below(12)) }
      }
      try take(.max)
      #expect((got + dropped).sorted() == Array(1...120), "HYPHA_SEED=\(seed)")
      #expect(got == got.sorted(), "HYPHA_SEED=\(seed)")
      #expect(kept.allSatisfy { $0.0.count == $0.count }, "HYPHA_SEED=\(seed)")
      guard bound >= fronts.count else { continue }
      #expect(newest.values.allSatisfy(got.contains), "HYPHA_SEED=\(seed)")
    }
  }
}
