import HyphaCore
import HyphaLog

/// What an agent has before it: timers that it has set, and events that its handlers are given again. Pure.
///
/// It is part of the agent's snapshot, and so commits with what its handlers do.
struct Agenda: Sendable, Equatable {
  /// An event that the agent is to get from itself.
  struct Timer: DueItem {
    let id: EventID
    var dueAt: Timestamp
    var type: EventTypeName
    var schemaVersion: UInt16
    var subject: Subject
    var contentType: ContentType
    /// The event that was being handled when the timer was set.
    var causation: EventID
    var correlation: EventID
    var payload: [UInt8]
  }

  /// An event on which a handler has thrown.
  struct Retry: DueItem {
    /// The event.
    let id: EventID
    var dueAt: Timestamp
    /// Where it stands in the node's log.
    var position: Position
    /// Which attempt the next one is; 1 where an operator has asked for it.
    var attempt: Int
  }

  var timers = DueTable<Timer>()
  var retries = DueTable<Retry>()

  /// The most timers of one agent.
  static let timerCountMax = 4096
  /// From how many retries on an agent takes no further persistent events; they wait in the log.
  static let retryCountMax = 1024

  var isEmpty: Bool { timers.isEmpty && retries.isEmpty }
  var count: Int { timers.count + retries.count }
  /// Whether the agent is to take no further persistent events.
  var isFull: Bool { retries.count >= Self.retryCountMax }

  /// When the next thing is to be done.
  var next: Timestamp? {
    guard let timer = timers.next, let retry = retries.next else { return timers.next ?? retries.next }
    return min(timer, retry)
  }
}

// MARK: As bytes

extension Agenda {
  func encode(into writer: inout ByteWriter) {
    writer.write(UInt32(timers.count))
    for timer in timers.items {
      writer.write(timer.id)
      writer.write(timer.dueAt.rawValue)
      writer.writeShort(timer.type.text)
      writer.write(timer.schemaVersion)
      writer.writeShort(timer.subject.text)
      writer.write(timer.contentType.rawValue)
      writer.write(timer.causation)
      writer.write(timer.correlation)
      writer.write(UInt32(timer.payload.count))
      writer.write(timer.payload)
    }
    writer.write(UInt32(retries.count))
    for retry in retries.items {
      writer.write(retry.id)
      writer.write(retry.dueAt.rawValue)
      writer.write(retry.position.rawValue)
      writer.write(UInt32(clamping: retry.attempt))
    }
  }

  init(from reader: inout ByteReader) throws {
    for _ in 0..<(try reader.read(UInt32.self)) {
      timers.insert(
        Timer(
          id: try reader.readEventID(), dueAt: Timestamp(rawValue: try reader.read()),
          type: try EventTypeName(reader.readShort()), schemaVersion: try reader.read(),
          subject: try Subject(reader.readShort()), contentType: ContentType(rawValue: try reader.read()),
          causation: try reader.readEventID(), correlation: try reader.readEventID(),
          payload: Array(try reader.read(count: Int(reader.read(UInt32.self))))))
    }
    for _ in 0..<(try reader.read(UInt32.self)) {
      retries.insert(
        Retry(
          id: try reader.readEventID(), dueAt: Timestamp(rawValue: try reader.read()),
          position: Position(rawValue: try reader.read()), attempt: Int(try reader.read(UInt32.self))))
    }
  }
}

extension ByteWriter {
  fileprivate mutating func write(_ id: EventID) {
    write(id.high)
    write(id.low)
  }
}

extension ByteReader {
  fileprivate mutating func readEventID() throws -> EventID {
    EventID(high: try read(), low: try read())
  }
}
