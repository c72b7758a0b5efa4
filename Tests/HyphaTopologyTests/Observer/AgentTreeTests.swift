import HyphaCore
import Testing

@testable import HyphaTopology

@Suite struct AgentTreeTests {
  /// A random tree with numbers in a random order.
  private func randomParents(_ random: inout SeededGenerator, countMax: Int = 40) -> [Int32] {
    let count = Int.random(in: 1...countMax, using: &random)
    let order = (0..<count).shuffled(using: &random)
    let reach = Int.random(in: 1...count, using: &random)
    var parents = [Int32](repeating: -1, count: count)
    for place in 1..<max(1, count) where place < count {
      parents[order[place]] = Int32(order[Int.random(in: max(0, place - reach)..<place, using: &random)])
    }
    return parents
  }

  /// The way up of each, compared from the top.
  private func plainPath(_ parents: [Int32], _ first: Int32, _ last: Int32) -> [Int32] {
    func up(_ agent: Int32) -> [Int32] {
      var way = [agent]
      while let top = way.last, parents[Int(top)] >= 0 { way.append(parents[Int(top)]) }
      return way
    }
    let (one, other) = (up(first), up(last))
    let common = one.first { other.contains($0) } ?? -1
    return Array(one.prefix { $0 != common }) + [common] + other.prefix { $0 != common }.reversed()
  }

  @Test func `the path between two agents is the one by way of their lowest common supervisor`() throws {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed)
      let parents = randomParents(&random)
      let tree = try AgentTree(parents: parents)
      for _ in 0..<40 {
        let first = Int32.random(in: 0..<Int32(parents.count), using: &random)
        let last = Int32.random(in: 0..<Int32(parents.count), using: &random)
        let wanted = plainPath(parents, first, last)
        #expect(tree.distance(first, last) == wanted.count - 1, "seed \(seed)")
        var path = [Int32](repeating: -1, count: LinkedPath.edgeCountMax + 1)
        let count = tree.fill(&path, from: first, to: last)
        if wanted.count > path.count {
          #expect(count == nil, "seed \(seed)")
        } else {
          #expect(count == wanted.count - 1, "seed \(seed)")
          #expect(Array(path.prefix(wanted.count)) == wanted, "seed \(seed)")
        }
      }
    }
  }

  @Test func `roles and depths follow from who reports to whom`() throws {
    let tree = try AgentTree(parents: [-1, 0, 1, 1, 0])
    #expect((0..<5).map { tree.role($0) } == [.root, .supervisor, .agent, .agent, .agent])
    #expect((0..<5).map { tree.depth($0) } == [0, 1, 2, 2, 1])
    #expect(tree.supervisor(3) == 1 && tree.supervisor(0) == -1 && tree.root == 0)
  }

  @Test(
    arguments: [
      ([], "invalidTopology: a hierarchy of 0 agents; use 1 to 16777216 agents"),
      ([0], "invalidTopology: 0 agents report to nobody; let one agent be the root"),
      ([-1, -1], "invalidTopology: 2 agents report to nobody; let one agent be the root"),
      (
        [-1, 2], "invalidTopology: an agent reports to a number that no agent has; use numbers from 0 to 1"
      ),
      (
        [-1, 2, 1],
        "invalidTopology: agent 1 has no way to the root of less than 64 levels; let its supervisors lead to the "
          + "root in fewer steps"
      ),
    ] as [([Int32], String)])
  func `what is no tree is refused`(_ parents: [Int32], _ message: String) {
    #expect { try AgentTree(parents: parents) } throws: { "\($0)" == message }
  }

  @Test func `a chain of 64 levels passes and a longer one does not`() throws {
    #expect(try AgentTree(parents: (0..<64).map { Int32($0) - 1 }).depth(63) == 63)
    #expect(throws: HyphaError.self) { try AgentTree(parents: (0..<65).map { Int32($0) - 1 }) }
  }

  @Test func `the cost of a path with links and the gain of each are those of a search`() throws {
    for seed in seeds(300) {
      var random = SeededGenerator(seed: seed)
      let parents = randomParents(&random)
      let tree = try AgentTree(parents: parents)
      var path = LinkedPath()
      let first = Int32.random(in: 0..<Int32(parents.count), using: &random)
      let last = Int32.random(in: 0..<Int32(parents.count), using: &random)
      guard path.take(tree, from: first, to: last, passing: []), path.edgeCount >= 2 else { continue }
      var links: [[Int]] = []
      for from in 0..<path.edgeCount - 1 {
        for to in from + 2..<path.edgeCount + 1 where random.chance(20) {
          path.add(from, to)
          links.append([from, to])
        }
      }
      path.measure()
      let cost = search(path.edgeCount, links)
      #expect(path.cost == cost, "seed \(seed)")
      for from in 0..<path.edgeCount - 1 {
        for to in from + 2..<path.edgeCount + 1 {
          let isThere = links.contains([from, to])
          let other = isThere ? links.filter { $0 != [from, to] } : links + [[from, to]]
          let gain = isThere ? search(path.edgeCount, other) - cost : cost - search(path.edgeCount, other)
          #expect(path.gain(of: from, to) == gain, "seed \(seed): \(from) to \(to)")
        }
      }
      var relayCount = 0
      path.forEachRelay { _ in relayCount += 1 }
      #expect(relayCount == cost - 1, "seed \(seed)")
    }
  }

  /// The fewest edges from 0 to `end`, forward only.
  private func search(_ end: Int, _ links: [[Int]]) -> Int {
    var cost = Array(0...end)
    for place in 0..<end {
      cost[place + 1] = min(cost[place + 1], cost[place] + 1)
      for link in links where link[0] == place { cost[link[1]] = min(cost[link[1]], cost[place] + 1) }
    }
    return cost[end]
  }
}
