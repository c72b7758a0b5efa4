public import HyphaCore

/// Decisions beside links: the seat knows what becomes of them, and finds what is beside the usual. Who grants is the desk
/// (docs/topology.md says why).
extension ObserverSeat {
  /// What is known of decisions.
  public var decisions: DecisionWatch { findings.decisions }

  /// Takes a report of decisions. What follows from it is in ``findingsDue``.
  ///
  /// - Parameter time: when it was stated.
  public mutating func take(_ report: DecisionsReported, at time: Timestamp) {
    guard nodes.contains(report.node) else { return }
    findings.take(report, at: time)
  }
}

extension Findings {
  /// The most strata that are told of at once.
  static let delegableCountMax = 64

  /// Takes a report of decisions.
  mutating func take(_ report: DecisionsReported, at time: Timestamp) {
    for stratum in decisions.take(report, at: time) {
      guard let approver = try? AgentID(stratum.approver) else { continue }
      let topic = Finding.Topic(.delegable, approver, about: stratum.text)
      let found = decisions.earned(stratum)
      if found == nil {
        current[topic] = nil
      } else if current[topic] == nil,
        current.keys.count(where: { $0.kind == .delegable }) < Self.delegableCountMax
      {
        current[topic] = found
      }
    }
  }

  /// What is usual for what waits, in microseconds: of a decision what its approver's were reported to take, of anything else, and
  /// where that is not known, what the report says.
  func usualMicroseconds(_ wait: LoadReported.Wait) -> Int {
    guard let kind = wait.decisionKind, let known = decisions.usualMicroseconds(wait.agent, kind) else {
      return wait.usualMicroseconds
    }
    return Int(clamping: known)
  }
}
