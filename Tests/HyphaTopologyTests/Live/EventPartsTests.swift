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
    let parts = try EventParts.divide(payload, of: LinksChanged.eventType, limit: 256)
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

  @Test func `an event of more bytes than its type may have is not stated, not even in parts`() throws {
    for (type, byteCountMax) in TopologyEvents.divisible {
      let error = #expect(throws: HyphaError.self) {
        try EventParts.divide([UInt8](repeating: 0, count: byteCountMax + 1), of: type, limit: 1 << 20)
      }
      let text = "\(type) of \(byteCountMax + 1) bytes cannot be stated, not even in parts"
      #expect(error?.description.contains(text) == true)
    }
    #expect(TopologyEvents.divisible[LinksChanged.eventType] == 64 << 20)
  }

  @Test func `nobody has others keep more of an event that does not end than its type may have`() throws {
    // What nodes may state that decide nothing: all of it together is half of what may begin a term.
    let byAll = TopologyEvents.forSeat.union([RevisionAsked.eventType])
    #expect(byAll.reduce(0) { $0 + (TopologyEvents.divisible[$1] ?? 0) } <= 32 << 20)
    let piece = EventPart.Piece(
      number: 0, count: 1 << 20, bytes: Base64Bytes([UInt8](repeating: 7, count: EventParts.partByteCountMax))
    )
    for type in byAll {
      let room = try #require(TopologyEvents.divisible[type]) / EventParts.partByteCountMax
      var known = EventParts()
      for number in 0...room {
        var piece = piece
        piece.number = number
        let payload = Array(try JSON.encode(EventPart(part: piece)))
        #expect(known.take(try Record(header(UInt64(number + 1), type: type), payload: payload)) == nil)
        #expect((known == EventParts()) == (number == room), "\(type): \(number) of \(room)")
      }
    }
  }

  @Test func `what nodes have to report is no more than its type may have`() throws {
    let agent = AgentID(unchecked: String(repeating: "a", count: AgentID.byteCountMax))
    let type = EventTypeName(unchecked: String(repeating: "t", count: 127))
    let node = NodeID(unchecked: String(repeating: "n", count: AgentID.byteCountMax))
    let ages = [LoadReported.Ages](
      repeating: .init(node: node, events: .max, microseconds: .max), count: LoadReported.countMax)
    let load = LoadReported(
      node: node, milliseconds: .max,
      relays: .init(
        repeating: .init(agent: agent, events: .max, inbox: .max, sources: ages), count: LoadReported.countMax
      ),
      sent: ages,
      waits: .init(
        repeating: .init(
          agent: agent, alert: EventID(high: .max, low: .max), type: type, seconds: .max,
          usualMicroseconds: .max, decisionKind: type.text), count: LoadReported.countMax))
    #expect(try JSON.encode(load).count <= TopologyEvents.divisible[LoadReported.eventType] ?? 0)
    var flow = FlowReported(
      node: node, agents: .init(repeating: agent, count: 2 * FlowMeter.pairCountMax), flows: [],
      broadcastCount: .max)
    flow.flows = .init(repeating: 8192, count: 3 * FlowMeter.pairCountMax)
    let key = QuestionKey(agent, type, hash: .max)
    let sample = String(repeating: "\u{1}", count: QuestionMeter.sampleByteCountMax)
    let questions = QuestionsReported(
      node: node,
      questions: .init(
        repeating: .init(
          key, sample: sample, asks: .max, unchanged: .max, repeats: .max, changes: .max, local: .max,
          stated: .max),
        count: QuestionMeter.lineCountMax),
      audiences: .init(
        repeating: .init(author: agent, type: type, members: .init(repeating: agent, count: 64), times: .max),
        count: AudienceMeter.countMax))
    #expect(try JSON.encode(flow).count <= TopologyEvents.divisible[FlowReported.eventType] ?? 0)
    #expect(try JSON.encode(questions).count <= TopologyEvents.divisible[QuestionsReported.eventType] ?? 0)
    // As many control characters as a file may have bytes, each of six in JSON.
    let file = String(repeating: "\u{1}", count: RevisionEvents.byteCountMax)
    let asked = RevisionAsked(file: file, after: .max, lost: .init(repeating: node, count: 1024))
    #expect(try JSON.encode(asked).count <= TopologyEvents.divisible[RevisionAsked.eventType] ?? 0)
  }

  @Test(arguments: 1...20)
  func `what comes of each lane is the same, however lanes come between each other`(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let types = [LinksChanged.eventType, RuleAsked.eventType, LoadReported.eventType]
    // Whole events, some that are broken off, and what is told one node alone.
    var lanes: [[Record]] = []
    var number: UInt64 = 0
    for author in ["hypha.node.x", "hypha.node.y"] as [AgentID] {
      for type in types {
        var lane: [Record] = []
        for step in 0..<UInt64(12) {
          let event = bytes(Int.random(in: 1...900, using: &generator), step)
          var parts = try EventParts.divide(event, of: type, limit: 256)
          if generator.chance(30) { parts.removeLast() }
          for part in parts {
            number += 1
            lane.append(try Record(header(number, by: author, cause: step, type: type), payload: part))
          }
        }
        lanes.append(lane)
        lanes.append(
          try lane.map { record in
            var header = record.header
            header.addressee = "hypha.node.z"
            return try Record(header, payload: Array(record.payload))
          })
      }
    }
    func wholes(_ order: [Int]) -> [[Record]] {
      var (known, rest) = (EventParts(), lanes.map { $0[...] })
      var wholes = [[Record]](repeating: [], count: lanes.count)
      for lane in order {
        if let record = rest[lane].popFirst(), let whole = known.take(record) { wholes[lane].append(whole) }
      }
      return wholes
    }
    let order = lanes.indices.flatMap { Array(repeating: $0, count: lanes[$0].count) }
    let isSame = wholes(order) == wholes(order.shuffled(using: &generator))
    #expect(isSame, "HYPHA_SEED=\(seed)")
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
          return (
            event, try! EventParts.divide(event, of: LinksChanged.eventType, limit: 256), 1, step / 40, false
          )
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
    let parts = try EventParts.divide(bytes(200), of: LinksChanged.eventType, limit: 256)
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
