/// Watches traffic and decides which links are worth having: a pure machine in integers.
///
/// It is given one event after the other and answers with at most one change each time. What it does follows
/// from the hierarchy, the policy, the events and the operators' commands, in their order, and from nothing else;
/// so the same log gives the same links in a live deployment, in replay and in simulation.
///
/// **Bounds.** Memory is that of ``ObserverPolicy/memory`` items and six bytes an agent. An event costs a
/// number of steps that depends on the length of its path in the tree, at most 16 edges, and on nothing
/// else; events with longer paths take the tree and are not learned from. No agent gets more links than its role
/// allows.
///
/// **The ledger.** What links have saved, less a charge for each change, never falls below the overdraft. So the
/// whole costs at most the plain tree and the overdraft, on any traffic: that follows from the code and not from the
/// traffic. Operators' changes are not charged; they cost at most a charge each beside.
///
/// **Oversight.** No link leads around a supervisor of ``ObserverPolicy/mustPass``, and an event that has to pass a
/// supervisor goes by no link around it.
public struct Observer: Sendable {
  public let tree: AgentTree
  public let policy: ObserverPolicy
  /// The events observed.
  public internal(set) var eventCount: Int64 = 0
  /// What links have saved less what changes have cost, in hops.
  public internal(set) var ledger: Int64 = 0
  /// The lowest that the ledger has been.
  public internal(set) var ledgerMin: Int64 = 0
  /// The edges of the event observed last, in the tree and with the links that there were.
  public private(set) var lastTreeCost = 0
  public private(set) var lastCost = 0
  /// Whether operators have stopped all changes but their own.
  public internal(set) var isFrozen = false
  /// Whether another observer decides: this one learns, and changes nothing by itself.
  var isFollowing = false

  /// How errors name an agent.
  let describe: @Sendable (Int32) -> String
  var table: LinkTable
  /// The links that are never made.
  var forbidden: Set<AgentPair>
  var thresholds: Thresholds
  private let decay: Decay
  var path = LinkedPath()
  /// Whose path that is, as long as no link has changed since: a report has each pair's events in a row.
  var known: Traffic.Event?
  /// The possible links of that path that save hops, or are there and do, once somebody has looked.
  private var candidates: [Candidate] = []
  var hasCandidates = false
  var step: Int32 = 0
  var eventsInStep = 0
  /// The place at which the search for idle links goes on.
  var sweep = 0
  private let charge: Int64
  private let allows: [Bool]

  /// The half-lives without use after which a link is idle.
  private static let idleHalfLives: Int32 = 16

  /// An observer of `tree` without links but those pinned.
  ///
  /// - Parameters:
  ///   - pins: links that are there from the start and stay.
  ///   - forbids: links that are never made.
  ///   - describe: how errors name an agent.
  /// - Throws: `invalidTopology` for a policy out of bounds, and for pins that cannot be (``operate(_:)``).
  public init(
    _ tree: AgentTree, policy: ObserverPolicy = ObserverPolicy(), pins: [AgentPair] = [],
    forbids: Set<AgentPair> = [], describe: @escaping @Sendable (Int32) -> String = { "agent \($0)" }
  ) throws {
    try policy.check()
    self.tree = tree
    self.policy = policy
    charge = Int64(policy.charge)
    table = LinkTable(capacity: policy.memory, agentCount: tree.count)
    thresholds = Thresholds(charge: charge)
    decay = Decay(halfLifeEventCount: policy.halfLife * tree.count)
    forbidden = forbids
    self.describe = describe
    allows = LinkKind.allCases.map { policy.kinds.contains($0) }
    for pin in pins { try operate(.pin(pin)) }
  }

  /// Takes one event and returns the change that it calls for, which has been made unless it is a suggestion.
  ///
  /// - Parameters:
  ///   - from: the agent that sent it.
  ///   - to: the agent that it is for.
  ///   - passing: supervisors that this event has to pass; no link around them carries it or learns from it.
  @discardableResult
  public mutating func observe(from: Int32, to: Int32, passing: [Int32] = []) -> RewireDecision? {
    observe(from: from, to: to, passing: passing, isSettled: false)
  }

