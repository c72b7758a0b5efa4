import HyphaCore

/// What an operator asks of the observer. It works in every mode, frozen or not, and is not charged to the ledger.
public enum ObserverCommand: Sendable, Hashable {
  /// Links two agents for good; where an end has no room, its weakest link goes.
  case pin(AgentPair)
  /// Lets the observer decide again about a pinned link.
  case unpin(AgentPair)
  /// Never links two agents; a link that is there goes.
  case forbid(AgentPair)
  /// Lets the observer decide again about a forbidden link.
  case allow(AgentPair)
  /// Takes a link away; the traffic may earn it again.
  case retire(AgentPair)
  /// Makes a link that was suggested.
  case approve(AgentPair)
  /// Stops all changes but operators'; and lets them go on.
  case freeze
  case thaw
}

extension Observer {
  /// Does what an operator asks, and returns what it changed.
  ///
  /// - Throws: `invalidTopology` for a link that cannot be: between neighbours in the tree or around a supervisor who
  ///   must be passed; where the bounds of an end leave no room; where a link is to go that is not there.
  @discardableResult
  public mutating func operate(_ command: ObserverCommand) throws -> RewireDecision? {
    known = nil
    switch command {
    case .freeze: isFrozen = true
    case .thaw: isFrozen = false
    case .allow(let pair): forbidden.remove(pair)
    case .unpin(let pair):
      let slot = table.find(pair)
      if slot >= 0 { table.items[Int(slot)].isPinned = false }
    case .forbid(let pair):
      try check(pair)
      forbidden.insert(pair)
      if isLinked(pair) { return try retire(pair) }
    case .retire(let pair): return try retire(pair)
    case .approve(let pair): return try make(pair)
    case .pin(let pair):
      let decision = try make(pair)
      table.items[Int(table.find(pair))].isPinned = true
      return decision
    }
    return nil
  }

  /// Pays for changes that another observer has decided: what that says it has paid, and no more than they cost.
  mutating func charge(_ hops: Int64, for count: Int) {
    ledger -= min(max(0, hops), Int64(count) * Int64(policy.charge))
    ledgerMin = min(ledgerMin, ledger)
  }

  /// Has these links and rules, whatever it had. Evidence stays. Links that cannot be are left out.
  mutating func adopt(_ wanted: [AgentPair: Bool], forbidden: Set<AgentPair>, isFrozen: Bool) {
    known = nil
    for pair in links where wanted[pair] == nil { table.unlink(table.find(pair)) }
    self.forbidden = []
    for (pair, isPinned) in wanted.sorted(by: { $0.key < $1.key }) {
      _ = try? make(pair)
      if isLinked(pair) { table.items[Int(table.find(pair))].isPinned = isPinned }
    }
    (self.forbidden, self.isFrozen) = (forbidden, isFrozen)
  }

  private mutating func retire(_ pair: AgentPair) throws -> RewireDecision {
    guard isLinked(pair) else {
      throw HyphaError(
        .invalidTopology, "\(describe(pair.low)) and \(describe(pair.high)) are not linked",
        remedy: "retire one of the links")
    }
    let slot = table.find(pair)
    let decision = retirement(of: slot, cause: .operated)
    table.unlink(slot)
    return decision
  }

  private mutating func make(_ pair: AgentPair) throws -> RewireDecision? {
    let distance = try check(pair)
    guard !forbidden.contains(pair) else { throw impossible(pair, "is forbidden", "allow it first") }
    guard !isLinked(pair) else { return nil }
    // Room at the ends first: what is displaced becomes a mere possibility and may make room in the memory.
    var displaced: [Int32] = []
    for agent in [pair.low, pair.high] where degree(agent) >= policy.linksMax(tree.role(agent)) {
      guard let weakest = weakest(at: agent) else {
        throw impossible(
          pair, "has no room at \(describe(agent)): all its links are pinned", "unpin one of them")
      }
      displaced.append(weakest)
    }
    let kind = LinkKind(tree.role(pair.low), tree.role(pair.high))
    guard let slot = item(of: pair, kind, distance: distance) else {
      throw impossible(pair, "has no room in the observer's memory", "raise memory in its policy")
    }
    let decision = RewireDecision(
      event: eventCount, cause: .operated, promoted: link(slot), retired: displaced.map { link($0) },
      credit: table.items[Int(slot)].credit, threshold: 0, ledgerBefore: ledger, ledgerAfter: ledger,
      policyVersion: policy.version, isSuggestion: false)
    for other in displaced { table.unlink(other) }
    table.link(slot, at: eventCount)
    return decision
  }

  /// The edges of the tree between the ends of a link that may be.
  @discardableResult
  private func check(_ pair: AgentPair) throws -> Int {
    guard pair.low >= 0, Int(pair.high) < tree.count else {
      throw impossible(pair, "has an end that is no agent", "use numbers from 0 to \(tree.count - 1)")
    }
    var agents = [Int32](repeating: -1, count: LinkedPath.edgeCountMax + 1)
    guard let distance = tree.fill(&agents, from: pair.low, to: pair.high) else {
      throw impossible(
        pair, "joins agents of more than \(LinkedPath.edgeCountMax) edges apart",
        "link supervisors between them")
    }
    guard distance >= 2 else {
      throw impossible(pair, "joins neighbours of the tree", "link agents that are further apart")
    }
    if let gate = agents[1..<distance].first(where: tree.gates.contains) {
      throw impossible(
        pair, "leads around \(describe(gate)), who must be passed", "link agents on one side of it")
    }
    return distance
  }

  private func impossible(_ pair: AgentPair, _ problem: String, _ remedy: String) -> HyphaError {
    HyphaError(
      .invalidTopology, "the link of \(describe(pair.low)) and \(describe(pair.high)) \(problem)",
      remedy: remedy)
  }
}
