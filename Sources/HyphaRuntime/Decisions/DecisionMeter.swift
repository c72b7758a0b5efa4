import HyphaCore
import HyphaTopology
import Synchronization

/// What the desks of a node have come to, for the observer. Any thread.
///
/// A desk that begins says what it knows; from then on each of its commits is taken as it is made. So nothing is reported that could
/// be undone, and nothing is left out by a crash: what the log has is what the desk knows when it begins again.
final class DecisionMeter: Sendable {
  private let books = Mutex(DecisionBooks())

  /// Takes up what a desk knows that begins.
  func begin(_ desk: AgentID, with ledger: DecisionLedger) {
    books.withLock { $0.begin(desk, with: ledger) }
  }

  /// Takes what an agent has stated and its log has committed, where it is a desk.
  func committed(_ stated: [Stated], by spec: AgentSpec) {
    guard spec.kind == DeskPolicy.kind else { return }
    books.withLock { books in
      for one in stated { if let event = one.event { books.take(event, by: spec.id) } }
    }
  }

  /// The report that is due; nil for none.
  func report(by node: NodeID) -> DecisionsReported? { books.withLock { $0.report(by: node) } }

  /// The oldest decision of each kind that waits.
  func oldest() -> [(approver: AgentID, kind: String, since: Timestamp, usualMicroseconds: UInt64)] {
    books.withLock { $0.oldest() }
  }
}

extension Node {
  var decisions: DecisionMeter { desks.topology.decisions }

  /// States what became of decisions since the last report.
  func reportDecisions() {
    if let report = decisions.report(by: configuration.node) { state(own: report, because: nil) }
  }

  /// Decisions that have waited on this node for two seconds or more.
  func decisionWaits(now: Timestamp) -> [(since: Timestamp, wait: LoadReported.Wait)] {
    decisions.oldest().compactMap { oldest in
      guard let seconds = Self.waited(since: oldest.since, now: now) else { return nil }
      return (
        oldest.since,
        .init(
          agent: oldest.approver, alert: nil, type: DecisionReferred.eventType, seconds: seconds,
          usualMicroseconds: Int(clamping: oldest.usualMicroseconds), decisionKind: oldest.kind)
      )
    }
  }
}
