import Glibc
import HyphaCore
import HyphaOperator
import HyphaTopology

/// `hypha bench observer`: what the observer's work for an event costs as agents grow.
struct BenchObserverCommand: Command {
  static let configuration = CommandConfiguration(
    name: "observer", abstract: "Measure the observer's work for an event, from 1,000 to 1,000,000 agents.",
    discussion: """
      Made traffic in a hierarchy of five levels, where an event has up to 28 possible links. The cost includes that \
      of making the event. It is of this process's time, not of the clock on the wall. The observer's memory is that \
      of its policy's items, and some bytes an agent.
      """,
    examples: ["hypha bench observer --events 25000000", "hypha bench observer --json"])

  @Option(help: "Events for each number of agents.", valueName: "count") var events: Int = 1_000_000
  @Flag(help: "Print JSON lines.") var json = false

  func validate() throws {
    guard (1000...1_000_000_000).contains(events) else {
      throw HyphaError(.usage, "--events is \(events)", remedy: "use 1000 to 1000000000")
    }
  }

  func run() async throws {
    var table = Table([
      .init("agents"), .init("events"), .init("an event", key: "eventSeconds"), .init("hops"), .init("links"),
      .init("items"),
    ])
    try await LiveRegion.run { region in
      for agentCount in [1_000, 10_000, 100_000, 1_000_000] {
        try region.draw(["\(Human.count(agentCount)) agents: \(Human.count(events)) events"])
        table.add(try measure(agentCount))
      }
      try region.draw([])
    }
    try table.write(as: json ? .jsonLines : .table)
  }

  private func measure(_ agentCount: Int) throws -> [Table.Cell] {
    var traffic = try LevelledTraffic(agentCount: agentCount)
    var observer = try Observer(traffic.tree)
    var (hops, treeHops): (Int64, Int64) = (0, 0)
    let start = clock()
    for _ in 0..<events {
      let event = traffic.next()
      observer.observe(from: event.from, to: event.to)
      hops += Int64(observer.lastCost)
      treeHops += Int64(observer.lastTreeCost)
    }
    let seconds = Double(clock() - start) / Double(CLOCKS_PER_SEC)
    return [
      .integer(agentCount), .integer(events), .duration(.seconds(seconds / Double(events))),
      .double(treeHops == 0 ? 1 : Double(hops) / Double(treeHops), digits: 3), .integer(observer.linkCount),
      .integer(observer.itemCount),
    ]
  }
}
