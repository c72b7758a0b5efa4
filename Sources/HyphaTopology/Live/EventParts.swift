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
/// 3. what is no part is given out as it is.
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

    func isContinued(by record: Record, _ piece: EventPart.Piece) -> Bool {
      let header = record.header
      return piece.number == taken && piece.count == count && header.epoch == epoch
        && header.causation == cause
        && bytes.bytes.count + piece.bytes.bytes.count <= EventParts.byteCountMax
    }
  }

  private var open: [Open] = []

  /// The most bytes of an event in parts, and the most of one part.
  public static let byteCountMax = 64 << 20
  static let partByteCountMax = 256 << 10

  /// Nothing is under way.
  public init() {}

  /// Takes a record, and returns it, or the whole event that it is the last part of: with the last part's header. Nil for a
  /// part that others have to follow, and for one that nothing goes before.
  public mutating func take(_ record: Record) -> Record? {
    guard TopologyEvents.divisible.contains(record.type) else { return record }
    let place = open.firstIndex { $0.author == record.agent && $0.type == record.type }
    var known = place.map { open.remove(at: $0) }
    guard let piece = EventPart.read(record) else { return record }
    if piece.number == 0 { known = Open(record, count: piece.count) }
    guard var event = known, event.isContinued(by: record, piece) else { return nil }
    known = nil
    event.taken += 1
    event.bytes.bytes += piece.bytes.bytes
    guard event.taken == event.count else {
      open.append(event)
      return nil
    }
    let limits = WireLimits(
      payloadByteCountMax: Self.byteCountMax, frameRecordCountMax: 1, frameByteCountMax: 0)
    return try? Record(record.header, payload: event.bytes.bytes, limits: limits)
  }

  /// The payloads of the parts that carry an event's, none of them longer than `limit`.
  ///
  /// - Throws: ``HyphaError/Code/tooLarge`` where it has more than ``byteCountMax`` bytes.
  public static func divide(_ payload: [UInt8], limit: Int) throws -> [[UInt8]] {
    guard payload.count <= byteCountMax else {
      throw HyphaError(
        .tooLarge, "an event of \(payload.count) bytes cannot be stated, not even in parts",
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
  /// What is stated in parts where no record has room for it.
  public static let divisible = all.union([
    RevisionAsked.eventType, RevisionRefused.eventType, TopologyRevised.eventType,
  ])
}
