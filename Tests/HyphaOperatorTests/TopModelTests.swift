import HyphaCore
import HyphaTopology
import Testing

@testable import HyphaOperator
@testable import HyphaRuntime

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

  @Test func `an agent that was moved stands on the node where it is, with all that it has done`() {
    func moves(_ way: [NodeID], arrived: Bool) -> AgentMoves {
      var moves = AgentMoves()
      for (number, (from, to)) in zip(way, way.dropFirst()).enumerated() {
        let move = UInt32(number + 1)
        moves.take(AgentMoved(move: move, agent: "ana", from: from, to: to), at: .zero)
        if number + 2 < way.count || arrived { moves.note(move, .arrived) }
      }
      return moves
    }
    let all: [(NodeID, NodeStatus?, head: UInt64, agents: [AgentID: (UInt64, UInt64)])] = [
      ("a", nil, 0, ["ana": (50, 20), "bo": (1, 1)]), ("b", nil, 0, ["ana": (60, 22)]),
    ]
    for (way, arrived, home) in [
      (["a", "b"], true, "b"), (["a", "b"], false, nil), (["a", "b", "a"], true, "a"),
      (["a", "b", "a"], false, "b"),
    ] as [([NodeID], Bool, NodeID?)] {
      var now = reading(at: 2, all)
      // Any log may be the one that knows.
      now.nodes[1].moves = moves(way, arrived: arrived)
      let rows = TopModel(now, since: reading(at: 1, [all[0], ("b", nil, 0, ["ana": (10, 3)])])).agents.filter
      { $0.agent == "ana" }
      #expect(rows.map(\.node) == (home.map { [$0] } ?? ["a", "b"]), "\(way) \(arrived)")
      // What came with it is not of the last second.
      if home == "b" { #expect(rows[0].statedRate == 10 && rows[0].handledRate == 2) }
    }
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

  private func text(_ lines: [String]) -> String { lines.joined(separator: "\n") }
  private let view = TopView(name: "data/x", style: .plain)

  @Test
  func
    `a link has its rate, what waits before it, and what its end takes it for; what is missed comes first`()
  {
    func statuses(_ count: UInt64) -> [NodeStatus] {
      var (a, b) = (NodeStatus(node: "a"), NodeStatus(node: "b"))
      func peer(_ standing: String, _ count: UInt64) -> NodeStatus.PeerStatus {
        .init(
          standing: standing, silentMicroseconds: 5_000, suspicionCount: 0, downCount: 0,
          receivedFrameCount: count)
      }
      a.peers = ["b": peer("up", 10), "c": peer("down", 7), "d": peer("up", 0)]
      b.peers = ["a": peer("up", count)]
      a.newestPositions = ["b": 50]
      b.toldThrough = ["a": 20]
      return [a, b]
    }
    func reading(_ seconds: Int, _ count: UInt64) -> TopReading {
      let (all, none) = (statuses(count), [:] as [AgentID: (UInt64, UInt64)])
      return self.reading(at: seconds, [("a", all[0], 0, none), ("b", all[1], 0, none)])
    }
    let model = TopModel(reading(3, 300), since: reading(1, 100))
    #expect(model.links.map { "\($0.from) \($0.to) \($0.state)" } == ["c a down", "a b up", "b a up"])
    #expect(model.links.map(\.rate) == [0, 100, 0] && model.links.map(\.queue) == [nil, 30, nil])
    let once = text(view.lines(model, .init(), width: nil, height: nil, status: nil))
    #expect(once.contains("frames/s") && once.contains("down"))
    let listed = text(
      view.lines(model, .init(list: .links), width: 80, height: 24, status: TopView.keys))
    #expect(listed.contains("frames/s") && !listed.contains("all handled"))
  }

  @Test func `a list that is longer than the terminal is scrolled to its end and no further`() throws {
    let agents = Dictionary(
      uniqueKeysWithValues: (0..<100).map {
        (AgentID(slug: "agent-\($0 / 10)\($0 % 10)"), (1, 0) as (UInt64, UInt64))
      })
    let nodes = try (0..<30).map {
      number -> (NodeID, NodeStatus?, head: UInt64, agents: [AgentID: (UInt64, UInt64)]) in
      (try NodeID("n\(number)"), nil, head: 0, agents: number == 0 ? agents : [:])
    }
    let model = TopModel(reading(at: 1, nodes), since: nil)
    var settings = TopView.Settings(column: .agent)
    let scroll = view.scroll(model, settings, width: 80, height: 24)
    #expect(scroll.page > 3 && scroll.max == 100 - scroll.page)
    for passed in [0, 17, scroll.max, 5_000] {
      settings.passedCount = passed
      let lines = view.lines(model, settings, width: 80, height: 24, status: TopView.keys)
      let first = min(passed, scroll.max)
      #expect(lines.count == 24 && lines.allSatisfy { displayWidth($0) <= 80 })
      #expect(lines[23].hasPrefix("agents \(first + 1)–\(first + scroll.page) of 100  "))
      #expect(lines[23 - scroll.page].hasPrefix("agent-\(first / 10)\(first % 10) "))
    }
    #expect(
      text(view.lines(model, settings, width: 80, height: 24, status: "")).contains("and 25 more nodes"))
    settings = .init(list: .nodes, passedCount: 99)
    let lines = view.lines(model, settings, width: 80, height: 24, status: "")
    #expect(lines.count == 24 && text(lines).contains("n29 ") && !text(lines).contains("more nodes"))
  }

  @Test func `a deployment that is stopped, and a log that is damaged, are said to be so`() {
    var stopped = reading(at: 1, [("a", nil, 7, ["ana": (5, 9)]), ("b", nil, 0, [:])])
    let lines = text(
      view.lines(TopModel(stopped, since: nil), .init(), width: nil, height: nil, status: nil))
    #expect(lines.hasPrefix("data/x   stopped   0/2 nodes   1 agents\nNo node runs."))
    #expect(!lines.contains("realtime") && lines.contains("ana"))
    stopped.nodes[1].damage = HyphaError(.logInvalid, "b/log was cut short")
    let damaged = TopModel(stopped, since: nil)
    #expect(damaged.nodes.map(\.state) == ["stopped", "damaged"] && stopped.damages.count == 1)
    #expect(
      view.lines(damaged, .init(), width: nil, height: nil, status: nil)[0].contains("1 log damaged"))
    let running = reading(at: 1, [("a", status("a", published: 1), 0, [:])])
    #expect(
      text(view.lines(TopModel(running, since: nil), .init(), width: nil, height: nil, status: nil))
        .contains("realtime"))
  }
}
