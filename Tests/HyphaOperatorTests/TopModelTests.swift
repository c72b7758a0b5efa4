import HyphaCore
import HyphaRuntime
import Testing

@testable import HyphaOperator

/// What `hypha top` makes of two readings.
@Suite struct TopModelTests {
  private func reading(
    at seconds: Int, _ nodes: [(NodeID, NodeStatus?, head: UInt64, agents: [AgentID: (UInt64, UInt64)])]
  ) -> TopReading {
    TopReading(
      time: .seconds(seconds),
      nodes: nodes.map { node, status, head, agents in
        TopReading.NodeReading(
          node: node, status: status, head: head,
          agents: agents.mapValues { .init(statedCount: $0.0, handledCount: $0.1) })
      })
  }

  private func status(_ node: NodeID, published: UInt64, dropped: [String: UInt64] = [:]) -> NodeStatus {
    var status = NodeStatus(node: node)
    var channel = NodeStatus.ChannelStatus()
    channel.publishedCount = published
    channel.counts = dropped
    channel.latency.add(1_500)
    status.channels["realtime"] = channel
    return status
  }

  @Test func `rates are those between two readings, and a node that starts again counts from nothing`() {
    let before = reading(
      at: 10,
      [
        ("a", status("a", published: 100), 1_000, ["ana": (50, 20)]),
        ("b", status("b", published: 900), 5, [:]),
      ])
    let now = reading(
      at: 12,
      [
        ("a", status("a", published: 300), 1_500, ["ana": (60, 60)]),
        ("b", status("b", published: 40), 5, [:]),
      ])
    let first = TopModel(before, since: nil)
    #expect(first.nodes[0].publishedRate == nil && first.agents[0].statedRate == nil)
    let model = TopModel(now, since: before)
    #expect(model.nodes.map(\.publishedRate) == [100, 20] && model.nodes.map(\.logRate) == [250, 0])
    #expect(model.agents[0].statedRate == 5 && model.agents[0].handledRate == 20)
    let realtime = model.channels.first { $0.channel == .realtime }
    #expect(realtime?.publishedCount == 340 && realtime?.p50 == 1_500)
  }

  @Test func `lag is what others have for a node and it has not heard of; a loss is what was dropped`() {
    var (a, b) = (
      status("a", published: 0, dropped: ["expired": 3, "repaired": 5, "refused": 7]), NodeStatus(node: "b")
    )
    a.toldThrough = ["b": 70]
    b.newestPositions = ["a": 100, "b": 900]
    b.toldThrough = ["a": 10]
    let model = TopModel(
      reading(at: 1, [("a", a, 0, [:]), ("b", b, 0, [:]), ("c", nil, 9, [:])]), since: nil)
    #expect(model.nodes.map(\.lag) == [30, 0, nil])
    #expect(model.nodes.map(\.lostCount) == [3, 0, nil])
    #expect(model.nodes.map(\.state) == ["runs", "runs", "stopped"] && model.nodes[2].head == 9)
  }

  @Test func `agents stand by the column that was chosen, and equals by name`() {
    let model = TopModel(
      reading(at: 1, [("a", nil, 0, ["cy": (5, 1), "ana": (5, 9), "bo": (7, 1)])]), since: nil)
    func order(_ column: TopModel.Column, _ isReversed: Bool = false) -> [AgentID] {
      model.sortedAgents(by: column, isReversed: isReversed).map(\.agent)
    }
    #expect(order(.agent) == ["ana", "bo", "cy"] && order(.agent, true) == ["cy", "bo", "ana"])
    #expect(order(.allStated) == ["bo", "ana", "cy"] && order(.allStated, true) == ["ana", "cy", "bo"])
    #expect(order(.allHandled) == ["ana", "bo", "cy"])
    #expect(TopModel.Column.agent.previous == .allHandled && TopModel.Column.allHandled.next == .agent)
  }

  @Test func `what is drawn fits the terminal, and has the agents that there is room for`() {
    let agents = Dictionary(
      uniqueKeysWithValues: (0..<100).map {
        (AgentID(slug: "an-agent-with-a-long-name-\($0)"), (1, UInt64($0)) as (UInt64, UInt64))
      })
    let model = TopModel(
      reading(at: 1, [("a", status("a", published: 1), 0, agents), ("b", nil, 0, [:])]), since: nil)
    let view = TopView(name: "data/incident-room", style: Style(isColored: true))
    for (width, height) in [(80, 24), (120, 40)] {
      let lines = view.lines(
        model, .init(column: .allHandled), width: width, height: height, status: "keys")
      #expect(lines.count == height && lines.allSatisfy { displayWidth($0) <= width })
      #expect(lines.contains { $0.contains("name-99") } && lines.contains { $0.contains("all handled▼") })
    }
    let all = view.lines(model, .init(), width: nil, height: nil, status: nil)
    #expect(all.count == 1 + 4 + 1 + 3 + 1 + 101)
  }
}
