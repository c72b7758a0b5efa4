public import HyphaCore

/// Part of an event of a node that no record has room for, under that event's own type: it does not decode as one, so
/// that nobody takes it for the whole.
struct EventPart: Codable {
  struct Piece: Codable {
    /// Which part of how many this is, from 0.
    var number, count: Int
    /// The part's bytes of the payload.
    var bytes: Base64Bytes
  }

  var part: Piece

  /// How each of them begins, and no event does.
  private static let start = Array(#"{"part":{"#.utf8)

  /// The part that a payload is; nil for a whole event's.
  static func read(_ record: Record) -> Piece? {
    guard record.withPayload({ $0.starts(with: start) }) else { return nil }
    return try? JSON.decode(EventPart.self, from: record.payload).part
  }
}

/// Puts events together again that nodes have stated in parts: a fold of records, in the order of each of their lanes. Pure.
///
/// Invariants, for any records:
/// 1. an event is given out with its last part, as the same bytes as were divided, or never;
/// 2. parts go together only in their order, of one author, one epoch and one cause: who begins to state an event anew, or
///    states another one of the type, has not stated what was begun before;
/// 3. what is no part is given out as it is;
/// 4. what becomes of an event follows from the lane that it is in alone, and of none more is kept than its type may have
///    (``TopologyEvents/divisible``).
public struct EventParts: Sendable, Hashable, Codable {
  /// An event that has not come whole.
  private struct Open: Sendable, Hashable, Codable {
    let author: AgentID
    let type: EventTypeName
    let epoch: UInt64
    let cause: EventID
    let count: Int
    var taken = 0
    var bytes = Base64Bytes([])

    init(_ record: Record, count: Int) {
      let header = record.header
      (author, type, epoch, cause) = (header.agent, header.type, header.epoch, header.causation)
      self.count = count
    }

    func isContinued(by record: Record, _ piece: EventPart.Piece, upTo byteCountMax: Int) -> Bool {
      let header = record.header
      return piece.number == taken && piece.count == count && header.epoch == epoch
        && header.causation == cause
        && bytes.bytes.count + piece.bytes.bytes.count <= byteCountMax
    }
  }

  private var open: [Open] = []

  /// The most bytes of one part.
  static let partByteCountMax = 256 << 10

  /// Nothing is under way.
  public init() {}

  /// Takes a record, and returns it, or the whole event that it is the last part of: with the last part's header. Nil for a
  /// part that others have to follow, and for one that nothing goes before.
  public mutating func take(_ record: Record) -> Record? {
    // What is told one node alone is not divided: parts of two lanes would come between each other.
    guard let byteCountMax = TopologyEvents.divisible[record.type], record.header.addressee == nil else {
      return record
    }
    let place = open.firstIndex { $0.author == record.agent && $0.type == record.type }
    var known = place.map { open.remove(at: $0) }
    guard let piece = EventPart.read(record) else { return record }
    if piece.number == 0 { known = Open(record, count: piece.count) }
    guard var event = known, event.isContinued(by: record, piece, upTo: byteCountMax) else {
      return nil
    }
    known = nil
    event.taken += 1
    event.bytes.bytes += piece.bytes.bytes
    guard event.taken == event.count else {
      open.append(event)
      return nil
    }
    let limits = WireLimits(
      payloadByteCountMax: byteCountMax, frameRecordCountMax: 1, frameByteCountMax: 0)
    return try? Record(record.header, payload: event.bytes.bytes, limits: limits)
  }

  /// The payloads of the parts that carry an event's, none of them longer than `limit`.
  ///
  /// - Throws: ``HyphaError/Code/tooLarge`` where it has more bytes than an event of its type may have
  ///   (``TopologyEvents/divisible``).
  public static func divide(_ payload: [UInt8], of type: EventTypeName, limit: Int) throws -> [[UInt8]] {
    let byteCountMax = TopologyEvents.divisible[type] ?? limit
    guard payload.count <= byteCountMax else {
      throw HyphaError(
        .tooLarge, "\(type) of \(payload.count) bytes cannot be stated, not even in parts",
        remedy: "keep it to \(byteCountMax)")
    }
    // Four characters have three bytes; what stands around them is shorter than the rest.
    let size = max(1, min(partByteCountMax, (limit - 128) / 4 * 3))
    let count = (payload.count + size - 1) / size
    return try (0..<count).map { number in
      let bytes = payload[number * size..<min(payload.count, (number + 1) * size)]
      let piece = EventPart.Piece(number: number, count: count, bytes: Base64Bytes(Array(bytes)))
      return Array(try JSON.encode(EventPart(part: piece)))
    }
  }
}

extension TopologyEvents {
  /// What is stated in parts where no record has room for it, and the most bytes of one such event.
  ///
  /// A node keeps what has come of one event of each author and type. No bound over several types can be kept: lanes come to each node
  /// in an order of their own, so nodes would not drop the same events. So each type has no more than has to be said with it.
  public static let divisible: [EventTypeName: Int] = {
    var byteCounts: [EventTypeName: Int] = [:]
    for type in all.union([RevisionAsked.eventType]) { byteCounts[type] = 4 << 20 }
    // What operators want. What refuses it says it again, and why.
    for type in [RuleAsked.eventType, QuestionRuleAsked.eventType] { byteCounts[type] = 3 << 20 }
    // So many supervisors as one may list, each with as many nodes.
    byteCounts[LoadReported.eventType] = 10 << 20
    // These grow with all links, or with all agents that there ever were. Only nodes that decide state them.
    let growing = [
      LinksChanged.eventType, LinksSuggested.eventType, TopologyRevised.eventType, RevisionRefused.eventType,
    ]
    for type in growing { byteCounts[type] = 64 << 20 }
    return byteCounts
  }()
}
