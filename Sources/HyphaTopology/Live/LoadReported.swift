public import HyphaCore

/// What a node's supervisors relay, and what waits on the node, since its last report, for the observer.
///
/// Stated where it says something else than the one before: once a second while events pass, and seldom while only the same
/// things wait, since waits are told in powers of two. Readers take at most ``countMax`` of each list, and clamp numbers.
public struct LoadReported: TopologyEvent, Hashable {
  /// What one supervisor has relayed.
  public struct Relay: Hashable, Sendable, Codable {
    public var agent: AgentID
    /// How many events it has passed on for others, on all channels.
    public var events: Int
    /// How many events wait in its own inbox.
    public var inbox: Int
    /// Persistent events that it has passed on, by the node that they came from.
    public var sources: [Ages]

    public init(agent: AgentID, events: Int, inbox: Int, sources: [Ages]) {
      (self.agent, self.events, self.inbox, self.sources) = (agent, events, inbox, sources)
    }
  }

  /// Persistent events between two nodes, and how old they were on average.
  public struct Ages: Hashable, Sendable, Codable {
    public var node: NodeID
    public var events: Int
    /// From being stated, in microseconds.
    public var microseconds: Int

    public init(node: NodeID, events: Int, microseconds: Int) {
      (self.node, self.events, self.microseconds) = (node, events, microseconds)
    }
  }

  /// Something that waits.
  public struct Wait: Hashable, Sendable, Codable {
    /// Who is waited for.
    public var agent: AgentID
    /// The alert that waits for an answer; nil for the oldest event in the agent's inbox.
    public var alert: EventID?
    /// What waits.
    public var type: EventTypeName
    /// For how long at least: a power of two.
    public var seconds: Int
    /// How long such have waited on average since the node started, in microseconds; 0 where there were none.
    public var usualMicroseconds: Int
    /// What sort of decision it is, where it is one.
    public var decisionKind: String?

    public init(
      agent: AgentID, alert: EventID?, type: EventTypeName, seconds: Int, usualMicroseconds: Int,
      decisionKind: String? = nil
    ) {
      (self.agent, self.alert, self.type) = (agent, alert, type)
      (self.seconds, self.usualMicroseconds) = (seconds, usualMicroseconds)
      self.decisionKind = decisionKind
    }
  }

  /// The node.
  public var node: NodeID
  /// How long the time was that it is about.
  public var milliseconds: Int
  /// The supervisors that have relayed something or have something before them, the busiest first.
  public var relays: [Relay]
  /// Persistent events that have left the node, by the next node.
  public var sent: [Ages]
  /// What has waited for two seconds or longer, the longest first.
  public var waits: [Wait]

  /// The most entries of each list.
  public static let countMax = 256

  public init(node: NodeID, milliseconds: Int, relays: [Relay], sent: [Ages], waits: [Wait]) {
    (self.node, self.milliseconds) = (node, milliseconds)
    (self.relays, self.sent, self.waits) = (relays, sent, waits)
  }
}

/// Events and the sum of their ages, counted since a node started.
public struct AgeSum: Sendable, Hashable {
  public var events: UInt64 = 0
  public var microseconds: UInt64 = 0

  public init() {}

  /// Adds events of about the same age.
  public mutating func add(_ events: Int, age microseconds: UInt64) {
    self.events &+= UInt64(events)
    self.microseconds &+= UInt64(events) &* microseconds
  }

  /// Adds what another one has.
  public mutating func add(_ other: AgeSum) {
    events &+= other.events
    microseconds &+= other.microseconds
  }

  /// The mean age in microseconds; 0 where there are none.
  public var mean: UInt64 { events == 0 ? 0 : microseconds / events }

  /// What came since `earlier`.
  func since(_ earlier: AgeSum?) -> AgeSum {
    var sum = self
    sum.events &-= earlier?.events ?? 0
    sum.microseconds &-= earlier?.microseconds ?? 0
    return sum
  }
}

/// Makes a node's reports out of what it has counted since it started. Pure.
public struct LoadWatch: Sendable {
  /// What a node has counted since it started, and what waits on it now.
  public struct Figures: Sendable {
    /// Events passed on, by supervisor.
    public var relayed: [AgentID: UInt64] = [:]
    /// Persistent ones, by supervisor and the node that they came from.
    public var sources: [AgentID: [NodeID: AgeSum]] = [:]
    /// Persistent events that have left, by the next node.
    public var sent: [NodeID: AgeSum] = [:]
    /// What waits in the inboxes of supervisors; those without anything may be left out.
    public var inboxes: [AgentID: Int] = [:]
    /// What waits, the longest first.
    public var waits: [LoadReported.Wait] = []

    public init() {}
  }

  private var last = Figures()
  private var lastAt: Timestamp?
  private var lastReport: LoadReported?
  /// How many reports in a row had nothing that has passed.
  private var quietCount = 0

  /// A watch of a node that has counted nothing.
  public init() {}

  /// The report that is due; nil where it would say what the last one said.
  public mutating func report(_ figures: Figures, by node: NodeID, at now: Timestamp) -> LoadReported? {
    let span = lastAt.map { Int(clamping: now.since($0).wholeMicroseconds / 1000) } ?? 0
    var relays: [LoadReported.Relay] = []
    for agent in Set(figures.relayed.keys).union(figures.inboxes.keys) {
      let events = (figures.relayed[agent] ?? 0) &- (last.relayed[agent] ?? 0)
      let inbox = figures.inboxes[agent] ?? 0
      guard events > 0 || inbox > 0 else { continue }
      relays.append(
        .init(
          agent: agent, events: Int(clamping: events), inbox: inbox,
          sources: Self.ages(figures.sources[agent] ?? [:], last.sources[agent] ?? [:])))
    }
    relays.sort { ($1.events, $0.agent) < ($0.events, $1.agent) }
    let report = LoadReported(
      node: node, milliseconds: span, relays: Array(relays.prefix(LoadReported.countMax)),
      sent: Self.ages(figures.sent, last.sent), waits: Array(figures.waits.prefix(LoadReported.countMax)))
    (last, lastAt) = (figures, now)
    let isQuiet = report.sent.isEmpty && report.relays.allSatisfy { $0.events == 0 }
    quietCount = isQuiet ? quietCount + 1 : 0
    // The first one says that what a run before this one has said is over; and silence is told as often as it takes for what
    // was found to end.
    if let lastReport, quietCount > Findings.underCountMin, !Self.isNews(report, after: lastReport) {
      return nil
    }
    lastReport = report
    return report
  }

  private static func isNews(_ report: LoadReported, after last: LoadReported) -> Bool {
    func waits(_ report: LoadReported) -> [LoadReported.Wait] {
      // What is usual changes with whatever else is answered.
      report.waits.map { wait in
        var wait = wait
        wait.usualMicroseconds = 0
        return wait
      }
    }
    return waits(report) != waits(last) || report.relays.map(\.inbox) != last.relays.map(\.inbox)
  }

  private static func ages(_ sums: [NodeID: AgeSum], _ last: [NodeID: AgeSum]) -> [LoadReported.Ages] {
    let ages = sums.compactMap { node, sum -> LoadReported.Ages? in
      let new = sum.since(last[node])
      guard new.events > 0 else { return nil }
      return .init(
        node: node, events: Int(clamping: new.events), microseconds: Int(clamping: new.mean))
    }
    return Array(ages.sorted { ($1.events, $0.node) < ($0.events, $1.node) }.prefix(LoadReported.countMax))
  }
}
