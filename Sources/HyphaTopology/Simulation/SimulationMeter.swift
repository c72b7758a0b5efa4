/// What one rule did with the traffic.
public struct SimulationRow: Sendable, Hashable {
  public var rule: SimulatedRule
  public var eventCount = 0
  /// What the plain tree costs, and what this rule's paths cost, in hops.
  public var treeHops: Int64 = 0
  public var hops: Int64 = 0
  /// What a change costs, in hops.
  public var charge: Int64 = 0
  /// Links added, and those of them that had been links before; links removed.
  public var addCount = 0
  public var readdCount = 0
  public var removeCount = 0
  /// The links at the end.
  public var linkCount = 0
  /// How long a link was there, in events, on average; those still there count until the end.
  public var meanLifetime: Double?
  /// What the root and the other supervisors relayed.
  public var rootRelays: Int64 = 0
  public var supervisorRelays: Int64 = 0
  /// The lowest that savings less charges have been, in hops; 0 or less.
  public var overdraftMin: Int64 = 0
  /// ``Observer/topologyHash`` at the end, of the observer alone.
  public var topologyHash: UInt64?

  public var changeCount: Int { addCount + removeCount }
  /// Hops and charges, in hops.
  public var totalCost: Int64 { hops + charge * Int64(changeCount) }
  /// The same relative to the plain tree; 1 without traffic.
  public var total: Double { relative(totalCost) }
  /// Hops alone relative to the plain tree; 1 without traffic.
  public var hopsAlone: Double { relative(hops) }

  private func relative(_ cost: Int64) -> Double { treeHops == 0 ? 1 : Double(cost) / Double(treeHops) }

  /// The share of what `best` saves that this rule saves; nil where that is nothing.
  public func captured(of best: SimulationRow) -> Double? {
    best.total < 1 ? (1 - total) / (1 - best.total) : nil
  }
}

/// Counts what a rule does, event by event.
struct SimulationMeter {
  private(set) var row: SimulationRow
  private let tree: AgentTree
  private var ledger: Int64 = 0
  private var openSince: [AgentPair: Int] = [:]
  private var everAdded: Set<AgentPair> = []
  private var lifetimeSum = 0

  init(_ rule: SimulatedRule, _ tree: AgentTree, charge: Int) {
    row = SimulationRow(rule: rule, charge: Int64(charge))
    self.tree = tree
  }

  /// Links that are there from the start: nobody has added them.
  mutating func begin(with pairs: Set<AgentPair>) { everAdded.formUnion(pairs) }

  /// Events with a path of `treeHops` edges in the tree that crossed `hops` each.
  mutating func count(treeHops: Int, hops: Int, times: Int = 1) {
    row.eventCount += times
    row.treeHops += Int64(treeHops) * Int64(times)
    row.hops += Int64(hops) * Int64(times)
    ledger += Int64(treeHops - hops) * Int64(times)
  }

  mutating func relayed(_ agent: Int32, times: Int = 1) {
    if agent == tree.root { row.rootRelays += Int64(times) } else { row.supervisorRelays += Int64(times) }
  }

  mutating func add(_ pair: AgentPair) {
    row.addCount += 1
    if !everAdded.insert(pair).inserted { row.readdCount += 1 }
    openSince[pair] = row.eventCount
    charge()
  }

  mutating func remove(_ pair: AgentPair) {
    row.removeCount += 1
    if let since = openSince.removeValue(forKey: pair) { lifetimeSum += row.eventCount - since }
    charge()
  }

  private mutating func charge() {
    ledger -= row.charge
    row.overdraftMin = min(row.overdraftMin, ledger)
  }

  /// The row, with the links that are still there.
  mutating func finish(topologyHash: UInt64? = nil) -> SimulationRow {
    row.linkCount = openSince.count
    let openSum = openSince.values.reduce(0) { $0 + row.eventCount - $1 }
    if row.addCount > 0 { row.meanLifetime = Double(lifetimeSum + openSum) / Double(row.addCount) }
    row.topologyHash = topologyHash
    return row
  }
}