  /// Takes one event; `isSettled` says that what it has cost is in the ledger.
  mutating func observe(from: Int32, to: Int32, passing: [Int32], isSettled: Bool) -> RewireDecision? {
    countEvent()
    let event = Traffic.Event(from: from, to: to)
    if known != event || !passing.isEmpty {
      known = nil
      hasCandidates = false
      guard path.take(tree, from: from, to: to, passing: passing) else {
        lastTreeCost = tree.distance(from, to)
        lastCost = lastTreeCost
        return nil
      }
      if table.linkCount > 0 { takeLinks() }
      path.measure()
      if passing.isEmpty { known = event }
    }
    let count = path.edgeCount
    (lastTreeCost, lastCost) = (count, path.cost)
    if !isSettled { ledger += Int64(count - path.cost) }
    guard policy.mode != .off, !isFrozen else { return nil }
    let decision = (count >= 2 ? learn(count) : nil) ?? retireIdle()
    if decision != nil { known = nil }
    return decision
  }

  /// The links between agents of the path.
  mutating func takeLinks() {
    for from in 0..<max(1, path.edgeCount) - 1 where table.degree(path.agents[from]) > 0 {
      for to in from + 2..<path.edgeCount + 1 where table.degree(path.agents[to]) > 0 && path.isOpen(from, to)
      {
        let slot = table.find(AgentPair(path.agents[from], path.agents[to]))
        if slot >= 0, table.items[Int(slot)].isLinked { path.add(from, to) }
      }
    }
  }

  /// A possible link of the path, and what it saves.
  private struct Candidate {
    var pair: AgentPair
    var kind: LinkKind
    var group: UInt8
    var gain: Int64
  }

  /// Finds the possible links of the path.
  private mutating func findCandidates(_ count: Int) {
    candidates.removeAll(keepingCapacity: true)
    hasCandidates = true
    for from in 0..<count - 1 {
      for to in stride(from: count, to: from + 1, by: -1) where path.isOpen(from, to) {
        let (one, other) = (path.agents[from], path.agents[to])
        let kind = LinkKind(tree.role(one), tree.role(other))
        guard allows[Int(kind.rawValue)] else { continue }
        let gain = path.gain(of: from, to)
        guard gain > 0 else { continue }
        candidates.append(
          Candidate(
            pair: AgentPair(one, other), kind: kind, group: Thresholds.group(kind, distance: to - from),
            gain: Int64(gain)))
      }
    }
  }

  /// Credits each possible link of the path, and changes the links where one has earned it.
  private mutating func learn(_ count: Int) -> RewireDecision? {
    if !hasCandidates { findCandidates(count) }
    var chosen: Earned?
    for place in candidates.indices {
      let candidate = candidates[place]
      var slot = table.find(candidate.pair)
      if slot < 0 {
        slot = table.admit(candidate.pair, candidate.kind, group: candidate.group, step: step, decay)
        guard slot >= 0 else { continue }
      }
      note(candidate.gain, slot)
      let isFirst = chosen.map { candidate.kind.rawValue < $0.kind.rawValue } ?? true
      if isFirst, !isFollowing, !table.items[Int(slot)].isLinked, let threshold = thresholdReached(by: slot) {
        chosen = Earned(slot: slot, pair: candidate.pair, kind: candidate.kind, threshold: threshold)
      }
    }
    // A later newcomer of the same event may have taken the item's place in the memory.
    guard let chosen, table.items[Int(chosen.slot)].pair == chosen.pair else { return nil }
    return change(chosen)
  }

  /// An item that has earned a link.
  private struct Earned {
    var slot: Int32
    var pair: AgentPair
    var kind: LinkKind
    var threshold: Int64
  }

