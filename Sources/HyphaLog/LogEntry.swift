public import HyphaCore

/// An entry's place in one node's log, from 1.
public struct Position: Hashable, Comparable, Sendable, Codable, RawRepresentable, CustomStringConvertible {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Before the first entry.
  public static let start = Position(rawValue: 0)

  /// The next position.
  public var next: Position { Position(rawValue: rawValue + 1) }

  public static func < (left: Position, right: Position) -> Bool { left.rawValue < right.rawValue }
  /// The number in decimal.
  public var description: String { String(rawValue) }
}

/// Who a log belongs to.
public struct LogIdentity: Hashable, Sendable {
  /// Made when the log was; another id at the same path is another log.
  public let id: EventID
  /// The node that writes the log.
  public let node: NodeID

  /// An identity by its parts.
  public init(id: EventID, node: NodeID) {
    self.id = id
    self.node = node
  }
}

/// One event as it stands in one node's log.
public struct LogEntry: Hashable, Sendable {
  /// The place in this log.
  public let position: Position
  /// When this log took it, on the node's hybrid clock; it grows with the position.
  public let appendedAt: Timestamp
  /// How it came here.
  public let source: EntrySource
  /// The entry before it of the same stream in this log, or ``Position/start``.
  public let previousInStream: Position
  /// The entry before it of the same lane in this log, or ``Position/start``.
  public let previousInLane: Position
  /// The event.
  public let record: Record

  /// An entry by its parts.
  public init(
    position: Position, appendedAt: Timestamp, source: EntrySource, previousInStream: Position,
    previousInLane: Position, record: Record
  ) {
    self.position = position
    self.appendedAt = appendedAt
    self.source = source
    self.previousInStream = previousInStream
    self.previousInLane = previousInLane
    self.record = record
  }
}

extension LogEntry {
  /// The entry that a planned append becomes.
  public init(_ append: LogBatch.Append, _ placement: AppendPlanner.Placement) {
    self.init(
      position: placement.position, appendedAt: placement.appendedAt, source: append.source,
      previousInStream: placement.previousInStream, previousInLane: placement.previousInLane,
      record: append.record)
  }

  /// Calls `body` with a view of the entry.
  public func withView<Value>(_ body: (EntryView) throws -> Value) throws -> Value {
    // The record exists, so its bytes were checked against limits of their own.
    let limits = WireLimits(payloadByteCountMax: .max / 2, frameRecordCountMax: 1, frameByteCountMax: 0)
    return try record.withBytes { bytes in
      try body(
        EntryView(
          position: position, appendedAt: appendedAt, source: source, previousInStream: previousInStream,
          previousInLane: previousInLane, record: try RecordView(checking: bytes, limits: limits)))
    }
  }
}

/// How an event came into a log.
public enum EntrySource: Hashable, Sendable {
  /// An agent of this node stated it.
  case stated
  /// It was taken from another node, after this many edges of the tree.
  case received(hops: UInt8)

  /// Whether it was imported from a file: over no edge, at a time that says nothing of how long it took.
  public var isImported: Bool { self == .received(hops: 0) }
}

/// An entry that is read in place, without an allocation. Not to outlive the call that it is given to.
public struct EntryView {
  /// The place in this log.
  public let position: Position
  /// When this log took it, on the node's hybrid clock.
  public let appendedAt: Timestamp
  /// How it came here.
  public let source: EntrySource
  /// The entry before it of the same stream in this log, or ``Position/start``.
  public let previousInStream: Position
  /// The entry before it of the same lane in this log, or ``Position/start``.
  public let previousInLane: Position
  /// The event, whose checksum was verified.
  public let record: RecordView

  /// A view by its parts.
  public init(
    position: Position, appendedAt: Timestamp, source: EntrySource, previousInStream: Position,
    previousInLane: Position, record: RecordView
  ) {
    self.position = position
    self.appendedAt = appendedAt
    self.source = source
    self.previousInStream = previousInStream
    self.previousInLane = previousInLane
    self.record = record
  }

  /// The entry, copied out.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` when a name in it breaks its grammar.
  public func entry() throws -> LogEntry {
    do {
      return LogEntry(
        position: position, appendedAt: appendedAt, source: source, previousInStream: previousInStream,
        previousInLane: previousInLane, record: try Record(record))
    } catch {
      throw HyphaError(
        .logInvalid, "the entry at position \(position) has a record that is damaged",
        remedy: "run 'hypha log verify', then restore from a copy or run 'hypha log salvage'",
        cause: "\(error)")
    }
  }
}

/// The direction in which entries are read.
public enum ReadOrder: Sendable, Hashable {
  case forward
  case backward
}

/// Positions whose entries are gone, and why. The chain of hashes goes on across them.
public struct LogGap: Hashable, Sendable {
  /// Why entries are gone.
  public enum Kind: Hashable, Sendable {
    /// They were removed on purpose, by a prune.
    case pruned
    /// They were damaged and could not be kept.
    case quarantined(reason: String)
  }

  /// The positions.
  public let range: ClosedRange<Position>
  /// Why they are gone.
  public let kind: Kind
  /// The link of the chain at the end of the range, from which it goes on; nil where it is not known.
  public let anchor: Digest?

  /// A gap by its parts.
  public init(range: ClosedRange<Position>, kind: Kind, anchor: Digest?) {
    self.range = range
    self.kind = kind
    self.anchor = anchor
  }
}
