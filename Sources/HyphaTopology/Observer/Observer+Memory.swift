import HyphaCore

extension Observer {
  /// All that an observer has learned: with it, another one of the same hierarchy and policy goes on as this one would.
  public struct Memory: Sendable, Codable {
    var eventCount, ledger, ledgerMin: Int64
    var isFrozen: Bool
    var items: [LinkTable.Item]
    var generator: UInt64
    var forbidden: [AgentPair]
    var thresholds: Thresholds
    var step: Int32
    var eventsInStep, sweep: Int
  }

  /// What it has learned so far.
  public var memory: Memory {
    Memory(
      eventCount: eventCount, ledger: ledger, ledgerMin: ledgerMin, isFrozen: isFrozen, items: table.items,
      generator: table.continuation, forbidden: forbidden.sorted(), thresholds: thresholds, step: step,
      eventsInStep: eventsInStep, sweep: sweep)
  }

  /// Goes on where another one was.
  ///
  /// - Throws: `invalidTopology` where the memory is of another hierarchy or policy.
  public mutating func resume(_ memory: Memory) throws {
    let ends = memory.items.flatMap { [$0.pair.low, $0.pair.high] }
    guard memory.items.count <= policy.memory, ends.allSatisfy({ $0 >= 0 && Int($0) < tree.count }),
      memory.items.allSatisfy({ [$0.nextAtLow, $0.nextAtHigh].allSatisfy { $0 < memory.items.count } })
    else {
      throw HyphaError(
        .invalidTopology, "what the observer has learned is of another hierarchy or policy",
        remedy: "keep agents and policy as they were, or begin anew with --fresh")
    }
    known = nil
    (eventCount, ledger, ledgerMin) = (memory.eventCount, memory.ledger, memory.ledgerMin)
    isFrozen = memory.isFrozen
    table = LinkTable(
      capacity: policy.memory, agentCount: tree.count, items: memory.items, generator: memory.generator)
    forbidden = Set(memory.forbidden)
    thresholds = memory.thresholds
    (step, eventsInStep, sweep) = (memory.step, memory.eventsInStep, memory.sweep)
  }
}
