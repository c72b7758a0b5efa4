import HyphaCore
import HyphaRuntime

/// Of the calls of a deployment that came to something else, the first one: by the time of the event that was handled, or else of
/// the first that was stated, so that no effect comes before its cause; then by node. It holds that one alone. Pure.
struct FirstDifference {
  private(set) var node: NodeID?
  private(set) var outcome: RerunOutcome?
  private var time = Timestamp.zero

  /// Takes note of a call that came to something else, in any order.
  mutating func take(_ outcome: RerunOutcome, on node: NodeID) {
    // The state at the end comes behind all calls.
    let time =
      outcome.input?.time ?? outcome.recorded.first?.time ?? outcome.stated.first?.time
      ?? Timestamp(rawValue: .max)
    if let first = self.node, (self.time, first) <= (time, node) { return }
    (self.node, self.outcome, self.time) = (node, outcome, time)
  }
}
