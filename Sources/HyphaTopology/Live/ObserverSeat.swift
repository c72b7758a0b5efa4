public import HyphaCore

/// The observer as a node has it: takes reports and operators' rules in the order of the node's log, and answers each
/// with at most one event.
///
/// A pure machine, and a fold of the log: its own answers, once they are in the log, come back to it by
/// ``confirm(_:)``. What it has answered and is not in the log yet is ``pending``; after a restart the same entries give the
/// same answers, and those that are in the log already are not stated again.
public struct ObserverSeat: Sendable {
  /// What is to be stated, and what has caused it.
  public struct Answer: Sendable, Hashable, Codable {
    /// The report or the rule.
    public var cause: EventID
    public var correlation: EventID
    public var content: Content

    public enum Content: Sendable, Hashable, Codable {
      case changed(LinksChanged)
      case suggested(LinksSuggested)
      case refused(RuleRefused)
      case superseded(SeatSuperseded)
    }
  }

  public internal(set) var observer: Observer
  /// What decides which questions are ambient.
  public internal(set) var ambient: AmbientSeat
  /// The answers that are not in the log yet, in their order.
  public internal(set) var pending: [Answer] = []
  /// The version of the newest change, in the log or not.
  public internal(set) var version: UInt32
  /// Suggestions that no operator has answered, with their evidence.
  public private(set) var suggestions: [DirectLink: LinkChange] = [:]
  /// What the log has of what is found, and the term that has stated it.
  public internal(set) var statedFindings: [Finding.Topic: Finding] = [:]
  var findingsTerm: UInt32 = 1

  /// The node whose seat this is, and the one that decides as far as the log knows, its own pending answers included.
  public let node: NodeID?
  public internal(set) var holder: NodeID?
  /// The newest term that another node was heard to send by.
  var heardTerm: UInt32 = 0
  /// The topology as the log has it.
  var live: LiveTopology
  var asks = SeatAsks()
  /// Whether the other node that may have the seat is there, as this one takes it.
  public var isOtherThere = false
  /// The event by which the seat was given away last.
  var handOver: HandOver?
  let policy: ObserverPolicy

  /// About the most events of a report that are observed.
  public static let reportEventCountMax = 1_000_000

  var findings: Findings
  let names: [AgentID]
  let numbers: [AgentID: Int32]
  let nodes: Set<NodeID>

  /// The most suggestions that are remembered; a new one beyond that takes the place of the one with the least evidence.
  public static let suggestionCountMax = 256

