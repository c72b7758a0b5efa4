public import HyphaCore
public import HyphaLog
import HyphaTopology
import Synchronization

/// Why an agent gets what it gets, or nothing: `hypha agents explain`.
public struct AgentReport: Codable, Sendable {
  /// One thing that is known of the agent.
  public struct Finding: Codable, Sendable, Hashable {
    /// What it is about: `move`, `work`, `subscription`, `shared`, `lane`, `mailbox`, `retries`, `timers`, `dead letters`, `handled`.
    public let topic: String
    /// What is so, in words.
    public let text: String
    /// Whether it keeps events from the agent, or the agent from handling them.
    public let isObstacle: Bool
  }

  /// The agent.
  public let agent: AgentID
  /// Its node.
  public let node: NodeID
  /// Whether the node was asked; where it does not run, its log alone was read.
  public let isRunning: Bool
  /// What is known, what matters most first.
  public private(set) var findings: [Finding] = []

  init(agent: AgentID, node: NodeID, isRunning: Bool) {
    self.agent = agent
    self.node = node
    self.isRunning = isRunning
  }

  mutating func find(_ topic: String, _ text: String, isObstacle: Bool = false) {
    findings.append(Finding(topic: topic, text: text, isObstacle: isObstacle))
  }

  /// What a log alone says of an agent of its node; nil where the agent has never been activated there.
  public init?(of agent: AgentID, in log: any LogReader, now: Timestamp) throws {
    let lane = Lane(agent: agent, channel: .persistent, target: .type(AgentActivated.eventType))
    let isActivated = try log.laneHead(lane).flatMap { try log.entry(at: $0.position)?.source } == .stated
    let isToCome = try MoveReading(log).moves.newest(of: agent)?.order.to == log.identity.node
    guard isActivated || isToCome else { return nil }
    self.init(agent: agent, node: log.identity.node, isRunning: false)
    find("work", "node '\(log.identity.node)' does not run, so the agent gets nothing", isObstacle: true)
    try readLog(log, now: now)
  }

  /// Adds what the agent has before it, and how far it has come.
  mutating func readLog(_ log: any LogReader, now: Timestamp) throws {
    try readMoves(log, now: now)
    let agenda = try AgentSnapshot.read(of: agent, in: log)?.agenda ?? Agenda()
    let letters = try DeadLetter.open(in: log, of: agent)
    if let next = agenda.retries.next {
      let more =
        agenda.isFull ? "; so many that it takes no further persistent events until some are done" : ""
      find(
        "retries",
        "\(Self.count(agenda.retries.count, "event")) to try again, the next \(Self.when(next, now))\(more)",
        isObstacle: agenda.isFull)
    }
    if !letters.isEmpty {
      let names = letters.prefix(3).map { "\($0.failure.type) \($0.failure.event)" }.joined(separator: ", ")
      find(
        "dead letters",
        "\(Self.count(letters.count, "event")) put aside: \(names)\(letters.count > 3 ? ", …" : "")",
        isObstacle: true)
    }
    if let next = agenda.timers.next {
      find("timers", "\(Self.count(agenda.timers.count, "timer")) pending, the next \(Self.when(next, now))")
    }
    for channel in Channel.allCases where channel.isLogged {
      guard let cursor = try log.cursor(CursorKey(agent: agent, channel: channel)) else { continue }
      find(
        "handled",
        "\(Self.count(Int(clamping: cursor.handledCount), "\(channel) event")), up to position \(cursor.position) of "
          + "\(try log.head())")
    }
  }