  private mutating func note(_ gain: Int64, _ slot: Int32) {
    bringUp(slot)
    thresholds.note(table.items[Int(slot)].group, gain: gain, totalBefore: table.items[Int(slot)].total)
    let item = table.items[Int(slot)]
    table.items[Int(slot)].score = min(item.score + gain * Decay.one, Decay.weightMax)
    if !item.isLinked {
      table.items[Int(slot)].credit = min(item.credit + gain * Decay.one, Decay.weightMax)
    }
    table.items[Int(slot)].total = item.total + gain
  }

  /// Decays an item up to now.
  private mutating func bringUp(_ slot: Int32) {
    let steps = step - table.items[Int(slot)].step
    guard steps > 0 else { return }
    table.items[Int(slot)].score = decay.decayed(table.items[Int(slot)].score, steps: steps)
    table.items[Int(slot)].credit = decay.decayed(table.items[Int(slot)].credit, steps: steps)
    table.items[Int(slot)].step = step
  }

  /// The threshold of an item that has reached it and may be linked; nil where it has or may not.
  private func thresholdReached(by slot: Int32) -> Int64? {
    let item = table.items[Int(slot)]
    let weight = min(item.credit, item.score)
    guard weight >= thresholds.floor(item.group) else { return nil }
    let threshold = thresholds.threshold(item.group)
    return weight >= threshold && !forbidden.contains(item.pair) ? threshold : nil
  }

  /// Makes a link of an item that has earned one, if those it would displace and the ledger allow.
  private mutating func change(_ earned: Earned) -> RewireDecision? {
    let slot = earned.slot
    let item = table.items[Int(slot)]
    var displaced: [Int32] = []
    for agent in [item.pair.low, item.pair.high]
    where table.degree(agent) >= policy.linksMax(tree.role(agent)) {
      guard let weakest = weakest(at: agent) else { return nil }
      displaced.append(weakest)
    }
    let count = Int64(1 + displaced.count)
    if !displaced.isEmpty {
      let scores = displaced.reduce(Int64(0)) { $0 + table.items[Int($1)].score }
      let cost = count * charge * Decay.one
      guard item.credit >= cost, item.score >= scores + cost * 3 / 4 else { return nil }
    }
    guard canAfford(count) else { return nil }
    var decision = RewireDecision(
      event: eventCount, cause: .earned, promoted: link(slot), retired: displaced.map { link($0) },
      credit: item.credit, threshold: earned.threshold, ledgerBefore: ledger,
      ledgerAfter: ledger, policyVersion: policy.version, isSuggestion: policy.mode == .suggest)
    table.items[Int(slot)].credit = 0
    guard policy.mode == .auto else { return decision }
    pay(count)
    decision.ledgerAfter = ledger
    for other in displaced { table.unlink(other) }
    table.link(slot, at: eventCount)
    return decision
  }

  /// Looks at one item, and retires it where it is a link that has been without use for long.
  private mutating func retireIdle() -> RewireDecision? {
    guard !table.items.isEmpty, policy.mode == .auto, !isFollowing else { return nil }
    sweep = sweep + 1 < table.items.count ? sweep + 1 : 0
    let item = table.items[sweep]
    guard item.isLinked, !item.isPinned, canAfford(1),
      step - item.step >= Self.idleHalfLives * Int32(Decay.stepsPerHalf)
    else { return nil }
    bringUp(Int32(sweep))
    var decision = retirement(of: Int32(sweep), cause: .idle)
    pay(1)
    decision.ledgerAfter = ledger
    table.unlink(Int32(sweep))
    return decision
  }

  /// The decision that a link goes, not yet charged.
  func retirement(of slot: Int32, cause: RewireDecision.Cause) -> RewireDecision {
    RewireDecision(
      event: eventCount, cause: cause, promoted: nil, retired: [link(slot)], credit: 0, threshold: 0,
      ledgerBefore: ledger, ledgerAfter: ledger, policyVersion: policy.version, isSuggestion: false)
  }

