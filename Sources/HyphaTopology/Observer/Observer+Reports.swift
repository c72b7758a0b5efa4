/// The rule by reports, as a running deployment has it.
extension Observer {
  /// Events of one pair in a report.
  public struct Flow: Sendable, Hashable {
    public var from, to: Int32
    public var count: Int

    /// So many events from one agent to another.
    public init(from: Int32, to: Int32, count: Int) { (self.from, self.to, self.count) = (from, to, count) }
  }

  /// Takes a report: each pair's events in a row, as if one came after the other.
  ///
  /// They have all passed before it: what they have cost is settled by the links that there were, before any of them changes
  /// one. So the ledger has what links have saved, and not what they would have.
  ///
  /// - Parameter decided: is given each change, in order.
  public mutating func observe(report: [Flow], decided: (RewireDecision) throws -> Void) rethrows {
    for flow in report { settle(flow) }
    for flow in report {
      for _ in 0..<flow.count {
        if let decision = observe(from: flow.from, to: flow.to, passing: [], isSettled: true) {
          try decided(decision)
        }
      }
    }
  }

  private mutating func settle(_ flow: Flow) {
    (known, hasCandidates) = (nil, false)
    guard path.take(tree, from: flow.from, to: flow.to, passing: []) else { return }
    if table.linkCount > 0 { takeLinks() }
    path.measure()
    ledger += Int64(flow.count) * Int64(path.edgeCount - path.cost)
  }
}