  /// The observer of a topology, with nothing seen.
  ///
  /// - Parameter place: the node whose seat it is, where that is not the one with the first term.
  /// - Throws: ``HyphaError/Code/invalidTopology`` for pins that cannot be.
  public init(_ topology: Topology, at place: NodeID? = nil) throws {
    let names = topology.agents.map(\.id)
    let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, Int32($0)) })
    let policy = topology.observer
    let pins = try policy.pins.map { try Self.pair($0, numbers) }
    let forbids = Set(try policy.forbids.map { try Self.pair($0, numbers) })
    observer = try Observer(AgentTree(topology), policy: policy, pins: pins, forbids: forbids) { agent in
      "'\(names[Int(agent)])'"
    }
    findings = Findings(halfLife: max(4096, policy.halfLife * names.count))
    findings.decisions = DecisionWatch(topology)
    ambient = AmbientSeat(agents: Set(names), nodeCount: topology.nodes.count, policy: policy)
    nodes = Set(topology.nodes.map(\.id))
    (self.names, self.numbers, version) = (names, numbers, topology.version)
    (self.policy, holder, node, live) = (policy, policy.node, place ?? policy.node, LiveTopology(topology))
    observer.isFollowing = !isActive
    syncAmbient()
  }

  /// What is known of the link of two agents.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` where they are not two agents of the topology.
  public func evidence(_ link: DirectLink) throws -> LinkEvidence { observer.evidence(try pair(link)) }

  /// The number that the observer has for an agent; nil where the topology does not have it.
  public func number(of agent: AgentID) -> Int32? { numbers[agent] }

  /// The name of an agent that the observer has as a number.
  public func name(_ agent: Int32) -> AgentID { names[Int(agent)] }

  // MARK: Snapshots

  /// All that a seat knows at a place of the log: with it and the entries behind it, a node that starts goes on.
  public struct Snapshot: Sendable, Codable {
    var observer: Observer.Memory
    var pending: [Answer]
    var version: UInt32
    var suggestions: [LinkChange]
    /// Nil in snapshots of versions that found nothing.
    var findings: Findings.Memory?
    public internal(set) var statedFindings: [Finding]?
    /// Nil in snapshots of versions that had no standby.
    public internal(set) var findingsTerm: UInt32?
    var holder: NodeID?
    var live: LiveTopology?
    var asks: SeatAsks?
    var handOver: HandOver?
    /// Nil in snapshots of versions that promoted no questions.
    var ambient: AmbientSeat.Memory?
  }

  /// What it knows now.
  public var snapshot: Snapshot {
    Snapshot(
      observer: observer.memory, pending: pending, version: version,
      suggestions: suggestions.sorted { $0.key < $1.key }.map(\.value), findings: findings.memory,
      statedFindings: statedFindings.values.sorted { $0.topic < $1.topic }, findingsTerm: findingsTerm,
      holder: holder, live: live, asks: asks, handOver: handOver,
      ambient: ambient.memory)
  }

  /// Goes on where another one was.
  ///
  /// - Throws: ``HyphaError/Code/invalidTopology`` for a snapshot of another topology.
  public mutating func resume(_ snapshot: Snapshot) throws {
    try observer.resume(snapshot.observer)
    pending = snapshot.pending
    version = snapshot.version
    suggestions = [:]
    for change in snapshot.suggestions { keep(change) }
    if let known = snapshot.findings { findings.resume(known) }
    statedFindings = Dictionary(
      (snapshot.statedFindings ?? []).map { ($0.topic, $0) }, uniquingKeysWith: { $1 })
    (findingsTerm, holder) = (snapshot.findingsTerm ?? 1, snapshot.holder ?? policy.node)
    if let known = snapshot.live { live = known }
    (asks, handOver) = (snapshot.asks ?? SeatAsks(), snapshot.handOver)
    observer.isFollowing = !isActive
    if let known = snapshot.ambient { ambient.memory = known }
  }

  // MARK: Taking

  /// Takes a report. An agent that the topology does not have is passed over.
  public mutating func take(_ report: FlowReported, _ id: EventID, correlation: EventID) {
    // A node may say what it likes: no report keeps the seat for long.
    var room = Self.reportEventCountMax
    var flows: [Observer.Flow] = []
    for flow in report.pairs where room > 0 {
      room -= flow.count
      guard let from = numbers[flow.from], let to = numbers[flow.to], from != to else { continue }
      findings.count(AgentPair(from, to), flow.count)
      flows.append(Observer.Flow(from: from, to: to, count: flow.count))
    }
    var decisions: [RewireDecision] = []
    observer.observe(report: flows) { decisions.append($0) }
    lookAtPairs()
    let suggested = decisions.filter(\.isSuggestion).map { change($0) }
    for change in suggested { keep(change) }
    let made = decisions.filter { !$0.isSuggestion }.map { change($0) }
    if !made.isEmpty, !hasRoom {
      goOn()
    } else if !made.isEmpty {
      answer(.changed(changed(made)), id, correlation)
    } else if !suggested.isEmpty {
      answer(.suggested(LinksSuggested(changes: suggested, term: statedTerm)), id, correlation)
    }
  }

  /// Takes what an operator asked for.
  ///
  /// - Parameter place: who has stated that and where in its lane, so that who takes the seat over knows what is to be answered.
  public mutating func take(
    _ asked: RuleAsked, _ id: EventID, correlation: EventID,
    at place: (author: AgentID, point: LanePoint)? = nil
  ) {
    if policy.standby != nil, let place {
      let ask = SeatAsks.Ask(
        id: id, correlation: correlation, rule: asked.rule, author: place.author, epoch: place.point.epoch,
        sequence: place.point.sequence)
      guard asks.take(ask) else { return }
    }
    if isActive { answer(asked, id, correlation) }
  }

  mutating func answer(_ asked: RuleAsked, _ id: EventID, _ correlation: EventID) {
    func refuse(_ reason: String) {
      answer(.refused(RuleRefused(rule: asked.rule, reason: reason, term: statedTerm)), id, correlation)
    }
    if asked.rule == .handOver {
      switch handOverProblem {
      case let problem?: refuse(problem)
      case nil: giveAway(id, correlation)
      }
      return
    }
    guard hasRoom else {
      return refuse(
        "all versions of term \(term) are used up; stop node '\(node?.text ?? "")' until its standby has the seat"
      )
    }
    do {
      answer(.changed(changed(try obey(asked.rule))), id, correlation)
    } catch {
      refuse((error as? HyphaError)?.description ?? "\(error)")
    }
  }

  /// Takes note that an answer of the seat is in the log, whatever seat has given it: what the log says is so, unless a
  /// later term has begun.
  ///
  /// - Parameters:
  ///   - id: the event's own id, and the conversation that it is of.
  ///   - time: when it was stated.
  public mutating func confirm(
    _ event: LinksChanged, cause: EventID, id: EventID = .none, correlation: EventID = .none,
    at time: Timestamp = .zero
  ) {
    if policy.standby != nil, SeatTerm.of(event.version) < SeatTerm.of(version) { return }
    if event.handedTo != nil { handOver = HandOver(event: id, correlation: correlation) }
    if let first = pending.first, first.cause == cause, case .changed(let own) = first.content, own == event {
      pending.removeFirst()
      live.apply(event, at: time)
      return asks.answer(cause, in: term)
    }
    if let begun = event.begun, policy.standby != nil {
      if event.version > live.version { follow(event, begun, id, correlation, at: time) }
      return
    }
    if event.attachments != nil, takeUp(event, at: time) { return asks.answer(cause, in: term) }
    let isNews =
      policy.standby == nil ? event.version > version || !pending.isEmpty : event.version > live.version
    guard isNews else { return }
    live.apply(event, at: time)
    asks.answer(cause, in: SeatTerm.of(event.version))
    // Another seat, or another version of this program, has decided otherwise.
    pending.removeAll { if case .changed = $0.content { true } else { $0.cause == cause } }
    version = max(version, event.version)
    for change in event.changes { adopt(change) }
    if policy.standby != nil { goOn() }
  }

  /// Takes note that an answer that changes nothing is in the log.
  ///
  /// - Parameter term: the term that has given it.
  public mutating func confirmUnchanged(cause: EventID, term: UInt32? = nil) {
    if let first = pending.first, first.cause == cause, term ?? 1 == self.term {
      pending.removeFirst()
      asks.answer(cause, in: self.term)
      if case .changed = first.content, policy.standby != nil { goOn() }
    } else if term ?? 1 >= self.term {
      asks.answer(cause, in: term ?? 1)
    }
  }

  /// Takes note that this node has said that it has the seat no more.
  public mutating func confirm(_: SeatSuperseded, cause: EventID) {
    pending.removeAll { answer in
      if case .superseded = answer.content { answer.cause == cause } else { false }
    }
  }

  /// Takes note that the log has suggestions.
  public mutating func confirm(_ event: LinksSuggested, cause: EventID) {
    if !isActive, event.term ?? 1 >= term { for change in event.changes { keep(change) } }
    confirmUnchanged(cause: cause, term: event.term)
  }

  /// The term as events have it: the first one goes without saying.
  var statedTerm: UInt32? { term == 1 ? nil : term }

  /// Whether the term has a version left.
  var hasRoom: Bool { policy.standby == nil || SeatTerm.of(version &+ 1) == SeatTerm.of(version) }

  private mutating func answer(_ content: Answer.Content, _ cause: EventID, _ correlation: EventID) {
    pending.append(Answer(cause: cause, correlation: correlation, content: content))
  }

  private mutating func changed(_ changes: [LinkChange]) -> LinksChanged {
    version += 1
    return LinksChanged(version: version, changes: changes)
  }

  // MARK: Rules

  private mutating func obey(_ rule: LinkRule) throws -> [LinkChange] {
    func operated(_ decision: RewireDecision?) -> [LinkChange] {
      guard let decision else { return [ruled(rule)] }
      var change = change(decision)
      change.rule = rule
      return [change]
    }
    switch rule {
    case .pin(let link): return operated(try observer.operate(.pin(try pair(link))))
    case .unpin(let link): return operated(try observer.operate(.unpin(try pair(link))))
    case .forbid(let link):
      suggestions[link] = nil
      return operated(try observer.operate(.forbid(try pair(link))))
    case .allow(let link): return operated(try observer.operate(.allow(try pair(link))))
    case .retire(let link): return operated(try observer.operate(.retire(try pair(link))))
    case .approve(let link):
      guard suggestions.removeValue(forKey: link) != nil else { throw Self.notSuggested(link) }
      return operated(try observer.operate(.approve(try pair(link))))
    case .reject(let link):
      guard suggestions.removeValue(forKey: link) != nil else { throw Self.notSuggested(link) }
      return [ruled(rule)]
    case .freeze: return operated(try observer.operate(.freeze))
    case .thaw: return operated(try observer.operate(.thaw))
    case .revert(_, let links): return try revert(to: Set(links), rule)
    case .handOver: return [ruled(rule)]
    }
  }

  /// What was there and is not wanted goes first, so that there is room.
  private mutating func revert(to wanted: Set<DirectLink>, _ rule: LinkRule) throws -> [LinkChange] {
    for link in wanted { _ = try pair(link) }
    let present = Set(observer.links.map { link($0) })
    var next = observer
    var changes = [ruled(rule)]
    for link in present.subtracting(wanted).sorted() {
      if let decision = try next.operate(.retire(try pair(link))) { changes.append(change(decision)) }
    }
    for link in wanted.subtracting(present).sorted() {
      if let decision = try next.operate(.approve(try pair(link))) { changes.append(change(decision)) }
    }
    observer = next
    return changes
  }

  private static func notSuggested(_ link: DirectLink) -> HyphaError {
    HyphaError(
      .invalidTopology, "the link \(link) is not suggested",
      remedy: "list the suggestions with 'hypha topology suggestions', or pin the link")
  }

  private mutating func adopt(_ change: LinkChange) {
    let (paid, isOverflow) = change.ledgerBefore.subtractingReportingOverflow(change.ledgerAfter)
    observer.charge(isOverflow ? 0 : paid, for: (change.promoted == nil ? 0 : 1) + change.retired.count)
    if let end = change.promoted { suggestions[end.link] = nil }
    for end in change.retired {
      if let pair = try? pair(end.link), observer.isLinked(pair) { _ = try? observer.operate(.retire(pair)) }
    }
    if let end = change.promoted, let pair = try? pair(end.link) { _ = try? observer.operate(.approve(pair)) }
    switch change.rule {
    case .pin(let link)?: if let pair = try? pair(link) { _ = try? observer.operate(.pin(pair)) }
    case .unpin(let link)?: if let pair = try? pair(link) { _ = try? observer.operate(.unpin(pair)) }
    case .forbid(let link)?: if let pair = try? pair(link) { _ = try? observer.operate(.forbid(pair)) }
    case .allow(let link)?: if let pair = try? pair(link) { _ = try? observer.operate(.allow(pair)) }
    case .freeze?: _ = try? observer.operate(.freeze)
    case .thaw?: _ = try? observer.operate(.thaw)
    case .reject(let link)?: suggestions[link] = nil
    case .approve?, .retire?, .revert?, .handOver?, nil: break
    }
  }

  private mutating func keep(_ change: LinkChange) {
    guard let end = change.promoted else { return }
    if suggestions.count >= Self.suggestionCountMax, suggestions[end.link] == nil {
      let least = suggestions.min { ($0.value.credit, $0.key) < ($1.value.credit, $1.key) }
      if let least { suggestions[least.key] = nil }
    }
    suggestions[end.link] = change
  }

  // MARK: Names

  func ruled(_ rule: LinkRule) -> LinkChange {
    LinkChange(
      cause: .operated, rule: rule, promoted: nil, retired: [], event: observer.eventCount, credit: 0,
      threshold: 0, ledgerBefore: observer.ledger, ledgerAfter: observer.ledger,
      policyVersion: observer.policy.version)
  }

  private func change(_ decision: RewireDecision) -> LinkChange {
    LinkChange(
      cause: decision.cause, rule: nil, promoted: decision.promoted.map { end($0) },
      retired: decision.retired.map { end($0) }, event: decision.event, credit: decision.credit,
      threshold: decision.threshold, ledgerBefore: decision.ledgerBefore, ledgerAfter: decision.ledgerAfter,
      policyVersion: decision.policyVersion)
  }

  private func end(_ link: RewireDecision.Link) -> LinkChange.End {
    .init(link: self.link(link.pair), kind: link.kind, score: link.score)
  }

  private func link(_ pair: AgentPair) -> DirectLink {
    DirectLink(names[Int(pair.low)], names[Int(pair.high)])
  }

  func pair(_ link: DirectLink) throws -> AgentPair { try Self.pair(link, numbers) }

  private static func pair(_ link: DirectLink, _ numbers: [AgentID: Int32]) throws -> AgentPair {
    for agent in [link.one, link.other] where numbers[agent] == nil {
      throw HyphaError(
        .invalidTopology, "the link \(link) names agent '\(agent)', which does not exist",
        remedy: "name two agents of the topology")
    }
    guard let one = numbers[link.one], let other = numbers[link.other], one != other else {
      throw HyphaError(
        .invalidTopology, "the link \(link) joins an agent with itself", remedy: "name two agents")
    }
    return AgentPair(one, other)
  }
}
