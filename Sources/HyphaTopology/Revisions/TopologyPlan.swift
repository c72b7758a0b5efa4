public import HyphaCore

/// What would change in a running deployment if another topology file were applied to it, in the order in which it is told: what
/// is new first, what goes last. Pure.
public struct TopologyPlan: Sendable, Hashable {
  /// One difference, in words about the new file.
  public struct Change: Sendable, Hashable {
    /// What kind of thing changes.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
      case setting, node, agentAdded = "agent-added", agentMoved = "agent-moved"
      case agentPlaced = "agent-placed", supervisor, subscription, publishes, agentSetting = "agent-setting"
      case oversight, replicas, observer, agentRemoved = "agent-removed", nodeRemoved = "node-removed"
    }

    public var kind: Kind
    /// The agent or the node that it is about; nil where it is about the deployment.
    public var subject: String?
    public var text: String
    /// What it costs, beside the begin anew of all nodes.
    public var cost: String?
  }

  /// What keeps the file from being applied as it is.
  public struct Obstacle: Sendable, Hashable {
    public var problem: String
    public var remedy: String
  }

  /// What has happened to the deployment beside its file.
  public struct Past: Sendable {
    /// Where agents were moved.
    public var moves: AgentMoves
    /// The agents that earlier files had, and the nodes whose logs have what they stated.
    public var retired: [AgentID: NodeID]
    /// The node that orders moves and revisions.
    public var seat: NodeID?
    /// The nodes that earlier files had, and whether they are not waited for any more.
    public var leaving: [NodeID: Bool] = [:]
    /// Those of them that have ordered moves and revisions.
    public var formerSeats: Set<NodeID> = []
    /// The nodes that an operator gives up: nobody is to wait for what their logs have.
    public var lost: Set<NodeID> = []
    /// Where nodes were by earlier files, and may still listen.
    public var former: [FormerPlace] = []

    public init(
      moves: AgentMoves = AgentMoves(), retired: [AgentID: NodeID] = [:], seat: NodeID? = nil,
      lost: Set<NodeID> = []
    ) {
      (self.moves, self.retired, self.seat, self.lost) = (moves, retired, seat, lost)
    }
  }

  public private(set) var changes: [Change] = []
  public private(set) var obstacles: [Obstacle] = []
  /// The agents that are to move, with their places now and then.
  public private(set) var moves: [(agent: AgentID, from: NodeID, to: NodeID)] = []

  /// Whether there is nothing to apply.
  public var isEmpty: Bool { changes.isEmpty && obstacles.isEmpty }

  /// What all nodes do to follow.
  public static let cost =
    "every node begins anew once, on its log and in its process: handlers that run come to their end first, and all agents pause for as long as a restart takes"

  /// Compares two files.
  ///
  /// - Parameters:
  ///   - old: what the deployment runs under now, as its file says it: without moves.
  ///   - new: what it is to run under.
  ///   - knowsSettings: whether `old` has more than who is there and who takes what.
  public init(
    from old: Topology, to new: Topology, _ past: Past = Past(), knowsSettings: Bool = true
  ) {
    if knowsSettings { compareSettings(old, new) }
    compareNodes(old, new, past, knowsSettings)
    compareAgents(old, new, past, knowsSettings)
    compareRules(old, new, past, knowsSettings)
    if old.name != new.name {
      refuse(
        "the deployment is named '\(old.name)', and the file '\(new.name)'",
        "give the file the deployment's name, or run it as another deployment")
    }
    if old.version != new.version {
      add(
        .setting, "version: \(new.version), was \(old.version): a number for people; nodes count revisions")
    }
    let all = changes
    changes = Change.Kind.allCases.flatMap { kind in all.filter { $0.kind == kind } }
  }

  public static func == (left: Self, right: Self) -> Bool {
    left.changes == right.changes && left.obstacles == right.obstacles
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(changes)
    hasher.combine(obstacles)
  }

  mutating func add(
    _ kind: Change.Kind, _ text: String, of subject: String? = nil, cost: String? = nil
  ) {
    changes.append(Change(kind: kind, subject: subject, text: text, cost: cost))
  }

  mutating func refuse(_ problem: String, _ remedy: String) {
    obstacles.append(Obstacle(problem: problem, remedy: remedy))
  }

  // MARK: Settings and nodes

  private mutating func compareSettings(_ old: Topology, _ new: Topology) {
    let (was, isNow) = (TopologyWriter.settings(of: old), TopologyWriter.settings(of: new))
    for key in Set(was.keys).union(isNow.keys).sorted() where was[key] != isNow[key] {
      let kind: Change.Kind = key.hasPrefix("observer: ") ? .observer : .setting
      add(kind, "\(key): \(isNow[key] ?? "the default"), was \(was[key] ?? "the default")")
    }
    if old.realtime != new.realtime {
      func text(_ limit: RealtimeLimit?) -> String { limit?.parts.joined(separator: ", ") ?? "no limit" }
      add(.setting, "realtime: \(text(new.realtime)), was \(text(old.realtime))")
    }
    if old.security.keysDirectory != new.security.keysDirectory {
      refuse(
        "the directory of keys is \(new.security.keysDirectory ?? "none"), and was \(old.security.keysDirectory ?? "none")",
        "leave it: a node that is away meanwhile could not prove itself any more")
    }
  }

  private mutating func compareNodes(_ old: Topology, _ new: Topology, _ past: Past, _ knowsSettings: Bool) {
    for node in new.nodes
    where old.node(node.id) == nil && past.leaving[node.id] == nil
      && (knowsSettings || !new.agents(on: node.id).isEmpty)
    {
      add(
        .node, "node '\(node.id)' is new, at \(node.address.fileText)", of: node.id.text,
        cost:
          "it is to be started with this file, once that is applied: 'hypha run FILE --node \(node.id)'; until it runs agents that begin wait 5 s for its links"
      )
    }
    compareLeaving(old, new, past)
    if knowsSettings { compareAddresses(old, new, past) }
    let both = new.nodes.compactMap { node in old.node(node.id).map { ($0, node) } }
    for (was, isNow) in both where knowsSettings {
      if was.key != isNow.key {
        refuse(
          "node '\(isNow.id)' has another key",
          "leave it: a node that is away meanwhile could not prove itself any more")
      }
      if was.retention != isNow.retention {
        add(.node, "node '\(isNow.id)' keeps another part of its log", of: isNow.id.text)
      }
    }
    for (was, isNow) in both where was.replicas != isNow.replicas {
      func text(_ replicas: ReplicationSettings) -> String {
        replicas.nodes.isEmpty
          ? "none"
          : "\(replicas.nodes.map { "'\($0)'" }.joined(separator: ", ")) (\(replicas.level) before it leaves)"
      }
      guard knowsSettings || was.replicas.nodes.sorted() != isNow.replicas.nodes.sorted() else { continue }
      add(
        .replicas,
        "replicas of node '\(isNow.id)': \(text(isNow.replicas)), were \(text(was.replicas))",
        of: isNow.id.text,
        cost: isNow.replicas.nodes.contains { !was.replicas.nodes.contains($0) }
          ? "new ones fetch all that its log has" : nil)
      // These may never have heard of those that have left: after a lost disk it would begin them again.
      for spec in new.agents(on: isNow.id) where !isNow.replicas.nodes.isEmpty {
        guard let place = past.moves.newest(of: spec.id)?.order.to, place != isNow.id,
          old.agent(spec.id)?.node == isNow.id, new.node(place) != nil
        else { continue }
        refuse(
          "the replicas of node '\(isNow.id)' change, and the file places agent '\(spec.id)' there, which was moved to '\(place)'",
          "place it on '\(place)' in the file")
      }
    }
  }

  // MARK: Agents

  private mutating func compareAgents(_ old: Topology, _ new: Topology, _ past: Past, _ knowsSettings: Bool) {
    for agent in new.agents where old.agent(agent.id) == nil { added(agent, past) }
    for agent in old.agents where new.agent(agent.id) == nil {
      add(
        .agentRemoved, "agent '\(agent.id)' is gone", of: agent.id.text,
        cost:
          "what it has not handled then it never will; what it has stated stays, and comes to whom it is for; who addresses it fails"
      )
      // Who is given up hands nothing over, and takes nothing.
      if let move = past.moves.newest(of: agent.id), move.stage != .arrived,
        past.lost.isDisjoint(with: [move.order.from, move.order.to])
      {
        onItsWay(move)
      }
    }
    for agent in new.agents {
      guard let was = old.agent(agent.id) else { continue }
      compare(was, agent, in: new, from: old, past)
      if knowsSettings { compareOwn(was, agent) }
    }
  }

  private mutating func added(_ agent: AgentSpec, _ past: Past) {
    if let node = past.retired[agent.id], node != agent.node {
      return refuse(
        "agent '\(agent.id)' was there before, and node '\(node)' has its log, not '\(agent.node)'",
        past.leaving[node] == true
          ? "give the new agent another name" : "add it on '\(node)', then move it: hypha agents move")
    }
    let subscribed = Set(agent.subscribes.map(\.type)).sorted()
    let place = agent.reportsTo.map { "and reports to '\($0)'" } ?? "and is the root"
    add(
      .agentAdded, "agent '\(agent.id)' is new: a \(agent.kind) on '\(agent.node)', \(place)",
      of: agent.id.text,
      cost: subscribed.isEmpty
        ? nil
        : "what is logged of \(subscribed.map(\.text).joined(separator: ", ")) it is given from the first event on that logs still have"
    )
  }

  private mutating func onItsWay(_ move: AgentMoves.Move) {
    refuse(
      "agent '\(move.order.agent)' is on its way from '\(move.order.from)' to '\(move.order.to)'",
      "wait until it is there")
  }

  private mutating func compare(
    _ was: AgentSpec, _ isNow: AgentSpec, in new: Topology, from old: Topology, _ past: Past
  ) {
    let id = isNow.id
    if was.kind != isNow.kind {
      refuse(
        "agent '\(id)' is of kind '\(isNow.kind)', and was of '\(was.kind)', which cannot read its state",
        "remove it, and add one of another name")
    }
    let changes = subscriptions(was, isNow)
    for change in changes { add(.subscription, change.text, of: id.text, cost: change.cost) }
    if was.reportsTo != isNow.reportsTo {
      func name(_ agent: AgentID?) -> String { agent.map { "'\($0)'" } ?? "nobody" }
      add(
        .supervisor, "agent '\(id)' reports to \(name(isNow.reportsTo)), did to \(name(was.reportsTo))",
        of: id.text)
    }
    let here = past.moves.places[id] ?? was.node
    // Where it was moved to a node that leaves, the file's place counts.
    guard was.node != isNow.node || new.node(here) == nil else { return }
    // Its new node may know the file before the move, and would begin it anew.
    if let move = past.moves.newest(of: id), move.stage != .arrived,
      past.lost.isDisjoint(with: [move.order.from, move.order.to])
    {
      onItsWay(move)
    }
    guard here != isNow.node else {
      return add(
        .agentPlaced, "agent '\(id)' is placed on '\(isNow.node)', to which it was moved", of: id.text)
    }
    if past.lost.contains(here) {
      refuse(
        "agent '\(id)' would move from node '\(here)', which is given up and cannot hand it over",
        "remove it, and add one of another name")
    }
    if old.node(isNow.node) == nil {
      refuse(
        "agent '\(id)' would move to node '\(isNow.node)', which is new",
        "apply the file with the node first, and this agent on '\(here)'")
    }
    if !changes.isEmpty {
      refuse(
        "agent '\(id)' would move, and take other events, in one step",
        "apply the one first, then the other")
    }
    moves.append((id, here, isNow.node))
    add(
      .agentMoved, "agent '\(id)' moves from '\(here)' to '\(isNow.node)'", of: id.text,
      cost:
        "it pauses until '\(isNow.node)' has all that it has stated and was given\(copies(old.node(here), new.node(isNow.node)))"
    )
  }

  /// What a move from one node to another changes for the copies of what an agent states.
  private func copies(_ from: NodeSpec?, _ to: NodeSpec?) -> String {
    guard from?.replicas.nodes.isEmpty == false, let to, to.replicas.nodes.isEmpty else { return "" }
    return "; '\(to.id)' has no replicas: what it states from then on is as durable as one disk"
  }

  private func subscriptions(_ was: AgentSpec, _ isNow: AgentSpec) -> [(text: String, cost: String?)] {
    func text(_ subscription: Subscription) -> String {
      subscription.subjects == .everything
        ? subscription.type.text : "\(subscription.type) (\(subscription.subjects))"
    }
    let old = Set(was.subscribes.map(\.type))
    let new = isNow.subscribes.filter { !was.subscribes.contains($0) }.map { subscription in
      (
        "agent '\(isNow.id)' subscribes to \(text(subscription)), and did not",
        old.contains(subscription.type)
          ? "what was passed over of it stays so"
          : "what is logged of it, it is given from the first event on that logs still have"
      )
    }
    return new
      + was.subscribes.filter { !isNow.subscribes.contains($0) }.map {
        ("agent '\(isNow.id)' does not subscribe to \(text($0)) any more", nil)
      }
  }

  private mutating func compareOwn(_ was: AgentSpec, _ isNow: AgentSpec) {
    let id = isNow.id
    if was.publishes != isNow.publishes {
      func text(_ types: Set<EventTypeName>?) -> String {
        types.map { $0.isEmpty ? "nothing" : $0.sorted().map(\.text).joined(separator: ", ") }
          ?? "all that its kind can"
      }
      add(
        .publishes, "agent '\(id)' may publish \(text(isNow.publishes)), might \(text(was.publishes))",
        of: id.text)
    }
    if was.settings != isNow.settings {
      var names: [String] = []
      if case .object(let old) = was.settings, case .object(let new) = isNow.settings {
        names = Set(old.keys).union(new.keys).filter { old[$0] != new[$0] }.sorted()
      }
      add(
        .agentSetting,
        "agent '\(id)' has other settings\(names.isEmpty ? "" : ": \(names.joined(separator: ", "))")",
        of: id.text)
    }
    if was.standby != isNow.standby {
      func text(_ standby: AgentID?) -> String { standby.map { "'\($0)'" } ?? "nobody" }
      add(
        .supervisor, "agent '\(id)' has \(text(isNow.standby)) as its standby, had \(text(was.standby))",
        of: id.text)
    }
    if was.realtime != isNow.realtime {
      add(.agentSetting, "agent '\(id)' may send other numbers of realtime events", of: id.text)
    }
    if was.supervision != isNow.supervision {
      add(.agentSetting, "failures of agent '\(id)' are dealt with otherwise", of: id.text)
    }
  }

  // MARK: Rules

  private mutating func compareRules(
    _ old: Topology, _ new: Topology, _ past: Past, _ knowsSettings: Bool
  ) {
    func text(_ rule: OversightRule) -> String {
      "'\(rule.by)' oversees \(rule.type) '\(rule.mode.rawValue)'"
    }
    func known(_ rules: [OversightRule]) -> [OversightRule] {
      knowsSettings ? rules : rules.map { OversightRule($0.type, by: $0.by, $0.mode) }
    }
    let (was, isNow) = (known(old.oversight), known(new.oversight))
    for rule in isNow where !was.contains(rule) {
      add(
        .oversight, text(rule) + (rule.mode == .after ? " every \(DurationText.text(rule.every))" : ""),
        of: rule.by.text,
        cost: [.in, .parallel].contains(rule.mode)
          ? "it is given what those below it have stated of it from the first event on" : nil)
    }
    for rule in was where !isNow.contains(rule) {
      add(.oversight, "no more: " + text(rule), of: rule.by.text)
    }
    compareLinks("pinned", Set(old.observer.pins), Set(new.observer.pins))
    guard knowsSettings else { return }
    compareLinks("forbidden", Set(old.observer.forbids), Set(new.observer.forbids))
    if let seat = new.observer.node, old.node(seat) == nil {
      refuse(
        "the observer's seat would be on node '\(seat)', which is new",
        "apply the file with the node first, then with the seat on it")
    }
    if let seat = old.observer.node, new.observer.node != seat {
      let orderer = past.seat ?? seat
      let goesOn =
        new.node(orderer) == nil ? "" : "; node '\(orderer)' goes on ordering moves and files"
      add(
        .observer,
        "the observer's seat \(new.observer.node.map { "moves from node '\(seat)' to '\($0)'" } ?? "on node '\(seat)' ends")",
        cost:
          "\(new.observer.node == nil ? "nobody observes any more" : "it watches anew")\(goesOn)"
      )
    }
  }

  private mutating func compareLinks(_ word: String, _ old: Set<DirectLink>, _ new: Set<DirectLink>) {
    for link in new.subtracting(old).sorted() { add(.observer, "the link \(link) is \(word)") }
    for link in old.subtracting(new).sorted() { add(.observer, "the link \(link) is not \(word) any more") }
  }
}

extension TopologyWriter {
  /// The settings of a topology that are about all of it, and not the default, by section and key.
  static func settings(of topology: Topology) -> [String: String] {
    var bare = topology
    bare.removeLinks()
    guard let text = try? text(bare) else { return [:] }
    var settings: [String: String] = [:]
    var section = ""
    for line in text.split(separator: "\n") {
      guard line.hasPrefix("  ") else {
        section = String(line.prefix { $0 != ":" })
        if section == "nodes" { break }
        continue
      }
      guard !["oversight", "security"].contains(section) || line.hasPrefix("  plain"),
        let colon = line.firstIndex(of: ":")
      else { continue }
      let key = line[..<colon].drop { $0 == " " }
      settings["\(section): \(key)"] = line[line.index(after: colon)...].drop { $0 == " " }.description
    }
    return settings
  }
}
