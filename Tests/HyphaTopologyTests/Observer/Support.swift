import Foundation
import HyphaFormats
import Testing

@testable import HyphaTopology

/// A tree of `levels` levels below each other, in which each supervisor has `width` reports.
func tree(levels: Int, width: Int, gates: Set<Int32> = []) throws -> AgentTree {
  var parents: [Int32] = [-1]
  var layer: [Int32] = [0]
  for _ in 1..<levels {
    var next: [Int32] = []
    for supervisor in layer {
      for _ in 0..<width {
        next.append(Int32(parents.count))
        parents.append(supervisor)
      }
    }
    layer = next
  }
  return try AgentTree(parents: parents, gates: gates)
}

/// Traffic of one of several shapes, among all agents of a tree, supervisors included.
struct TrafficGenerator {
  enum Shape: CaseIterable { case uniform, skewed, bursts, drifting, star }

  var random: SeededGenerator
  let shape: Shape
  let count: Int32
  private var current: Traffic.Event
  private var shift: Int32 = 0

  init(seed: UInt64, _ shape: Shape, agentCount: Int) {
    random = SeededGenerator(seed: seed)
    self.shape = shape
    count = Int32(agentCount)
    current = Traffic.Event(from: 0, to: 0)
  }

  private mutating func agent() -> Int32 { Int32.random(in: 0..<count, using: &random) }

  private mutating func skewed() -> Int32 {
    let (one, other) = (agent(), agent())
    return min(one, other, agent())
  }

  mutating func next() -> Traffic.Event {
    switch shape {
    case .uniform: return Traffic.Event(from: agent(), to: agent())
    case .skewed: return Traffic.Event(from: count - 1 - skewed(), to: count - 1 - skewed())
    case .bursts:
      if random.chance(10) { current = Traffic.Event(from: agent(), to: agent()) }
      return random.chance(50) ? current : Traffic.Event(from: current.to, to: current.from)
    case .drifting:
      if random.chance(1) { shift = (shift + 1) % count }
      return Traffic.Event(from: (skewed() + shift) % count, to: (skewed() + shift) % count)
    case .star: return Traffic.Event(from: agent(), to: count - 1)
    }
  }
}

/// Follows an observer and checks, after each event, all that it promises.
struct Witness {
  private(set) var observer: Observer
  private(set) var treeHops: Int64 = 0
  private(set) var cost: Int64 = 0
  private(set) var changeCount = 0
  private(set) var decisions: [RewireDecision] = []
  private var links: Set<AgentPair> = []

  init(_ observer: Observer) {
    self.observer = observer
    links = Set(observer.links)
  }

  @discardableResult
  mutating func observe(_ event: Traffic.Event, passing: [Int32] = []) -> RewireDecision? {
    let decision = observer.observe(from: event.from, to: event.to, passing: passing)
    treeHops += Int64(observer.tree.distance(event.from, event.to))
    cost += Int64(observer.lastCost)
    #expect(observer.lastTreeCost == observer.tree.distance(event.from, event.to))
    #expect(observer.lastCost <= observer.lastTreeCost)
    if let decision, !decision.isSuggestion { check(decision) }
    #expect(observer.itemCount <= observer.policy.memory)
    #expect(
      cost <= treeHops + Int64(observer.policy.overdraft * observer.policy.charge),
      "dearer than the plain tree and the overdraft after \(observer.eventCount) events")
    return decision
  }

  private mutating func check(_ decision: RewireDecision) {
    decisions.append(decision)
    changeCount += decision.changeCount
    cost += Int64(decision.changeCount * observer.policy.charge)
    #expect(decision.event == observer.eventCount && decision.policyVersion == observer.policy.version)
    #expect(
      decision.ledgerBefore - decision.ledgerAfter == Int64(decision.changeCount * observer.policy.charge))
    for link in decision.retired { #expect(links.remove(link.pair) != nil, "a link went that was not there") }
    guard let promoted = decision.promoted else { return }
    #expect(links.insert(promoted.pair).inserted, "a link came that was there")
    #expect(promoted.score >= decision.threshold && decision.credit >= decision.threshold)
    #expect(observer.policy.kinds.contains(promoted.kind))
    for agent in [promoted.pair.low, promoted.pair.high] {
      let degree = links.count { $0.low == agent || $0.high == agent }
      #expect(
        degree == observer.degree(agent) && degree <= observer.policy.linksMax(observer.tree.role(agent)))
    }
    #expect(links.sorted() == observer.links)
  }
}

/// What the files of a released package do not have: recordings of real traffic, beside the package.
enum Recordings {
  /// `../shared/data` from the package root.
  static let directory = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "../shared/data").standardizedFileURL

  static let areThere = FileManager.default.fileExists(atPath: path("CollegeMsg.txt.gz"))
  static let absence: Comment = "skipped: no recordings in ../shared/data beside the package"

  static func path(_ name: String) -> String { directory.appending(path: name).path }

  /// The traffic of a file, in groups if there are any.
  static func traffic(_ name: String, group: (String) -> String? = { _ in nil }) throws -> Traffic {
    let recording = try RecordedTraffic.read(path: path(name))
    let grouped = GroupedAgents(recording.names.map(group))
    return Traffic(
      tree: try AgentTree(parents: grouped.parents),
      events: recording.events.map {
        .init(from: $0.from + grouped.firstAgent, to: $0.to + grouped.firstAgent)
      })
  }
}
