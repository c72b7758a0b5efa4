import HyphaCore
import HyphaTopology
import Testing

@testable import HyphaOperator
@testable import HyphaRuntime

/// The figures of a run whose nodes end and begin anew.
@Suite struct NodeTalliesTests {
  private func status(
    _ node: NodeID, published: UInt64 = 0, delivered: UInt64 = 0, handled: UInt64 = 0, waiting: UInt64 = 0,
    notes: [String] = []
  ) -> NodeStatus {
    var status = NodeStatus(node: node)
    var realtime = NodeStatus.ChannelStatus()
    (realtime.publishedCount, realtime.publishedPairCount, realtime.waitingCount) = (
      published, published, waiting
    )
    realtime.latency.add(100, times: Int(delivered))
    var persistent = NodeStatus.ChannelStatus()
    (persistent.statedPairCount, persistent.handledPairCount) = (handled, handled)
    persistent.latency.add(100, times: Int(handled))
    status.channels = [Channel.realtime.description: realtime, Channel.persistent.description: persistent]
    (status.workerCount, status.finishedCount, status.backlog) = (2, 1, Int(waiting))
    status.gauges = ["jobs": 5]
    (status.failureCount, status.framesDropped, status.relayed) = (1, 2, ["boss": 3])
    status.peers = [
      "z": .init(
        standing: "up", silentMicroseconds: 0, suspicionCount: 1, downCount: 1, receivedFrameCount: 7)
    ]
    status.notes = notes
    return status
  }

  private func counts(_ summary: DeploymentSummary) -> [UInt64] {
    [
      summary.channel(.realtime).publishedPairCount, summary.deliveredCount(.realtime),
      summary.deliveredCount(.persistent), summary.all.reduce(0) { $0 + $1.failureCount },
      summary.all.reduce(0) { $0 + $1.framesDropped }, summary.relayed["boss"] ?? 0,
      summary.missed.reduce(0) { $0 + $1.suspicionCount },
    ]
  }

  @Test func `a node that is away counts with what it had, and comes back on top of it`() {
    var tallies = NodeTallies()
    let other = status("b", published: 1, delivered: 1, handled: 1)
    tallies.ended("a", status("a", published: 10, delivered: 9, handled: 8, waiting: 3))
    let away = tallies.summary([other])
    #expect(counts(away) == [11, 10, 9, 2, 4, 6, 2])
    #expect(away.nodes.map(\.node) == ["b"] && away.absent.map(\.node) == ["a"])
    #expect(away.workerCount == 4 && away.finishedCount == 2 && away.gauges["jobs"] == 10)
    #expect(away.channel(.realtime).waitingCount == 0, "its inboxes are gone")
    // Its log has said what it handled; all else it counts from nothing.
    let back = tallies.summary([status("a", published: 5, delivered: 5, handled: 12), other])
    #expect(counts(back) == [16, 15, 13, 3, 6, 9, 3] && back.absent.isEmpty)
    #expect(back.workerCount == 4 && back.gauges["jobs"] == 10)
    // A life without a report has nothing to add.
    tallies.ended("a", nil)
    #expect(counts(tallies.summary([other])) == [11, 10, 9, 2, 4, 6, 2])
    tallies.ended("a", status("a", published: 5, delivered: 5, handled: 12))
    #expect(counts(tallies.summary([other])) == [16, 15, 13, 3, 6, 9, 3])
    #expect(counts(tallies.summary([status("a", handled: 12), other])) == [16, 15, 13, 4, 8, 12, 4])
  }

  @Test func `nothing is complete while a node is away`() {
    var done = status("b")
    done.finishedCount = 2
    var tallies = NodeTallies()
    #expect(tallies.summary([done]).isComplete)
    var last = status("a")
    last.finishedCount = 2
    tallies.ended("a", last)
    #expect(!tallies.summary([done]).isComplete)
    #expect(tallies.summary([done, last]).isComplete)
  }

  @Test func `what earlier lives have noted is told at the end, each once`() {
    var tallies = NodeTallies()
    tallies.ended("a", status("a", notes: ["one", "two"]))
    tallies.ended("a", status("a", notes: ["two", "three"]))
    let now = status("a", notes: ["three", "four"])
    #expect(tallies.summary([now]).nodes[0].notes == ["three", "four"])
    #expect(tallies.summary([now], isEnd: true).nodes[0].notes == ["one", "two", "three", "four"])
    #expect(tallies.summary([], isEnd: true).absent[0].notes == ["one", "two", "three"])
  }

  @Test
  func `where a node was killed the realtime channel adds up, and what is not known is not called lost`()
    throws
  {
    let topology = try Topology(
      name: "t", nodes: [NodeSpec(id: "a")], agents: [AgentSpec(id: "root", kind: "supervisor", node: "a")])
    var tallies = NodeTallies()
    var first = status("a", published: 100, delivered: 40)
    first.channels[Channel.realtime.description]?.counts = ["expired": 5]
    tallies.ended("a", first)
    let saved = NodeLosses(node: "a")
    func row(_ status: NodeStatus) throws -> SummaryReport.ChannelRow {
      // What the log has is of an earlier moment.
      let report = SummaryReport(
        topology, tallies.summary([status], isEnd: true), LossTable([saved]), elapsed: .seconds(1),
        isComplete: true,
        restarts: 1, data: nil)
      return try #require(report.channels.first { $0.channel == "realtime" })
    }
    let one = try row(status("a", published: 10, delivered: 10))
    #expect([one.published, one.forAgents, one.delivered, one.lost, one.unknown] == [110, 110, 50, 5, 55])
    #expect(one.counts == ["expired": 5])
    // More has arrived than the killed node has said that it published.
    let other = try row(status("a", published: 0, delivered: 80))
    #expect([other.forAgents, other.delivered, other.lost, other.unknown] == [120, 120, 0, 0])
  }
}
