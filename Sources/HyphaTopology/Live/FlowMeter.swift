public import HyphaCore
import Synchronization

/// Counts how many events the lanes of a node's agents carry, for reports to the observer: one addition for each run of
/// events, whatever they are for. Any thread.
///
/// Memory: a counter for each lane that its agents have used. A report has at most ``pairCountMax`` pairs; what has no room
/// stays counted and is in a later one, since each begins where the last one ended.
public final class FlowMeter: Sendable {
  /// The events of one lane.
  public final class Counter: Sendable {
    fileprivate let lane: Lane
    fileprivate let audience: [AgentID]
    fileprivate let isBroadcast: Bool
    fileprivate let count = Atomic<Int>(0)

    fileprivate init(_ lane: Lane, _ audience: [AgentID]) {
      self.lane = lane
      isBroadcast = audience.count > FlowMeter.audienceMax
      self.audience = isBroadcast ? [] : audience
    }

    /// Takes note of so many events.
    public func add(_ events: Int) { count.wrappingAdd(events, ordering: .relaxed) }
  }

  private struct State {
    var counters: [Lane: Counter] = [:]
    /// All of them, in the order in which they came.
    var order: [Counter] = []
    /// Where the next report begins.
    var next = 0
  }

  /// The most pairs of a report.
  public static let pairCountMax = 1024
  /// The most events of one pair in a report.
  public static let pairEventCountMax = 8192
  /// The most agents that a lane may be for and still count for each of them: beyond that no pair is worth a link.
  public static let audienceMax = 8

  private let state = Mutex(State())

  /// A meter that has counted nothing.
  public init() {}

  /// The counter of a lane. `audience` is asked for the first time: whom the lane is for.
  public func counter(of lane: Lane, audience: () -> [AgentID]) -> Counter {
    state.withLock { state in
      if let known = state.counters[lane] { return known }
      let counter = Counter(lane, audience())
      state.counters[lane] = counter
      state.order.append(counter)
      return counter
    }
  }

  /// The report on what was counted since it was last in one; nil where nothing was.
  public func report(by node: NodeID) -> FlowReported? {
    let counters = state.withLock { state -> [Counter] in
      guard !state.order.isEmpty else { return [] }
      return Array(state.order[state.next...] + state.order[..<state.next])
    }
    var report = Report()
    var lookedAt = 0
    for counter in counters {
      guard report.flows.count / 3 + counter.audience.count <= Self.pairCountMax else { break }
      lookedAt += 1
      let count = min(counter.count.load(ordering: .relaxed), Self.pairEventCountMax)
      guard count > 0 else { continue }
      counter.count.wrappingSubtract(count, ordering: .relaxed)
      report.add(counter, count)
    }
    state.withLock { state in
      if !state.order.isEmpty { state.next = (state.next + lookedAt) % state.order.count }
    }
    guard !report.flows.isEmpty || report.broadcastCount > 0 else { return nil }
    return FlowReported(
      node: node, agents: report.agents, flows: report.flows, broadcastCount: report.broadcastCount)
  }

  private struct Report {
    var agents: [AgentID] = []
    var flows: [Int] = []
    var broadcastCount: UInt64 = 0
    private var places: [AgentID: Int] = [:]

    mutating func add(_ counter: Counter, _ count: Int) {
      if counter.isBroadcast { broadcastCount += UInt64(count) }
      for agent in counter.audience { flows += [place(counter.lane.agent), place(agent), count] }
    }

    private mutating func place(_ agent: AgentID) -> Int {
      if let known = places[agent] { return known }
      places[agent] = agents.count
      agents.append(agent)
      return agents.count - 1
    }
  }
}
