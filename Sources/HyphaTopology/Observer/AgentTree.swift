import HyphaCore

/// A hierarchy in which agents are numbers, for work that is done at each event.
///
/// Numbers run from 0 to ``count`` − 1. Finding the path between two agents costs as many steps as the path has
/// edges, whatever the number of agents; an agent takes six bytes.
public struct AgentTree: Sendable {
  /// What an agent is to the others, which decides how many links it may have.
  public enum Role: UInt8, Sendable, Codable {
    /// Nobody reports to it.
    case agent
    /// Others report to it, and it reports to somebody.
    case supervisor
    /// It reports to nobody.
    case root
  }

  /// The most agents.
  public static let countMax = 1 << 24
  /// The most levels, the root's included.
  public static let levelCountMax = 64

  /// The one agent that reports to nobody.
  public let root: Int32
  /// Supervisors that everything between their branch and the rest has to pass: no link leads around them.
  public let gates: Set<Int32>
  private let parents: [Int32]
  private let depths: [UInt8]
  private let roles: [Role]

  /// A hierarchy by each agent's supervisor.
  ///
  /// - Parameters:
  ///   - parents: at each agent's place its supervisor's number; −1 at the root alone.
  ///   - gates: supervisors that no link may lead around.
  /// - Throws: `invalidTopology` unless this is one tree within ``countMax`` agents and ``levelCountMax`` levels.
  public init(parents: [Int32], gates: Set<Int32> = []) throws {
    guard !parents.isEmpty, parents.count <= Self.countMax else {
      throw HyphaError(
        .invalidTopology, "a hierarchy of \(parents.count) agents", remedy: "use 1 to \(Self.countMax) agents"
      )
    }
    let roots = parents.indices.filter { parents[$0] < 0 }
    guard roots.count == 1, let root = roots.first else {
      throw HyphaError(
        .invalidTopology, "\(roots.count) agents report to nobody", remedy: "let one agent be the root")
    }
    guard parents.allSatisfy({ $0 < parents.count }) else {
      throw HyphaError(
        .invalidTopology, "an agent reports to a number that no agent has",
        remedy: "use numbers from 0 to \(parents.count - 1)")
    }
    self.root = Int32(root)
    self.parents = parents
    self.gates = gates
    depths = try Self.depths(parents, root: root)
    var roles = [Role](repeating: .agent, count: parents.count)
    for parent in parents where parent >= 0 { roles[Int(parent)] = .supervisor }
    roles[root] = .root
    self.roles = roles
  }

  private static func depths(_ parents: [Int32], root: Int) throws -> [UInt8] {
    var depths = [UInt8](repeating: .max, count: parents.count)
    depths[root] = 0
    var way: [Int] = []
    for start in parents.indices where depths[start] == .max {
      var agent = start
      while depths[agent] == .max, way.count < levelCountMax {
        way.append(agent)
        agent = Int(parents[agent])
      }
      guard depths[agent] != .max, Int(depths[agent]) + way.count < levelCountMax else {
        throw HyphaError(
          .invalidTopology, "agent \(start) has no way to the root of less than \(levelCountMax) levels",
          remedy: "let its supervisors lead to the root in fewer steps")
      }
      while let next = way.popLast() {
        depths[next] = depths[agent] + 1
        agent = next
      }
    }
    return depths
  }

  /// The number of agents.
  public var count: Int { parents.count }
  /// What `agent` is to the others.
  public func role(_ agent: Int32) -> Role { roles[Int(agent)] }
  /// How far below the root `agent` stands; the root is 0.
  public func depth(_ agent: Int32) -> Int { Int(depths[Int(agent)]) }
  /// The supervisor of `agent`, −1 at the root.
  public func supervisor(_ agent: Int32) -> Int32 { parents[Int(agent)] }

  /// Fills `path` with the agents from `first` to `last`, both included, and returns the number of edges; nil,
  /// where there are more than `path` has room for.
  func fill(_ path: inout [Int32], from first: Int32, to last: Int32) -> Int? {
    var (low, high) = (first, last)
    var (front, back) = (0, path.count - 1)
    path[front] = low
    guard first != last else { return 0 }
    path[back] = high
    while low != high {
      if depths[Int(low)] >= depths[Int(high)] {
        low = parents[Int(low)]
        if low == high { break }
        front += 1
        guard front < back else { return nil }
        path[front] = low
      } else {
        high = parents[Int(high)]
        if low == high { break }
        back -= 1
        guard front < back else { return nil }
        path[back] = high
      }
    }
    // The part from the far end moves up to the part from the near one.
    let tailCount = path.count - back
    if back > front + 1 {
      for offset in 0..<tailCount { path[front + 1 + offset] = path[back + offset] }
    }
    return front + tailCount
  }

  /// The number of edges between two agents in the tree.
  public func distance(_ first: Int32, _ last: Int32) -> Int {
    var (low, high, edges) = (first, last, 0)
    while low != high {
      if depths[Int(low)] < depths[Int(high)] { swap(&low, &high) }
      low = parents[Int(low)]
      edges += 1
    }
    return edges
  }
}
