import Foundation
import HyphaCore
import Testing

extension Processes {
  /// How a run is stopped by hand, what it says then, and that it goes on afterwards.
  @Suite struct StoppingTests {
    /// A deployment in which nobody has anything to finish.
    static let idle = """
      hypha: 1
      name: idle
      nodes: {a: {}, b: {}}
      agents:
        root: {kind: supervisor, node: a}
        sink: {kind: recorder, node: b, reports-to: root, subscribes: [load.Entry]}
      """

    /// Starts the deployment and waits until both nodes have reported and something was delivered.
    private func start(_ topology: String, in scratch: Scratch) async throws -> Hypha {
      let file = try scratch.file("topology.yaml", topology)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.output.contains("2/2 nodes") })
      return run
    }

    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)])
    func `a signal stops a run in order, and the status says which`(_ signal: Int32, _ status: Int32)
      async throws
    {
      let scratch = try Scratch()
      let run = try await start(Deployments.endless, in: scratch)
      run.signal(signal)
      let result = await run.end()
      #expect(result.status == status)
      #expect(result.complaints == [])
      #expect(result.output.contains("endless: stopped before its end after "))
      #expect(result.output.contains("waiting"), "what is not delivered yet is not lost")
      scratch.expectNothingLeft()
    }

    @Test func `Ctrl-C that reaches every process of the terminal stops them in order too`() async throws {
      let scratch = try Scratch()
      let run = try await start(Deployments.endless, in: scratch)
      for id in run.nodes() + [run.id] { kill(id, SIGINT) }
      let result = await run.end()
      #expect(result.status == 130 && result.complaints == [])
      scratch.expectNothingLeft()
    }

    @Test func `Ctrl-C in the first moment is heard too`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.nodes().count == 2 })
      run.signal(SIGINT)
      let result = await run.end()
      #expect(result.status == 130 && result.complaints == [])
      #expect(await becomesTrue { ProcessTable.children(of: run.id).isEmpty })
      scratch.expectNothingLeft()
    }

    @Test func `a run is stopped before its end also where the worker's node has not come up`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Deployments.endless)
      let run = try scratch.start("run", file, "--data", scratch("data"))
      #expect(await becomesTrue { run.node("b") != nil })
      let node = try #require(run.node("b"))
      kill(node, SIGSTOP)
      #expect(await becomesTrue { run.output.contains("1/2 nodes") || run.output.contains("2/2 nodes") })
      run.signal(SIGINT)
      #expect(await becomesTrue { run.errors.contains("waiting for 'b' to stop; press Ctrl-C again") })
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
    }

    @Test func `where nobody has anything to finish, to be stopped is the end`() async throws {
      let scratch = try Scratch()
      let run = try await start(Self.idle, in: scratch)
      run.signal(SIGTERM)
      let result = await run.end()
      #expect(result.status == 0 && result.complaints == [])
      scratch.expectNothingLeft()
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func `a single node is stopped with status 0`(_ signal: Int32) async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.idle)
      let node = try scratch.start("run", file, "--data", scratch("data"), "--node", "a")
      #expect(await becomesTrue { FileManager.default.fileExists(atPath: scratch("data/a/log/data.mdb")) })
      node.signal(signal)
      #expect(await node.end().status == 0)
      scratch.expectNothingLeft()
    }

    @Test func `a second Ctrl-C does not wait for a node that stands still`() async throws {
      let scratch = try Scratch()
      let run = try await start(Deployments.endless, in: scratch)
      let node = try #require(run.node("b"))
      kill(node, SIGSTOP)
      run.signal(SIGINT)
      #expect(await becomesTrue { run.errors.contains("waiting for 'b' to stop; press Ctrl-C again") })
      #expect(run.isRunning)
      run.signal(SIGINT)
      let result = await run.end()
      #expect(result.status == 130 && result.complaints == [], "its patience has not run out")
      #expect(await becomesTrue { ProcessTable.hasEnded(node) })
    }

    @Test func `a launcher keeps no files of nodes that it has started again`() async throws {
      let scratch = try Scratch()
      let run = try await start(Deployments.endless, in: scratch)
      let count = ProcessTable.openPipeCount(of: run.id)
      var killed: Set<Int32> = []
      for _ in 0..<3 {
        #expect(await becomesTrue { run.node("a", after: killed) != nil })
        let node = try #require(run.node("a", after: killed))
        killed.insert(node)
        kill(node, SIGKILL)
      }
      #expect(await becomesTrue { run.node("a", after: killed) != nil })
      // What ends a process comes a moment later.
      #expect(await becomesTrue { ProcessTable.openPipeCount(of: run.id) <= count })
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
    }

    @Test(
      .enabled(
        if: Places.hasRecording("coselog-receipt.xes.gz"), "the public event logs are not in ../shared/data"))
    func `a run that was stopped goes on where it was`() async throws {
      let scratch = try Scratch()
      let acted = try await ActedLog("coselog-receipt.xes.gz", "--speed", KillTests.speed, in: scratch)
      for _ in 0..<2 {
        let before = acted.entryCount
        let run = try acted.start()
        #expect(await becomesTrue { acted.entryCount > before + 100 })
        run.signal(SIGINT)
        let result = await run.end()
        #expect(result.status == 130)
        let summary = try RunSummary(result)
        #expect(!summary.isComplete && summary.channels.allSatisfy { $0.lost == 0 })
      }
      try acted.expectAllDelivered(await acted.start().end())
      scratch.expectNothingLeft()
    }
  }
}
