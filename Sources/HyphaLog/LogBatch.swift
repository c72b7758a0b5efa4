public import HyphaCore

/// What is committed together: events, the places of their consumers, and their agents' states.
///
/// A batch may carry conditions; where one does not hold, nothing of the batch is committed.
public struct LogBatch: Sendable {
  /// An event to append.
  public struct Append: Sendable {
    /// The event.
    public var record: Record
    /// How it came here.
    public var source: EntrySource

    /// An append of `record`.
    public init(_ record: Record, source: EntrySource = .stated) {
      self.record = record
      self.source = source
    }
  }

  /// What is committed first of what waits. Within one priority it is the order of submission.
  public enum Priority: Int, Sendable, CaseIterable, Comparable {
    /// Before all others: alerts, and answers to them.
    case urgent
    /// What agents have done, who wait for it.
    case normal
    /// What came from other nodes: a backlog of it must not keep the agents of this one waiting.
    case intake

    /// Whether `left` goes before `right`.
    public static func < (left: Priority, right: Priority) -> Bool { left.rawValue < right.rawValue }
  }

  /// The events, in order.
  public var appends: [Append]
  /// New places of consumers.
  public var cursors: [CursorKey: Cursor]
  /// New states of agents, as each agent encodes it.
  public var snapshots: [AgentID: [UInt8]]
  /// Which of those that wait already it goes before.
  public var priority: Priority
  /// Condition: the sequence that each of these streams must end with before the batch; 0 for a stream that
  /// has not begun. Two writers who decide on the same facts cannot both succeed.
  public var expectedSequences: [StreamID: UInt64]
  /// Condition: this batch was not committed before. Where it was, it is answered with its first receipt.
  public var idempotencyKey: IdempotencyKey?

  /// A batch by its parts.
  public init(
    appends: [Append] = [], cursors: [CursorKey: Cursor] = [:], snapshots: [AgentID: [UInt8]] = [:],
    priority: Priority = .normal, expectedSequences: [StreamID: UInt64] = [:],
    idempotencyKey: IdempotencyKey? = nil
  ) {
    self.appends = appends
    self.cursors = cursors
    self.snapshots = snapshots
    self.priority = priority
    self.expectedSequences = expectedSequences
    self.idempotencyKey = idempotencyKey
  }

  /// What the batch's events say, as bytes: equal exactly for equal bodies (see ``IdempotencyKey``).
  public var bodyBytes: [UInt8] {
    var writer = ByteWriter(capacity: 64 + appends.count * 128)
    for append in appends {
      let header = append.record.header
      writer.write(header.channel.rawValue)
      writer.writeShort(header.agent.text)
      writer.writeShort(header.addressee?.text ?? "")
      writer.writeShort(header.type.text)
      writer.write(header.schemaVersion)
      writer.writeShort(header.subject.text)
      writer.write(header.contentType.rawValue)
      append.record.withPayload { payload in
        writer.write(UInt64(payload.count))
        writer.write(payload)
      }
    }
    return writer.bytes
  }

  /// Whether there is nothing to commit.
  public var isEmpty: Bool { appends.isEmpty && cursors.isEmpty && snapshots.isEmpty }
}

/// A name that a writer gives to what it wants done once, so that it may ask again when it does not know
/// whether it was done.
///
/// The same key with the same body is answered with the receipt of the first time; the same key with another
/// body is a ``HyphaError/Code/logConflict``. The body is what the events say (agent, channel, addressee,
/// type, schema version, subject, content type, payload), not when they say it: ids, times, epochs and
/// sequences may differ, as they do when a restarted writer states them anew. Keys are kept as long as the
/// events that were committed with them, until a prune takes those.
public struct IdempotencyKey: CheckedText {
  /// The longest key in bytes.
  public static let byteCountMax = 255
  /// The key itself.
  public let text: String

  /// A key of 1 to 255 bytes.
  ///
  /// - Throws: ``HyphaError/Code/invalidName`` when it is empty or longer.
  public init(_ text: String) throws {
    guard (1...Self.byteCountMax).contains(text.utf8.count) else {
      throw HyphaError(
        .invalidName, "an idempotency key has \(text.utf8.count) bytes",
        remedy: "use 1 to \(Self.byteCountMax)")
    }
    self.text = text
  }
}

/// What a log says of a batch that is durable.
public struct CommitReceipt: Hashable, Sendable {
  /// Where the batch's first event stands; the others follow it directly. For a batch without events, the
  /// position that would have been next.
  public let first: Position
  /// How many events were committed.
  public let count: Int
  /// When the log took the batch.
  public let time: Timestamp
  /// What the acknowledgement stands for.
  public let durability: Durability
  /// Whether the batch had been committed before under its idempotency key, and this is that receipt.
  public let isRepeated: Bool

  /// A receipt by its parts.
  public init(
    first: Position, count: Int, time: Timestamp, durability: Durability = .synced, isRepeated: Bool = false
  ) {
    self.first = first
    self.count = count
    self.time = time
    self.durability = durability
    self.isRepeated = isRepeated
  }

  /// Where the batch's last event stands.
  public var last: Position { Position(rawValue: first.rawValue + UInt64(count) - (count > 0 ? 1 : 0)) }
}

/// What is certain once a batch is acknowledged.
public enum Durability: Hashable, Sendable {
  /// The sync that covers the batch has ended: it survives the end of the process and the loss of power. For
  /// the in-memory twin: it is in the store.
  case synced
}
