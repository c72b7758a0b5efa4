import HyphaCore

/// Made traffic in a hierarchy of five levels, for measuring at any size: four in five events go to one of a few dozen
/// others that stay the same, the rest to anybody. The same seed gives the same traffic.
public struct LevelledTraffic: Sendable {
  /// The hierarchy: each supervisor has as many reports as the next one, and ``agentCount`` agents are leaves.
  public let tree: AgentTree
  public let agentCount: Int
  private let firstAgent: Int32
  private var generator: SeededGenerator

  /// Traffic among `agentCount` agents; 2 to 15,000,000.
  ///
  /// - Throws: `invalidTopology` for another number of agents.
  public init(agentCount: Int, seed: UInt64 = 1) throws {
    guard (2...15_000_000).contains(agentCount) else {
      throw HyphaError(.invalidTopology, "traffic among \(agentCount) agents", remedy: "use 2 to 15000000")
    }
    var width = 1
    while width * width * width * width < agentCount { width += 1 }
    var parents: [Int32] = [-1]
    var layer: Range<Int32> = 0..<1
    for level in 1...4 {
      let first = Int32(parents.count)
      // Only as many supervisors as the agents below them need.
      let below = (level..<4).reduce(1) { count, _ in count * width }
      let wanted = (agentCount + below - 1) / below
      for number in 0..<wanted { parents.append(layer.lowerBound + Int32(number / width)) }
      layer = first..<Int32(parents.count)
    }
    tree = try AgentTree(parents: parents)
    self.agentCount = agentCount
    firstAgent = layer.lowerBound
    generator = SeededGenerator(seed: seed)
  }

  /// The next event.
  public mutating func next() -> Traffic.Event {
    let count = UInt64(agentCount)
    let draw = generator.next()
    let from = (draw >> 32) % count
    let step = 1 + (draw & 7) * (draw >> 3 & 7) * 37
    let to = draw >> 8 & 0xFF < 205 ? (from + step) % count : generator.next() % count
    return Traffic.Event(from: firstAgent + Int32(from), to: firstAgent + Int32(to))
  }
}
