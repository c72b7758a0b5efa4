import HyphaCore

/// Where the next page of a query begins.
///
/// It holds for the query and the log that it came from, in any process and for as long as the log lives. The first
/// page's head bounds all pages after it: what is appended meanwhile is for another query.
///
/// As text: `1-f-7-4711-9d2a01bc`: version, order, next position, last position, check.
public struct LogCursor: Hashable, Sendable, CustomStringConvertible {
  /// The next position to be looked at.
  public let next: Position
  /// The last one.
  public let last: Position
  let order: ReadOrder
  let check: UInt32

  /// The range that is left, whatever the order.
  var rest: ClosedRange<Position> { order == .forward ? next...last : last...next }

  init(rest: ClosedRange<Position>, of query: LogQuery, in log: LogIdentity) {
    order = query.order
    next = order == .forward ? rest.lowerBound : rest.upperBound
    last = order == .forward ? rest.upperBound : rest.lowerBound
    check = Self.check(of: query, in: log)
  }

  /// A cursor from its text.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` when it is none.
  public init(_ text: String) throws {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0] == "1", ["f", "b"].contains(parts[1]), let next = UInt64(parts[2]),
      let last = UInt64(parts[3]), let check = UInt32(parts[4], radix: 16),
      parts[1] == "f" ? next <= last : last <= next
    else {
      throw HyphaError(
        .invalidInput, "'\(text.prefix(80))' is no cursor", remedy: "give one that a page has named, or none")
    }
    order = parts[1] == "f" ? .forward : .backward
    self.next = Position(rawValue: next)
    self.last = Position(rawValue: last)
    self.check = check
  }

  /// The text that ``init(_:)`` reads.
  public var description: String {
    "1-\(order == .forward ? "f" : "b")-\(next)-\(last)-\(String(check, radix: 16))"
  }

  /// The range that is left of `query`.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` when the cursor came from another query or another log.
  func rest(of query: LogQuery, in log: LogIdentity) throws -> ClosedRange<Position> {
    guard order == query.order, check == Self.check(of: query, in: log) else {
      throw HyphaError(
        .invalidInput, "the cursor \(self) belongs to another query or another log",
        remedy: "begin again without a cursor")
    }
    return rest
  }

  private static func check(of query: LogQuery, in log: LogIdentity) -> UInt32 {
    Array("\(log.id) \(query)".utf8).withUnsafeBytes { checksumCRC32C($0) }
  }
}

extension LogCursor: Codable {
  /// Decodes the text.
  public init(from decoder: any Decoder) throws {
    try self.init(decoder.singleValueContainer().decode(String.self))
  }

  /// Encodes the text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
