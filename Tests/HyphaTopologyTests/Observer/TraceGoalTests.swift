import HyphaFormats
import HyphaTopology
import Testing

/// What the observer reaches on recordings of real traffic, by one rule with one set of constants.
@Suite(.enabled(if: Recordings.areThere, Recordings.absence))
struct TraceGoalTests {
  private func row(_ traffic: Traffic, _ kinds: Set<LinkKind> = Set(LinkKind.allCases)) throws
    -> SimulationRow
  {
    var policy = ObserverPolicy()
    policy.kinds = kinds
    let row = try Simulation(traffic, policy: policy).run(.observer)
    #expect(row.readdCount * 10 <= row.addCount, "more than a tenth of the links added had been there")
    #expect(row.overdraftMin >= -500)
    return row
  }

  @Test func `Enron costs at most 0.750 of the plain tree`() throws {
    #expect(try row(Recordings.traffic("enron-igraphdata-edges.derived.tsv.gz")).total <= 0.750)
  }

  @Test(arguments: [(128, 16, 0.427), (1024, 32, 0.477)])
  func `ProjecToR costs at most its goal`(_ size: Int, _ pod: Int, _ goal: Double) throws {
    let traffic = try Recordings.traffic("projector-1_tor_\(size).txt.gz") { Int($0).map { "\($0 / pod)" } }
    #expect(traffic.events.count == 10_000)
    #expect(try row(traffic, [.agents, .supervisors]).total <= goal)
  }

  @Test func `BPIC 2012 costs at most 0.942`() throws {
    let traffic = try Recordings.traffic("bpic2012.xes.gz")
    #expect(traffic.events.count == 51_712)
    #expect(try row(traffic).total <= 0.942)
  }

  @Test func `CollegeMsg costs at most 0.985`() throws {
    let traffic = try Recordings.traffic("CollegeMsg.txt.gz")
    #expect(traffic.events.count == 59_835)
    #expect(try row(traffic).total <= 0.985)
  }

  @Test func `email-Eu costs at most 0.700`() throws {
    let groups = try GroupFile.read(
      path: Recordings.path("email-Eu-core-temporal-departments.derived.tsv"))
    let traffic = try Recordings.traffic("email-Eu-core-temporal.txt.gz") { groups[$0] }
    #expect(traffic.events.count == 332_334 && traffic.tree.count == 986 + 42 + 1)
    let all = try row(traffic)
    #expect(all.treeHops == 938_708 && all.total <= 0.700)
  }

  @Test func `uniform traffic costs at most 1.001`() throws {
    var random = SeededGenerator(seed: 11)
    let grouped = GroupedAgents((0..<986).map { "\($0 % 42)" })
    let events = (0..<100_000).map { _ in
      Traffic.Event(
        from: grouped.firstAgent + Int32.random(in: 0..<986, using: &random),
        to: grouped.firstAgent + Int32.random(in: 0..<986, using: &random))
    }
    let traffic = Traffic(tree: try AgentTree(parents: grouped.parents), events: events)
    #expect(try row(traffic, [.agents]).total <= 1.001)
  }
}
