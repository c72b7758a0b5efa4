import Foundation
import HyphaCore
import Testing

extension Processes {
  /// Deaths and stops of processes in the middle of a run, which must change nothing about what is delivered.
  @Suite(
    .enabled(
      if: Places.hasRecording("coselog-receipt.xes.gz"), "the public event logs are not in ../shared/data"))
  struct KillTests {
    /// Recorded speed times this: the receipt's 472 days in about two seconds, so that a kill hits the run.
    static let speed = "20000000"

    private func makeActed(_ scratch: Scratch) async throws -> ActedLog {
      try await ActedLog("coselog-receipt.xes.gz", "--speed", Self.speed, in: scratch)
    }

    /// Waits for a moment between the first hand-overs and the last, drawn from the seed.
    private func waitForMoment(_ acted: ActedLog, _ random: inout SeededGenerator) async throws {
      let goal = 50 + random.next() % 700
      #expect(await becomesTrue { acted.entryCount >= goal })
    }

    /// Which nodes are killed, each inner list at once.
    static let killed: [[[String]]] = [
      [["node1"]], [["node2"]], [["node3"]], [["node4"]], [["node1"], ["node1"]], [["node2", "node3"]],
      [["node1", "node2", "node3", "node4"]],
    ]

    @Test(arguments: killed)
    func `a killed node is started again and everything is delivered once`(_ rounds: [[String]]) async throws
    {
      let seed = UInt64.random(in: 0...999_999)
      var random = SeededGenerator(seed: seed)
      let scratch = try Scratch()
      let acted = try await makeActed(scratch)
      let run = try acted.start()
      var killed: Set<Int32> = []
      for round in rounds {
        try await waitForMoment(acted, &random)
        for node in round {
          // A node that was killed before must be back to be killed again.
          #expect(await becomesTrue { run.node(node, after: killed) != nil })
          let id = try #require(run.node(node, after: killed))
          killed.insert(id)
          kill(id, SIGKILL)
        }
      }
      let result = await run.end()
      try acted.expectAllDelivered(result)
      let summary = try RunSummary(result)
      #expect(summary.restarts == rounds.joined().count, "seed \(seed)")
      for node in rounds.joined() {
        #expect(
          result.errors.contains("node '\(node)' was killed by signal 9; starting it again"), "seed \(seed)")
      }
      scratch.expectNothingLeft()
    }

    @Test func `a killed launcher takes its nodes with it, and the next run finishes`() async throws {
      let seed = UInt64.random(in: 0...999_999)
      var random = SeededGenerator(seed: seed)
      let scratch = try Scratch()
      let acted = try await makeActed(scratch)
      let run = try acted.start()
      try await waitForMoment(acted, &random)
      let nodes = run.nodes()
      #expect(nodes.count == 4)
      run.signal(SIGKILL)
      _ = await run.end()
      let haveEnded = await becomesTrue { nodes.allSatisfy(ProcessTable.hasEnded) }
      #expect(haveEnded, "the nodes outlive their launcher; seed \(seed)")
      scratch.expectNothingLeft()
      try acted.expectAllDelivered(await acted.start().end())
      scratch.expectNothingLeft()
    }

    @Test func `launcher and nodes killed at once leave what the next run needs, and clears away`()
      async throws
    {
      let seed = UInt64.random(in: 0...999_999)
      var random = SeededGenerator(seed: seed)
      let scratch = try Scratch()
      let acted = try await makeActed(scratch)
      let run = try acted.start()
      try await waitForMoment(acted, &random)
      let nodes = run.nodes()
      for id in nodes + [run.id] { kill(id, SIGKILL) }
      _ = await run.end()
      // A node that is still dying has its log locked.
      #expect(await becomesTrue { nodes.allSatisfy(ProcessTable.hasEnded) })
      try acted.expectAllDelivered(await acted.start().end())
      scratch.expectNothingLeft()
    }

    @Test func `a node that stands still while the others go on catches up`() async throws {
      let scratch = try Scratch()
      let acted = try await makeActed(scratch)
      let run = try acted.start()
      var random = SeededGenerator(seed: 1)
      try await waitForMoment(acted, &random)
      let node = try #require(run.node("node2"))
      kill(node, SIGSTOP)
      #expect(await becomesTrue { ProcessTable.entry(node)?.state == "T" })
      let before = acted.entryCount
      #expect(await becomesTrue { acted.entryCount >= before + 300 })
      kill(node, SIGCONT)
      let result = await run.end()
      try acted.expectAllDelivered(result)
      #expect(try RunSummary(result).restarts == 0)
      scratch.expectNothingLeft()
    }
  }
}
