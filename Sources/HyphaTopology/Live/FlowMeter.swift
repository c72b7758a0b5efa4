public import HyphaCore

/// Counts who sends to whom, in bounded memory and with a constant number of steps for each event, and says when a report
/// is due. A pure machine.
///
/// A report is due when ``pairCountMax`` pairs or ``eventCountMax`` events are counted, or ``interval`` after its first event.
public struct FlowMeter: Sendable {
  /// The most pairs of a report.
  public static let pairCountMax = 1024
  /// The most events of a report.
  public static let eventCountMax = 8192
  /// How long the first event of a report waits for others.
  public static let interval = Duration.seconds(1)
  /// The most agents that an event may be for and still count for each of them.
  public static let audienceMax = 8

  private struct Pair: Hashable {
    var from, to: AgentID
  }

  private var places: [Pair: Int] = [:]
  private var pairs: [Pair] = []
  private var counts: [Int] = []
  private var eventCount = 0
  private var broadcastCount: UInt64 = 0
  private var since: Timestamp?

  /// A meter that has counted nothing.
  public init() {}

  /// Takes an event of `agent` for `audience`, the agent itself not among them. Returns whether a report is due.
  public mutating func count(from agent: AgentID, to audience: [AgentID], now: Timestamp) -> Bool {
    if since == nil { since = now }
    if audience.count > Self.audienceMax {
      broadcastCount += 1
    } else {
      for other in audience { count(Pair(from: agent, to: other)) }
    }
    return pairs.count + Self.audienceMax > Self.pairCountMax
      || eventCount + Self.audienceMax > Self.eventCountMax
  }

  private mutating func count(_ pair: Pair) {
    eventCount += 1
    if let place = places[pair] {
      counts[place] += 1
    } else {
      places[pair] = pairs.count
      pairs.append(pair)
      counts.append(1)
    }
  }

  /// Whether what was counted has waited long enough.
  public func isDue(now: Timestamp) -> Bool { since.map { now.since($0) >= Self.interval } ?? false }

  /// The report on what was counted, which begins anew; nil where nothing was.
  public mutating func report(by node: NodeID) -> FlowReported? {
    guard since != nil else { return nil }
    defer { self = FlowMeter() }
    var agents: [AgentID] = []
    var numbers: [AgentID: Int] = [:]
    func number(_ agent: AgentID) -> Int {
      if let known = numbers[agent] { return known }
      numbers[agent] = agents.count
      agents.append(agent)
      return agents.count - 1
    }
    var flows: [Int] = []
    flows.reserveCapacity(3 * pairs.count)
    for (pair, count) in zip(pairs, counts) { flows += [number(pair.from), number(pair.to), count] }
    return FlowReported(node: node, agents: agents, flows: flows, broadcastCount: broadcastCount)
  }
}