  /// Adds whether the agent is on its way from one node to another, and where it comes from.
  private mutating func readMoves(_ log: any LogReader, now: Timestamp) throws {
    guard let move = try MoveReading(log).moves.newest(of: agent) else { return }
    let (from, to) = (move.order.from, move.order.to)
    let number =
      "move \(move.order.move), ordered \(now.since(move.orderedAt).wholeMicroseconds / 1_000_000) s ago"
    switch move.stage {
    case .arrived:
      let what = to == node ? "moved here from '\(from)'" : "moved from '\(from)' to '\(to)'"
      find("move", "\(what) (\(number))", isObstacle: to != node)
    case .ordered:
      find(
        "move",
        "on its way from '\(from)' to '\(to)' (\(number)): '\(from)' has not "
          + "handed it over, and must run and be reached for that; meanwhile what is for it waits",
        isObstacle: true)
    case .handedOver:
      find(
        "move",
        "on its way from '\(from)' to '\(to)' (\(number)): handed over; "
          + "'\(to)' takes what it has stated and was given from '\(from)', and begins it then",
        isObstacle: true)
    }
  }

  private static func when(_ time: Timestamp, _ now: Timestamp) -> String {
    let wait = time.since(now)
    guard wait > .zero else { return "now" }
    return wait < .seconds(10)
      ? "in \(wait.wholeMicroseconds / 1000) ms" : "in \(wait.wholeMicroseconds / 1_000_000) s"
  }

  static func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
}

extension Node {
  /// Why an agent of this node gets what it gets, or nothing. On any thread.
  ///
  /// - Throws: ``HyphaError/Code/usage`` where the agent is not on this node; what reading the log throws.
  public func explain(_ agent: AgentID) throws -> AgentReport {
    guard let runner = state.withLock({ $0.runners[agent] }) else {
      if routes.isArriving(agent) {
        var report = AgentReport(agent: agent, node: routes.node, isRunning: true)
        try report.readLog(log, now: now())
        explainMissing(agent, &report)
        return report
      }
      throw HyphaError(
        .usage, "node '\(routes.node)' has no agent '\(agent)'",
        remedy: "ask the node that the topology places it on")
    }
    var report = AgentReport(agent: agent, node: routes.node, isRunning: true)
    explainWork(of: runner, &report)
    explainSubscriptions(of: runner.spec, &report)
    explainShared(of: runner.spec, &report)
    explainLanes(to: agent, &report)
    for (text, isObstacle) in runner.mailbox.findings { report.find("mailbox", text, isObstacle: isObstacle) }
    try report.readLog(log, now: now())
    return report
  }

  /// What has still to come of an agent that arrives.
  private func explainMissing(_ agent: AgentID, _ report: inout AgentReport) {
    let count = desks.moves.state.withLock { $0.missing[agent]?.count ?? 0 }
    guard count > 0 else { return }
    report.find(
      "move", "\(AgentReport.count(count, "lane")) of what it had have still to come", isObstacle: true)
  }

  private func explainWork(of runner: any AgentRunner, _ report: inout AgentReport) {
    if let reason = runner.snapshotMetrics().brokenBecause {
      return report.find(
        "work", "the agent \(reason); it stands still until its node starts again", isObstacle: true)
    }
    guard let call = runner.runningCall else { return report.find("work", "the agent is idle") }
    let what = call.input.map { "\($0.type) \($0.id) of '\($0.agent)'" } ?? "its start or wake"
    let span = now().since(call.began)
    let awaited = runner.awaited.map { "'\($0)'" }.joined(separator: ", ")
    let waits = awaited.isEmpty ? "" : ", and waits for an answer of \(awaited)"
    report.find(
      "work", "the agent has been at \(what) for \(span.wholeMicroseconds / 1000) ms\(waits)",
      isObstacle: span >= topology.supervision(of: runner.spec.id).handlerDeadline)
  }

