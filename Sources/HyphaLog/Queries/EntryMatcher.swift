package import HyphaCore

/// A query's parts as bytes, held against entries without an allocation.
package struct EntryMatcher: Sendable {
  private let query: LogQuery
  private let causes: Set<EventID>
  private let agents: [[UInt8]]
  private let target: (bytes: [UInt8], isAddressed: Bool)?
  private let types: [[UInt8]]
  private let subject: BytePattern?
  private let channels: [Channel]

  package init(_ query: LogQuery) {
    self.query = query
    causes = Set(query.causes)
    agents = [query.agent, query.stream?.agent, query.lane?.agent].compactMap {
      $0.map { Array($0.text.utf8) }
    }
    channels = [query.channel, query.stream?.channel, query.lane?.channel].compactMap { $0 }
    target = query.lane.map { lane in
      switch lane.target {
      case .addressee(let agent): (Array(agent.text.utf8), true)
      case .type(let type): (Array(type.text.utf8), false)
      }
    }
    types = query.types.map { Array($0.text.utf8) }
    subject = query.subject.map { BytePattern($0) }
  }

  /// Whether the entry is wanted, whatever its position and time.
  package func matches(_ record: RecordView) -> Bool {
    for channel in channels where record.channel != channel { return false }
    if let event = query.event, record.id != event { return false }
    if !causes.isEmpty {
      let cause = record.causation
      guard cause != .none, causes.contains(cause) else { return false }
    }
    if let correlation = query.correlation, record.correlation != correlation { return false }
    if let stream = query.stream, record.epoch != stream.epoch { return false }
    if let sequence = query.fromSequence, record.sequence < sequence { return false }
    for agent in agents where !record.agent.equals(agent) { return false }
    if let target {
      let addressee = record.addressee
      guard target.isAddressed != addressee.isEmpty else { return false }
      guard (target.isAddressed ? addressee : record.type).equals(target.bytes) else { return false }
    }
    if !types.isEmpty {
      let type = record.type
      guard types.contains(where: { type.equals($0) }) else { return false }
    }
    return subject?.matches(record.subject) ?? true
  }
}

/// A pattern as bytes, for subjects and types as bytes: what ``Pattern/matches(_:)`` says, without a `String`.
package struct BytePattern: Sendable {
  private enum Token: Sendable {
    case literal([UInt8])
    case one
    case rest
  }

  private let tokens: [Token]

  package init(_ pattern: Pattern) {
    tokens = pattern.tokens.map { token in
      switch token {
      case "*": .one
      case ">": .rest
      default: .literal(Array(token.utf8))
      }
    }
  }

  package func matches(_ subject: UnsafeRawBufferPointer) -> Bool {
    var start = 0
    for token in tokens {
      guard start <= subject.count else { return false }
      if case .rest = token { return true }
      var end = start
      while end < subject.count, subject[end] != UInt8(ascii: ".") { end += 1 }
      if case .literal(let bytes) = token {
        guard UnsafeRawBufferPointer(rebasing: subject[start..<end]).equals(bytes) else { return false }
      }
      start = end + 1
    }
    return start == subject.count + 1
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func equals(_ other: [UInt8]) -> Bool { count == other.count && elementsEqual(other) }
}
