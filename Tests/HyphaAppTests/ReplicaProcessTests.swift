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
  }
}
