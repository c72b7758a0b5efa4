import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// replicated-means-n between real nodes, each a process of its own.
  @Suite struct ReplicaProcessTests {
    private static let topology = """
      hypha: 1
      name: copies
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      nodes:
        x: {replicas: [y, z], replicated: 2, in-doubt-after: 60s}
        y: {}
        z: {}
        w: {}
      agents:
        root: {kind: supervisor, node: x}
        source: {kind: generator, node: x, reports-to: root, settings: {event: entry, count: 1000000, every: 0.5}}
        idle: {kind: recorder, node: y, reports-to: root}
        near: {kind: recorder, node: z, reports-to: root, subscribes: [load.Entry]}
        late: {kind: recorder, node: w, reports-to: root, subscribes: [load.Entry]}
      """

    private func entries(_ scratch: Scratch, _ node: String) throws -> [Record] {
      guard let log = try? LMDBLogReader(directory: scratch("data/\(node)")) else { return [] }
      return try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.header.type == "load.Entry" }
    }

    @Test func `what has left a node is on its replicas when its disk is gone, and late takers get it there`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", file, "--data", scratch("data"), "--node", node)
      }
      let (origin, far, near) = (try start("x"), try start("y"), try start("z"))
      let hasSome = await becomesTrue { (try? entries(scratch, "z").count) ?? 0 > 200 }
      #expect(hasSome, "\(origin.errors)")
      struct Row: Decodable { var node, replica: String, level, inDoubtCount: Int }
      let result = try await scratch.hypha("replicas", scratch("data/x"), "--json")
      let rows = try JSONDecoder().decode([Row].self, from: Data(result.output.utf8))
      #expect(rows.map(\.replica) == ["y", "z"] && rows.allSatisfy { $0.level == 2 && $0.inDoubtCount == 0 })
      origin.signal(SIGKILL)
      _ = await origin.end()
      try FileManager.default.removeItem(atPath: scratch("data/x"))
      // The agent on z was given what had left; y has no agent that takes it, and has it all the same.
      let given = try entries(scratch, "z").map(\.header.sequence)
      let late = try start("w")
      let hasAll = await becomesTrue { (try? entries(scratch, "w").count) ?? 0 >= given.count }
      #expect(hasAll, "\(try? entries(scratch, "w").count) of \(given.count): \(late.errors)")
      let copies = try entries(scratch, "y")
      #expect(copies.count >= 200)
      let common = try zip(entries(scratch, "w"), copies).allSatisfy { $0 == $1 }
      #expect(common, "byte for byte, in order")
      for node in [far, near, late] {
        node.signal(SIGINT)
        _ = await node.end()
      }
    }

    /// A topology of the same, over TCP where there are keys.
    private func place(_ scratch: Scratch, isKeyed: Bool) async throws -> String {
      guard isKeyed else { return try scratch.file("topology.yaml", Self.topology) }
      let made = try await scratch.hypha("keys", "generate", "--output", "keys", "x", "y", "z", "w")
      try #require(made.status == 0, "\(made.errors)")
      var text = Self.topology.replacingOccurrences(of: "nodes:", with: "security: {keys: keys}\nnodes:")
      for node in ["y", "z", "w"] {
        text = text.replacingOccurrences(
          of: "\(node): {}", with: "\(node): {address: \"tcp://127.0.0.1:\(FreePorts.four())\"}")
      }
      text = text.replacingOccurrences(
        of: "x: {rep", with: "x: {address: \"tcp://127.0.0.1:\(FreePorts.four())\", rep")
      return try scratch.file("topology.yaml", text)
    }

    @Test(arguments: [false, true])
    func `a node that was killed, and whose directory is gone, has back what was acknowledged and goes on`(
      isKeyed: Bool
    ) async throws {
      let scratch = try Scratch()
      let file = try await place(scratch, isKeyed: isKeyed)
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", file, "--data", scratch("data"), "--node", node)
      }
      let (first, far, near) = (try start("x"), try start("y"), try start("z"))
      let hasSome = await becomesTrue { (try? entries(scratch, "z").count) ?? 0 > 200 }
      #expect(hasSome, "\(first.errors) \(near.errors)")
      first.signal(SIGKILL)
      _ = await first.end()
      let given = try entries(scratch, "z")
      try FileManager.default.removeItem(atPath: scratch("data/x"))
      let second = try start("x")
      let last = try #require(given.last?.header.epoch)
      let goesOn = await becomesTrue {
        (try? entries(scratch, "z").contains { $0.header.epoch > last }) ?? false
      }
      #expect(goesOn, "\(second.errors)")
      let own = try entries(scratch, "x")
      #expect(Set(given).isSubset(of: own), "byte for byte")
      let told = try await scratch.hypha(
        "log", "cat", scratch("data/x"), "--type", "hypha.Rejoined", "--json")
      #expect(
        told.output.contains("isProven") && told.output.split(separator: "\n").count == 1, "\(told.output)")
      for node in [second, far, near] {
        node.signal(SIGINT)
        _ = await node.end()
      }
      let all = try entries(scratch, "z").map(\.header.id)
      #expect(Set(all).count == all.count, "each once")
      for node in ["x", "y", "z"] {
        let verified = try await scratch.hypha("log", "verify", scratch("data/\(node)"))
        #expect(verified.status == 0, "\(verified.output) \(verified.errors)")
      }
    }

    @Test func `a new node whose replicas are away waits and says for whom, unless it is told not to`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      let waiting = try scratch.start("run", file, "--data", scratch("data"), "--node", "x", "--json")
      let isTold = await becomesTrue {
        waiting.output.contains("it waits for y, z (1 of 2 replicas must answer)")
      }
      #expect(isTold, "\(waiting.output.suffix(500)) \(waiting.errors)")
      waiting.signal(SIGINT)
      #expect(await waiting.end().status == 0)
      #expect(try LMDBLogReader(directory: scratch("data/x")).head() == .start)
      let begun = try scratch.start(
        "run", file, "--data", scratch("data"), "--node", "x", "--without-replicas")
      let hasBegun = await becomesTrue {
        (try? LMDBLogReader(directory: scratch("data/x")).head() > .start) ?? false
      }
      #expect(hasBegun, "\(begun.errors)")
      begun.signal(SIGINT)
      _ = await begun.end()
      let told = try await scratch.hypha(
        "log", "cat", scratch("data/x"), "--type", "hypha.Rejoined", "--json")
      #expect(told.output.contains("isWaived"), "\(told.output)")
      let usage = try await scratch.hypha("run", file, "--without-replicas")
      #expect(usage.status == 2 && usage.errors.contains("add --node"), "\(usage.status) \(usage.errors)")
    }
  }
}
