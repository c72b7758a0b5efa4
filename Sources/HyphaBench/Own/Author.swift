import HyphaCore
import HyphaLog

/// A typed event as an author would write one, with its own bytes: a reading of so many values.
struct Reading: Event {
  static let contentType = ContentType.bytes
  static let eventType: EventTypeName = "bench.Reading"

  var number: UInt64
  var values: [UInt64]

  /// An event whose payload has `payloadByteCount` bytes, a multiple of 8.
  init(number: UInt64, payloadByteCount: Int) {
    self.number = number
    values = [UInt64](repeating: number, count: max(0, payloadByteCount / 8 - 1))
  }

  func encode(into payload: inout [UInt8]) throws {
    withUnsafeBytes(of: number.littleEndian) { payload.append(contentsOf: $0) }
    values.withUnsafeBytes { payload.append(contentsOf: $0) }
  }

  static func decode(from payload: UnsafeRawBufferPointer) throws -> Reading {
    guard payload.count >= 8, payload.count.isMultiple(of: 8) else {
      throw HyphaError(.invalidPayload, "a reading of \(payload.count) bytes has no whole values")
    }
    var reading = Reading(number: payload.loadUnaligned(as: UInt64.self), payloadByteCount: 0)
    reading.values = (1..<payload.count / 8).map {
      payload.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)
    }
    return reading
  }
}

/// States the events of some agents, one stream each, in turn: numbers them, links their lanes, encodes them.
struct Author {
  private struct Stream {
    let agent: AgentID
    let authority: Authority
    var sequence: UInt64 = 0
  }

  private var streams: [Stream]
  private var turn = 0
  private var random: SeededGenerator
  private var event: Reading
  private var payload: [UInt8] = []
  private var subject: Subject
  private let chainLength: Int
  /// What cases are called after, where each chain is about one of its own.
  private let caseName: String?
  private var chainCount = 0
  /// The event before in its chain and the first one of it, and how many the chain has.
  private var chain: (last: EventID, first: EventID, count: Int) = (.none, .none, 0)

  /// An author for the agents of these numbers.
  ///
  /// - Parameters:
  ///   - chainLength: so many events in a row are of one conversation, each caused by the one before.
  ///   - namesCases: whether each chain is about a subject of its own, and not all about one.
  init(
    agents: some Sequence<Int>, payloadByteCount: Int, chainLength: Int = 1, namesCases: Bool = false
  ) throws {
    self.chainLength = chainLength
    streams = try agents.map { number in
      let agent = try AgentID("agent-\(number)")
      return Stream(agent: agent, authority: Authority(principal: agent))
    }
    let first = streams.first?.agent.text ?? ""
    random = SeededGenerator(seed: SeededGenerator.fingerprint(of: first))
    event = Reading(number: 0, payloadByteCount: payloadByteCount)
    subject = "bench.reading"
    caseName = namesCases ? first : nil
  }

  /// The next events, each of the next agent, at `now`.
  mutating func next(_ count: Int, now: Timestamp) throws -> LogBatch {
    var batch = LogBatch()
    batch.appends.reserveCapacity(count)
    for _ in 0..<count { batch.appends.append(.init(try next(now))) }
    return batch
  }

  private mutating func next(_ now: Timestamp) throws -> Record {
    let sequence = streams[turn].sequence
    event.number = sequence
    payload.removeAll(keepingCapacity: true)
    try event.encode(into: &payload)
    let id = EventID(time: now, random: random.next())
    if chain.count == chainLength { chain = (.none, .none, 0) }
    if chain.count == 0 {
      chain.first = id
      chainCount += 1
      if let caseName { subject = try Subject("case.\(caseName).\(chainCount)") }
    }
    let previous = sequence == 0 ? LanePoint.start : LanePoint(epoch: 1, sequence: sequence)
    let header = RecordHeader(
      id: id, time: now, channel: .persistent, agent: streams[turn].agent, epoch: 1, sequence: sequence + 1,
      previous: previous, addressee: nil, type: Reading.eventType, subject: subject,
      contentType: Reading.contentType, causation: chain.last, correlation: chain.first,
      authority: streams[turn].authority)
    let record = try Record(header, payload: payload)
    chain = (id, chain.first, chain.count + 1)
    // Only now: an event that cannot be encoded takes no number.
    streams[turn].sequence = sequence + 1
    turn = turn + 1 == streams.count ? 0 : turn + 1
    return record
  }
}