  private func canAfford(_ count: Int64) -> Bool {
    ledger - count * charge >= -Int64(policy.overdraft) * charge
  }

  private mutating func pay(_ count: Int64) {
    ledger -= count * charge
    ledgerMin = min(ledgerMin, ledger)
  }

  func link(_ slot: Int32) -> RewireDecision.Link {
    let item = table.items[Int(slot)]
    return .init(pair: item.pair, kind: item.kind, score: item.score)
  }

  /// The link with the lowest score at `agent` that is not pinned.
  mutating func weakest(at agent: Int32) -> Int32? {
    var weakest: Int32?
    var slot = table.firstLink(at: agent)
    while slot >= 0 {
      bringUp(slot)
      let score = table.items[Int(slot)].score
      if !table.items[Int(slot)].isPinned, weakest.map({ score < table.items[Int($0)].score }) ?? true {
        weakest = slot
      }
      slot = table.next(after: slot, at: agent)
    }
    return weakest
  }

  /// An item as it is now, decayed.
  func decayed(_ slot: Int32) -> LinkTable.Item {
    var item = table.items[Int(slot)]
    item.score = decay.decayed(item.score, steps: step - item.step)
    item.credit = decay.decayed(item.credit, steps: step - item.step)
    return item
  }

  /// The lowest score of a link at `agent` that is not pinned.
  func weakestScore(at agent: Int32) -> Int64? {
    var weakest: Int64?
    var slot = table.firstLink(at: agent)
    while slot >= 0 {
      let item = decayed(slot)
      if !item.isPinned { weakest = min(weakest ?? .max, item.score) }
      slot = table.next(after: slot, at: agent)
    }
    return weakest
  }

  /// The weight that a first link of a kind needs now.
  func threshold(_ kind: LinkKind, distance: Int) -> Int64 {
    thresholds.threshold(Thresholds.group(kind, distance: distance))
  }

  private mutating func countEvent() {
    eventCount += 1
    eventsInStep += 1
    if eventsInStep == decay.eventsPerStep {
      eventsInStep = 0
      // After 2^31 steps evidence would no longer fade; the machine would have seen 2^31 events at least.
      if step < .max { step += 1 }
    }
  }

  /// The item of a pair that may be linked, a new one if need be; nil where there is no room.
  mutating func item(of pair: AgentPair, _ kind: LinkKind, distance: Int) -> Int32? {
    let found = table.find(pair)
    if found >= 0 { return found }
    let slot = table.admit(pair, kind, group: Thresholds.group(kind, distance: distance), step: step, decay)
    return slot >= 0 ? slot : nil
  }
}

extension Observer {
  /// The links, in the order of their ends.
  public var links: [AgentPair] { table.items.lazy.filter(\.isLinked).map(\.pair).sorted() }
  public var linkCount: Int { table.linkCount }
  /// The possible links that are remembered, links included; at most ``ObserverPolicy/memory``.
  public var itemCount: Int { table.items.count }
  /// The number of links at `agent`.
  public func degree(_ agent: Int32) -> Int { table.degree(agent) }
  /// Whether two agents are linked.
  public func isLinked(_ pair: AgentPair) -> Bool {
    let slot = table.find(pair)
    return slot >= 0 && table.items[Int(slot)].isLinked
  }

  /// A number that is equal for equal links, on every machine and in every run: FNV-1a over their ends, in order.
  public var topologyHash: UInt64 {
    links.reduce(0xCBF2_9CE4_8422_2325) { hash, pair in
      stride(from: 0, to: UInt64(64), by: 8).reduce(hash) {
        ($0 ^ (pair.key >> $1 & 0xFF)) &* 0x100_0000_01B3
      }
    }
  }

  /// Calls `body` with each agent that relayed the event observed last.
  func forEachRelay(_ body: (Int32) -> Void) { path.forEachRelay(body) }
}
