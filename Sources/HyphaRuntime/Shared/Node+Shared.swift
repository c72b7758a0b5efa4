import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// The shared values that agents of one node read.
final class SharedDesk: Sendable {
  private struct State {
    var table: SharedTable
    /// The newest position that was looked at for a value, and how many were taken since they were noted.
    var through = Position.start
    var takenCount = 0
  }

  /// The types that agents of the node read.
  let types: Set<EventTypeName>
  private let state: Mutex<State>

  init(_ agents: [AgentSpec], _ kinds: KindRegistry) {
    types = agents.reduce(into: []) { $0.formUnion(kinds.declaration($1.kind)?.reads ?? []) }
    state = Mutex(State(table: SharedTable(of: types)))
  }

  /// Whether any agent here reads values.
  var isUsed: Bool { !types.isEmpty }

  /// Whether a lane may have values for agents here.
  func takes(_ lane: Lane) -> Bool {
    guard case .type(let type) = lane.target else { return false }
    return types.contains(type)
  }

  /// Takes up what the log has. Before any agent works.
  ///
  /// - Returns: what the log is to keep of it.
  func restore(_ log: any LogReader) throws -> [UInt8] {
    let (table, through) = try SharedReading.table(of: types, in: log)
    state.withLock { $0 = State(table: table, through: through) }
    return try SharedSnapshot(table, through: through).bytes
  }

  /// Takes an event that the log has. Returns how many values went for it.
  func take(_ record: Record, at position: Position, event: (any Event)? = nil) -> Int {
    state.withLock { state in
      let before = state.table.droppedCount
      if state.table.take(record, at: position, event: event) { state.takenCount += 1 }
      state.through = max(state.through, position)
      return state.table.droppedCount - before
    }
  }

  func find(_ query: SharedQuery, where isForReader: (Record) -> Bool) -> [SharedItem] {
    state.withLock { $0.table.find(query, where: isForReader) }
  }

  /// The least values between two notes of where they stand.
  static var noteCountMin: Int { 4_096 }

  /// What the log is to keep; nil where it has most of it. A note costs as much as there are values, so it waits for as many
  /// new ones.
  func snapshotDue() throws -> [UInt8]? {
    let due = state.withLock { state -> (SharedTable, Position)? in
      guard state.takenCount >= max(Self.noteCountMin, state.table.count) else { return nil }
      state.takenCount = 0
      return (state.table, state.through)
    }
    return try due.map { try SharedSnapshot($0, through: $1).bytes }
  }

  /// How many values of a type there are for a reader, and when the newest was stated.
  func summary(of type: EventTypeName, where isForReader: (Record) -> Bool) -> (
    count: Int, newest: Timestamp?
  ) {
    let items = find(SharedQuery(type: type, wanted: .all), where: isForReader)
    return (items.count, items.map(\.record.time).max())
  }
}

extension Node {
  /// Takes note of shared values that the log has just got, before the agents here are given anything of the same commit.
  func share(_ taken: [Courier.Taken], from first: Position) {
    var position = first
    for taken in taken {
      if desks.shared.takes(taken.lane) { share(taken.records.lazy.map { ($0, nil) }, from: position) }
      position = Position(rawValue: position.rawValue + UInt64(taken.records.count))
    }
  }

  func share(_ stated: ArraySlice<Stated>, from first: Position) {
    share(stated.lazy.map { ($0.record, $0.event) }, from: first)
  }

  private func share(_ values: some Sequence<(Record, (any Event)?)>, from first: Position) {
    var (position, droppedCount) = (first, 0)
    for (record, event) in values {
      droppedCount += desks.shared.take(record, at: position, event: event)
      position = position.next
    }
    guard droppedCount > 0 else { return }
    note("agents share more values with this node than it keeps: those that were stated longest ago are gone")
  }

  func readShared(_ query: SharedQuery, where isForReader: (Record) -> Bool) -> [SharedItem] {
    desks.shared.find(query, where: isForReader)
  }

  /// Has the log keep where the values stand, now and then.
  func lookAfterShared() {
    guard let bytes = try? desks.shared.snapshotDue() else { return }
    log.submit(LogBatch(snapshots: [SharedSnapshot.owner: bytes])) { _ in }
  }
}
