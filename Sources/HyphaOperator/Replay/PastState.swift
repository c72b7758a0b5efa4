import HyphaCore
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
  private let (at, since, path): (Instant?, Instant?, String?)

  /// - Parameters:
  ///   - at: the last place that is wanted; nil for the end.
  ///   - since: the place to compare with.
  ///   - path: the member whose reason is wanted.
  init(at: Instant?, since: Instant?, why path: String?) {
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

extension Instant {
  /// Whether a place is this one or before it.
  func includes(_ place: StateStep.Place) -> Bool {
    switch end {
    case .position(let position): place.position <= position
    case .time(let time): place.time <= time
    }
  }
}
