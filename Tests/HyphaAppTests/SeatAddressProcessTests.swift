import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import Testing

extension Processes {
  /// A file gives another address to the node that orders all that is applied: over real sockets, with a node that is away meanwhile.
  @Suite struct SeatAddressProcessTests {
    private static func topology(hq: String, _ ports: (a: UInt16, b: UInt16), keys: Bool) -> String {
      """
      hypha: 1
      name: office
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      security: {\(keys ? "keys: keys" : "plain: allowed")}
      nodes:
        hq: {address: "\(hq)"}
        a: {address: "tcp://127.0.0.1:\(ports.a)"}
        b: {address: "tcp://127.0.0.1:\(ports.b)"}
      agents:
        root: {kind: supervisor, node: hq}
        source: {kind: generator, node: hq, reports-to: root, settings: {event: entry, count: 1000000, every: 5, to: [taker]}}
        taker: {kind: recorder, node: b, reports-to: root}
        witness: {kind: recorder, node: a, reports-to: root}
      """
    }

    private static func hq(_ port: UInt16) -> String { "tcp://127.0.0.1:\(port)" }

    private func log(_ scratch: Scratch, _ node: String) throws -> LMDBLogReader {
      try LMDBLogReader(directory: scratch("data/\(node)"))
    }

    private func revision(_ scratch: Scratch, _ node: String) -> UInt32 {
      (try? KeptFile.read(in: log(scratch, node))?.revision) ?? 0
    }

    private func entries(_ scratch: Scratch) throws -> [Int] {
      try log(scratch, "b").read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.agent == "source" && $0.type == Entry.eventType }.map { Int(try Entry.decode($0).index) }
    }

    private func count(_ scratch: Scratch) -> Int { (try? entries(scratch).count) ?? 0 }

    @Test(arguments: [false, true])
    func `who was away finds it where it was, and all find it where it is`(hasKeys: Bool) async throws {
      let scratch = try Scratch()
      let ports = (a: FreePorts.four(), b: FreePorts.four())
      let (was, isNow) = (FreePorts.four(), FreePorts.four())
      let first = try scratch.file("first.yaml", Self.topology(hq: Self.hq(was), ports, keys: hasKeys))
      if hasKeys {
        let keys = try await scratch.hypha("keys", "generate", "--output", scratch("keys"), "hq", "a", "b")
        #expect(keys.status == 0, "\(keys)")
      }
      let data = scratch("data")
      func start(_ node: String, _ file: String) throws -> Hypha {
        try scratch.start("run", file, "--data", data, "--node", node)
      }
      let (hq, a, away) = (try start("hq", first), try start("a", first), try start("b", first))
      #expect(await becomesTrue { count(scratch) > 20 })
      away.signal(SIGKILL)
      _ = await away.end()

      let second = try scratch.file("second.yaml", Self.topology(hq: Self.hq(isNow), ports, keys: hasKeys))
      let plan = try await scratch.hypha("topology", "plan", second, "--data", data)
      #expect(plan.status == 3, "\(plan)")
      #expect(
        plan.output.contains("it goes on listening at \(Self.hq(was)), where this machine has that"),
        "\(plan)")
      let apply = try scratch.start("topology", "apply", second, "--data", data)
      #expect(await becomesTrue { ["hq", "a"].allSatisfy { revision(scratch, $0) == 2 } })
      // It has the first file, so it looks for hq where that was.
      let before = count(scratch)
      let b = try start("b", first)
      #expect(await apply.end().status == 0)
      #expect(revision(scratch, "b") == 2)
      #expect(await becomesTrue { count(scratch) > before + 50 })

      // All have been heard under the second file: the third one has it leave its former place.
      let third = try scratch.file(
        "third.yaml",
        Self.topology(hq: Self.hq(isNow), ports, keys: hasKeys).replacing("every: 5", with: "every: 4"))
      let applied = try await scratch.hypha("topology", "apply", third, "--data", data)
      #expect(applied.status == 0, "\(applied)")
      let isLeft = await becomesTrue { FreePorts.isFree(was) }
      #expect(isLeft && !FreePorts.isFree(isNow))
      let last = count(scratch)
      #expect(await becomesTrue { count(scratch) > last + 50 })
      for node in [hq, a, b] {
        node.signal(SIGINT)
        #expect(await node.end().status == 0)
      }
      let taken = try entries(scratch)
      #expect(taken == Array(0..<taken.count))
      scratch.expectNothingLeft()
    }

    @Test func `an address of another machine is known to all before it is started there`() async throws {
      let scratch = try Scratch()
      let ports = (a: FreePorts.four(), b: FreePorts.four())
      let (was, there) = (FreePorts.four(), FreePorts.four())
      let first = try scratch.file("first.yaml", Self.topology(hq: Self.hq(was), ports, keys: false))
      let data = scratch("data")
      func start(_ node: String, _ file: String, at address: [String: String] = [:]) throws -> Hypha {
        try Hypha(["run", file, "--data", data, "--node", node], in: scratch, environment: address)
      }
      let nodes = (hq: try start("hq", first), a: try start("a", first), b: try start("b", first))
      #expect(await becomesTrue { count(scratch) > 20 })
      let second = try scratch.file(
        "second.yaml", Self.topology(hq: "tcp://192.0.2.1:\(there)", ports, keys: false))
      let apply = try scratch.start("topology", "apply", second, "--data", data)
      #expect(await becomesTrue { ["hq", "a", "b"].allSatisfy { revision(scratch, $0) == 2 } })
      #expect(await apply.end().status == 0)
      for node in [nodes.hq, nodes.a, nodes.b] {
        node.signal(SIGINT)
        let end = await node.end()
        #expect(end.status == 0, "\(end)")
        let isTold = end.errors.contains(
          "192.0.2.1:\(there) (control of node hq) cannot be opened: the node goes on")
        #expect(isTold == (node === nodes.hq), "\(end)")
      }
      // There this address is the machine's own.
      let moved = ["HYPHA_ADDRESS_HQ": Self.hq(there)]
      let before = count(scratch)
      let after = try ["hq", "a", "b"].map { try start($0, second, at: moved) }
      #expect(await becomesTrue { count(scratch) > before + 50 })
      for node in after {
        node.signal(SIGINT)
        #expect(await node.end().status == 0)
      }
      let taken = try entries(scratch)
      #expect(taken == Array(0..<taken.count))
      scratch.expectNothingLeft()
    }
  }
}
