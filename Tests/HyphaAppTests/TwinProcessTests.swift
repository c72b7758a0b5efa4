import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import Testing

extension Processes {
  /// One node that runs twice, each time as a process on a log of its own.
  @Suite struct TwinProcessTests {
    private static func topology(_ ports: (a: UInt16, b: UInt16), keys: String) -> String {
      """
      hypha: 1
      name: twins
      \(keys)
      nodes:
        a: {address: "tcp://127.0.0.1:\(ports.a)"}
        b: {address: "tcp://127.0.0.1:\(ports.b)"}
      agents:
        root: {kind: supervisor, node: b}
        load: {kind: generator, node: a, reports-to: root, settings: {event: entry, count: 1000000, every: 5, to: [taker]}}
        taker: {kind: recorder, node: b, reports-to: root}
      """
    }

    /// Runs the node a twice beside b: first on `data`, then on `other`, where it listens somewhere else.
    @Test(arguments: [false, true])
    func `the process that was started first says so and ends, and the other goes on`(hasKeys: Bool)
      async throws
    {
      let scratch = try Scratch()
      let ports = (a: FreePorts.four(), b: FreePorts.four())
      let file = try scratch.file(
        "topology.yaml", Self.topology(ports, keys: hasKeys ? "security: {keys: keys}" : ""))
      if hasKeys {
        let keys = try await scratch.hypha("keys", "generate", "--output", scratch("keys"), "a", "b")
        #expect(keys.status == 0, "\(keys)")
      }
      func entryCount(_ data: String) -> Int {
        let log = try? LMDBLogReader(directory: scratch("\(data)/a"))
        return (try? log?.laneHeads().filter { $0.key.agent == "load" }.map { Int($0.value.count) }.max())
          ?? 0
      }
      let b = try scratch.start("run", file, "--data", scratch("data"), "--node", "b")
      let first = try scratch.start("run", file, "--data", scratch("data"), "--node", "a")
      #expect(await becomesTrue { entryCount("data") > 50 })
      let second = try Hypha(
        ["run", file, "--data", scratch("other"), "--node", "a"], in: scratch,
        environment: ["HYPHA_LISTEN_A": "tcp://127.0.0.1:\(FreePorts.four())"])
      let end = await first.end()
      #expect(end.status == 1, "\(end)")
      #expect(end.errors.contains("superseded: node 'a' was started again in epoch "), "\(end)")
      let count = entryCount("other")
      #expect(await becomesTrue { entryCount("other") > count + 50 })
      #expect(second.isRunning && b.isRunning)
      let log = try LMDBLogReader(directory: scratch("data/a"))
      let said = try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.type == NodeSuperseded.eventType }.map { try NodeSuperseded.decode($0) }
      #expect(said.count == 1 && said.allSatisfy { $0.heardFrom == "b" && $0.epoch < $0.newerEpoch })
      for process in [second, b] {
        process.signal(SIGINT)
        _ = await process.end()
      }
      let verify = try await scratch.hypha("log", "verify", scratch("data"))
      #expect(verify.status == 0, "\(verify)")
      scratch.expectNothingLeft()
    }
  }
}
