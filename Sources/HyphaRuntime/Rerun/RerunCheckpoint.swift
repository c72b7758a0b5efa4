import HyphaCore
import HyphaLog

/// A state of an agent's past from which on it can be run again: that of a checkpoint, or the newest one.
struct RerunCheckpoint {
  /// What the agent has stated up to here came before.
  let position: Position
  /// The agent's newest event up to there.
  let point: LanePoint
  /// As JSON, by the kind as it is now.
  let state: [UInt8]
  let timers: [Agenda.Timer]
  let handled: Cursor
  /// Whether the actor at work had begun.
  let hasBegun: Bool
  /// From where on the state was so.
  let since: StateStep.Place
  /// Why none before this one is known, beside that the log was pruned.
  var reason: String?

  /// Which one a re-run begins with.
  enum Choice {
    /// The first that can be used.
    case first
    /// The newest whose state was there already at a place, else the first.
    case newest((StateStep.Place) -> Bool)
  }

  /// The checkpoint that is asked for of those behind a prune; nil where none can be used.
  ///
  /// - Parameters:
  ///   - prefersStarts: whether one from which an actor began is better: it had nothing beside its state there.
  ///   - largest: how large the largest state was that no checkpoint could have.
  static func find<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, _ stay: RerunStay, in log: any LogReader,
    behind prunedThrough: Position, _ choice: Choice, prefersStarts: Bool, _ largest: inout Int
  ) throws -> RerunCheckpoint? {
    var usable: [(position: Position, hasBegun: Bool, handled: Cursor)] = []
    try visit(agent, stay, in: log, behind: prunedThrough) { entry, event in
      guard let snapshot = try event.snapshot.map({ try AgentSnapshot(decoding: $0.bytes) }) else {
        largest = max(largest, event.snapshotByteCount)
        return true
      }
      // What was given to the agent after this, it must be given again.
      if snapshot.coverage == nil, event.handled.position >= prunedThrough,
        snapshot.agenda.retries.items.allSatisfy({ $0.position > prunedThrough })
      {
        usable.append((entry.position, event.hasBegun, event.handled))
      }
      return true
    }
    func since(_ index: Int) throws -> StateStep.Place {
      let before = Position(rawValue: usable[index].position.rawValue - 1)
      return try place(
        of: agent, stay, usable[index].handled, through: before, in: log, behind: prunedThrough)
    }
    guard
      let index = try choice.index(
        usable.map(\.hasBegun), prefersStarts: prefersStarts, { try since($0) }),
      let entry = try log.entry(at: usable[index].position),
      case let event = try StateCheckpointed.decode(entry.record),
      let snapshot = try event.snapshot.map({ try AgentSnapshot(decoding: $0.bytes) }),
      let state = try StateRestoration<Kind>.decode(snapshot, of: agent)
    else { return nil }
    return RerunCheckpoint(
      position: entry.position, point: entry.record.point, state: Array(try JSON.encode(state)),
      timers: snapshot.agenda.timers.items, handled: event.handled, hasBegun: event.hasBegun,
      since: try since(index))
  }

  /// What the log keeps of an agent now, or as it was when it left, whose state is committed whole.
  static func newest<Kind: Agent>(
    _ kind: Kind.Type, _ agent: AgentID, _ end: StayEnd, in log: any LogReader, behind prunedThrough: Position
  ) throws -> RerunCheckpoint? {
    guard let saved = end.saved, saved.coverage == nil,
      let state = try StateRestoration<Kind>.decode(saved, of: agent)
    else { return nil }
    var handled = end.handled
    handled.position = max(handled.position, prunedThrough)
    let (last, streams) = (try end.stay.departure?.position ?? log.head(), try log.streamHeads())
    let epoch = streams.keys.lazy.filter {
      $0.agent == agent && $0.channel == .persistent && end.stay.epochs.contains($0.epoch)
    }.map(\.epoch).max()
    let stream = StreamID(agent: agent, epoch: epoch ?? 0, channel: .persistent)
    return RerunCheckpoint(
      position: last, point: LanePoint(epoch: stream.epoch, sequence: streams[stream]?.sequence ?? 0),
      state: Array(try JSON.encode(state)), timers: saved.agenda.timers.items, handled: handled,
      hasBegun: true,
      since: try place(of: agent, end.stay, handled, through: last, in: log, behind: prunedThrough))
  }

  /// The checkpoints of an agent's stay that a log has behind a prune, in its order.
  static func visit(
    _ agent: AgentID, _ stay: RerunStay, in log: any LogReader, behind prunedThrough: Position,
    _ body: (LogEntry, StateCheckpointed) throws -> Bool
  ) throws {
    let head = try log.head()
    guard head > prunedThrough else { return }
    var query = LogQuery()
    query.lane = Lane(agent: agent, channel: .persistent, target: .type(.stateCheckpointed))
    query.positions = prunedThrough.next...head
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      for entry in page.entries where stay.stated(entry) {
        guard try body(entry, StateCheckpointed.decode(entry.record)) else { return }
      }
      cursor = page.next
    } while cursor != nil
  }

  /// From where on a state was so that was committed before `last`: since then the agent has stated nothing, and handled nothing.
  private static func place(
    of agent: AgentID, _ stay: RerunStay, _ handled: Cursor, through last: Position, in log: any LogReader,
    behind prunedThrough: Position
  ) throws -> StateStep.Place {
    var position = max(prunedThrough, handled.position, stay.arrival?.position ?? .start)
    if position < last {
      var query = LogQuery()
      query.agent = agent
      query.positions = position.next...last
      query.order = .backward
      var cursor: LogCursor?
      repeat {
        let page = try log.page(of: query, after: cursor)
        if let entry = page.entries.first(where: { stay.stated($0) }) {
          position = entry.position
          break
        }
        cursor = page.next
      } while cursor != nil
    }
    // Of what is gone no time is known; what comes next is not earlier.
    let entry = try log.read(after: Position(rawValue: max(1, position.rawValue) - 1), limit: 1, byteLimit: 0)
    return .init(position: position, time: entry.first?.record.time ?? .zero, node: log.identity.node)
  }

  /// How many persistent events of the agent's own lie before it.
  func ownCount(of agent: AgentID, in log: any LogReader) throws -> UInt64 {
    try log.streamHeads().reduce(0) { sum, head in
      guard head.key.agent == agent, head.key.channel == .persistent else { return sum }
      if head.key.epoch == point.epoch { return sum + point.sequence }
      return head.key.epoch < point.epoch ? sum + head.value.count : sum
    }
  }
}