  private func explainSubscriptions(of spec: AgentSpec, _ report: inout AgentReport) {
    let rules = topology.oversight.filter { $0.by == spec.id }
    for rule in rules {
      report.find("oversight", "\(rule.type) of those below it, with the mode '\(rule.mode.rawValue)'")
    }
    if spec.subscribes.isEmpty, !rules.contains(where: { [.in, .parallel].contains($0.mode) }) {
      report.find("subscription", "none: the agent gets only what is addressed to it")
      let handled = configuration.kinds.declaration(spec.kind)?.handles ?? []
      for type in handled.sorted() {
        let publishers = publishers(of: type, beside: spec)
        guard !publishers.isEmpty else { continue }
        report.find(
          "subscription",
          "\(type), which it handles and \(Self.names(publishers)) may publish, comes only where it is addressed to it: "
            + "it is not under its 'subscribes' in the topology file")
      }
    }
    for subscription in spec.subscribes {
      let publishers = publishers(of: subscription.type, beside: spec)
      let subjects = subscription.subjects == .everything ? "" : " about \(subscription.subjects)"
      if MembershipEvents.all.contains(subscription.type) {
        report.find("subscription", "\(subscription.type)\(subjects), which this node states of others")
        continue
      }
      guard !publishers.isEmpty else {
        report.find(
          "subscription", "\(subscription.type)\(subjects): no other agent publishes it", isObstacle: true)
        continue
      }
      let heard = publishers.filter {
        routes.audience.agents(for: subscription.type, by: $0.id).contains(spec.id)
      }
      if !heard.isEmpty {
        report.find("subscription", "\(subscription.type)\(subjects), which \(Self.names(heard)) may publish")
      }
      let ended = publishers.filter { !heard.contains($0) }
      if !ended.isEmpty {
        let overseers = Set(ended.compactMap { routes.audience.overseer(of: subscription.type, by: $0.id) })
        report.find(
          "subscription",
          "\(subscription.type)\(subjects) of \(Self.names(ended)) ends at "
            + overseers.sorted().map { "'\($0)'" }.joined(separator: ", ") + ", who oversees it",
          isObstacle: heard.isEmpty)
      }
    }
  }

  /// What there is of the values that its kind reads.
  private func explainShared(of spec: AgentSpec, _ report: inout AgentReport) {
    for type in (configuration.kinds.declaration(spec.kind)?.reads ?? []).sorted() {
      guard spec.subscribes.contains(where: { $0.type == type }) else {
        report.find(
          "shared", "\(type), which its kind reads: it is not under its 'subscribes' in the topology file",
          isObstacle: true)
        continue
      }
      let (count, newest) = desks.shared.summary(of: type) {
        $0.agent != spec.id
          && routes.wants(spec.id, by: $0.agent, addressee: nil, type: $0.type, subject: $0.subject)
      }
      let age = newest.map {
        ", the newest stated \(max(.zero, now().since($0)).wholeMicroseconds / 1_000_000) s ago"
      }
      report.find("shared", "\(type): \(AgentReport.count(count, "value"))\(age ?? "")")
    }
  }

  /// The agents that may publish a type, but for one.
  private func publishers(of type: EventTypeName, beside spec: AgentSpec) -> [AgentSpec] {
    topology.agents.filter { other in
      let types = configuration.kinds.declaration(other.kind)?.published(by: other) ?? []
      return other.id != spec.id && types.contains(type)
    }
  }

  private static func names(_ agents: [AgentSpec]) -> String {
    agents.prefix(4).map(\.id.text).joined(separator: ", ") + (agents.count > 4 ? ", …" : "")
  }

  private func explainLanes(to agent: AgentID, _ report: inout AgentReport) {
    for channel in Channel.allCases where channel.isRepaired {
      let behind = couriers[channel]?.courier.withLock { $0.behindLanes } ?? []
      for (lane, head, announced) in behind where routes.plan(of: lane).local.contains(agent) {
        let origin = routes.node(of: lane.agent).map { " on node '\($0)'" } ?? ""
        report.find(
          "lane",
          "\(channel) events of '\(lane.agent)'\(origin) wait behind a gap: this node has them up to \(head), there are "
            + "more up to \(announced)", isObstacle: true)
      }
    }
    let open = state.withLock { $0.openChannels }
    let closed = Channel.allCases.filter { !open.contains($0) }
    if !closed.isEmpty {
      report.find(
        "links",
        "not all neighbours take this node's \(closed.map(\.description).joined(separator: ", ")) events yet")
    }
  }
}
