import HyphaCore
import HyphaLog
import HyphaRuntime

/// What is wanted of an agent's past, picked from its states as they follow each other. Pure.
struct PastState {
  /// The newest state that is wanted, and the one that it is compared with.
  private(set) var now: StateStep?
  private(set) var before: StateStep?
  /// What a member is; nil where it is not there.
  private(set) var value: JSONValue?
  /// The state from which on the member is so, or a moment from which on the state was not known when it became so.
  private(set) var origin: StateStep?
  private var isValueKnown = false
  private let (at, since): (PastPlace?, PastPlace?)
  private let path: String?

  /// - Parameters:
  ///   - at: the last place that is wanted; nil for the end.
  ///   - since: the place to compare with.
  ///   - path: the member whose reason is wanted.
  init(at: PastPlace?, since: PastPlace?, why path: String?) {
    (self.at, self.since, self.path) = (at, since, path)
  }

  /// Takes the next state; whether more are wanted.
  mutating func take(_ step: StateStep) throws -> Bool {
    guard step.place.map({ at?.includes($0) ?? true }) ?? true else { return false }
    now = step
    if let since, step.place.map({ since.includes($0) }) ?? true { before = step }
    if let path { try explain(path, step) }
    return true
  }

  private mutating func explain(_ path: String, _ step: StateStep) throws {
    guard step.unknown == nil else {
      (origin, isValueKnown) = (step, false)
      return
    }
    let new = StateChanges.value(at: path, of: try step.state())
    if isValueKnown ? new != value : origin == nil { origin = step }
    (value, isValueKnown) = (new, true)
  }
}

/// A place that is asked for: a position of the log of an agent's node, or a time. Of what another node's log has, on which the
/// agent was before it was moved, a position tells no more than its time.
struct PastPlace {
  private let instant: Instant
  private let node: NodeID
  /// The time of the first entry from the position on; nil where there is none.
  private let time: Timestamp?

  init(_ instant: Instant, in log: any LogReader) throws {
    self.instant = instant
    node = log.identity.node
    switch instant.end {
    case .position(let position):
      time =
        try log.read(after: Position(rawValue: max(position.rawValue, 1) - 1), limit: 1, byteLimit: 0).first?
        .record.header.time
    case .time(let time): self.time = time
    }
  }

  /// Whether a place is this one or before it.
  func includes(_ place: StateStep.Place) -> Bool {
    includes(place.node ?? node == node ? place.position : nil, place.time)
  }

  /// Whether an entry is here or before.
  ///
  /// - Parameter position: its position in the log of the agent's node; nil where it stands in another.
  func includes(_ position: Position?, _ time: Timestamp) -> Bool {
    if case .position(let end) = instant.end, let position { return position <= end }
    return self.time.map { time <= $0 } ?? true
  }
}