extension RerunCheckpoint.Choice {
  /// Which one it is of some, the earliest first; nil for none.
  ///
  /// - Parameters:
  ///   - hasBegun: of each, whether the actor at work had begun.
  ///   - since: from where on the state of one was so.
  func index(_ hasBegun: [Bool], prefersStarts: Bool, _ since: (Int) throws -> StateStep.Place) rethrows
    -> Int?
  {
    if case .newest(let includes) = self {
      var near: Int?
      for index in hasBegun.indices.reversed() where try includes(since(index)) {
        if !prefersStarts || !hasBegun[index] { return index }
        near = near ?? index
      }
      return near ?? hasBegun.indices.first
    }
    return (prefersStarts ? hasBegun.firstIndex(of: false) : nil) ?? hasBegun.indices.first
  }
}

/// What actors keep beside their state.
enum KeptBeside {
  /// The names of the properties of an actor that hold something, beside its state: a checkpoint does not have them.
  static func names(of agent: some Agent) -> [String] {
    Mirror(reflecting: agent).children.compactMap { label, value in
      guard let label, label != "state", !label.hasPrefix("$"), size(of: value) > 0 else { return nil }
      return label
    }
  }

  private static func size<Value>(of value: Value) -> Int { MemoryLayout<Value>.size }
}
