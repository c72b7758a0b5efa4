import HyphaCore
import Testing

@testable import HyphaTopology

/// Events that no record has room for, in parts.
@Suite struct EventPartsTests {
  private func header(
    _ number: UInt64, by author: AgentID = "hypha.node.x", epoch: UInt64 = 1, cause: UInt64 = 1,
    type: EventTypeName = LinksChanged.eventType
  ) -> RecordHeader {
    let id = EventID(high: epoch, low: number)
    return RecordHeader(
      id: id, time: Timestamp(microseconds: number), channel: .persistent, agent: author, epoch: epoch,
      sequence: number, previous: .start, addressee: nil, type: type, subject: "s",
      causation: EventID(high: 7, low: cause), correlation: id,
      authority: Authority(principal: author, grant: "topology"))
  }

  private func bytes(_ count: Int, _ seed: UInt64 = 1) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
  }

  @Test(arguments: [1, 95, 96, 97, 960, 1000, 100_000])
  func `an event in parts is there with the last one, as it was, and not before`(count: Int) throws {
    let payload = bytes(count)
    let parts = try EventParts.divide(payload, limit: 256)
    #expect(parts.count == (count + 95) / 96 && parts.allSatisfy { $0.count <= 256 })
    var known = EventParts()
    for (number, part) in parts.enumerated() {
      let record = try Record(header(UInt64(number + 1)), payload: part)
      #expect(throws: (any Error).self) { try LinksChanged.decode(record) }
      let whole = known.take(record)
      #expect((whole == nil) == (number + 1 < parts.count))
      if let whole { #expect(Array(whole.payload) == payload && whole.header == record.header) }
      // What a node keeps of it in the meantime.
      known = try JSON.decode(EventParts.self, from: JSON.encode(known))
    }
    #expect(known == EventParts())
  }

  @Test func `an event in the old form, with all links in one event, is taken as it is`() throws {
    let text = """
      {"begun":{"after":2,"answered":[],"answeredAhead":[],"forbidden":[],"isFrozen":false,"links":[{"link":{"one":"a",\
      "other":"b"},"state":{"isPinned":true,"score":0,"since":5,"version":2}}],"node":"y","silentMicroseconds":5,\
      "standing":"down","term":2},"changes":[],"version":4194304}
      """
    var event = LinksChanged(version: 4_194_304, changes: [])
    event.begun = SeatBegun(
      term: 2, node: "y", after: 2,
      links: [
        .init(
          link: DirectLink("a", "b"),
          state: .init(version: 2, since: Timestamp(rawValue: 5), score: 0, isPinned: true))
      ], forbidden: [], isFrozen: false, answered: [], answeredAhead: [], standing: "down",
      silentMicroseconds: 5)
    let record = try Record(header(1), payload: Array(text.utf8))
    var parts = EventParts()
    #expect(parts.take(record) == record && parts == EventParts())
    #expect(try LinksChanged.decode(record) == event)
  }

  @Test func `an event of more than 64 MiB is refused, and a part that would make one is passed over`() throws
  {
    let error = #expect(throws: HyphaError.self) {
      try EventParts.divide([UInt8](repeating: 0, count: EventParts.byteCountMax + 1), limit: 1 << 20)
    }
    #expect(
      error?.description.contains("an event of 67108865 bytes cannot be stated, not even in parts") == true)
  }

  @Test(arguments: 1...40)
  func `whatever parts come, of whomever, nothing is put together that was not stated so`(seed: UInt64) throws
  {
    var generator = SeededGenerator(seed: seed)
    let authors: [AgentID] = ["hypha.node.x", "hypha.node.y"]
    var (known, number, wholeCount, brokenCount) = (EventParts(), UInt64(0), 0, 0)
    // What each is about to state, and whether that is whole as far as others get it.
    var open: [AgentID: (event: [UInt8], parts: [[UInt8]], epoch: UInt64, cause: UInt64, isBroken: Bool)] =
      [:]
    for step in 0..<UInt64(600) {
      let author = authors.randomElement(using: &generator)!
      var next =
        open[author]
        ?? {
          let event = bytes(Int.random(in: 1...700, using: &generator), step)
          // The same cause has called for several, as where a seat begins its term again.
          return (event, try! EventParts.divide(event, limit: 256), 1, step / 40, false)
        }()
      let chance = Int.random(in: 0..<100, using: &generator)
      if chance < 4 {
        // It dies, and begins something else under another epoch.
        open[author] = nil
        continue
      }
      if chance < 8, next.parts.count > 1 {
        // One does not come.
        next.parts.remove(at: Int.random(in: 0..<next.parts.count, using: &generator))
        (next.isBroken, brokenCount) = (true, brokenCount + 1)
      }
      number += 1
      let record = try Record(
        header(number, by: author, epoch: next.epoch, cause: next.cause), payload: next.parts.removeFirst())
      let whole = known.take(record)
      let isLast = next.parts.isEmpty
      if let whole {
        #expect(isLast && !next.isBroken && Array(whole.payload) == next.event, "HYPHA_SEED=\(seed)")
        wholeCount += 1
      } else {
        #expect(!isLast || next.isBroken, "HYPHA_SEED=\(seed)")
      }
      open[author] = isLast ? nil : next
    }
    #expect(wholeCount > 20 && brokenCount > 2)
  }

  @Test func `parts of two epochs, of two causes, and around another event do not go together`() throws {
    let parts = try EventParts.divide(bytes(200), limit: 256)
    #expect(parts.count == 3)
    let others = [header(3, epoch: 2), header(3, cause: 2), header(3, by: "hypha.node.y"), header(3)]
    for (place, other) in others.enumerated() {
      var known = EventParts()
      #expect(known.take(try Record(header(1), payload: parts[0])) == nil)
      #expect(known.take(try Record(header(2), payload: parts[1])) == nil)
      if place == 3 {
        let event = try Record(header(3), payload: Array("{}".utf8))
        #expect(known.take(event) == event)
      }
      #expect(known.take(try Record(other, payload: parts[2])) == nil)
    }
  }
}
