import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// Nodes that keep their logs within the limits of the topology file, each a process of its own.
  @Suite struct RetentionProcessTests {
    private static let topology = """
      hypha: 1
      name: bounded
      log: {keep-newest: 400}
      nodes: {x: {}, y: {keep-newest: 300}, z: {keep-newest: 1000000}}
      agents:
        root: {kind: supervisor, node: x}
        source: {kind: generator, node: x, reports-to: root, settings: {event: entry, count: 1000000, every: 5}}
        near: {kind: recorder, node: y, reports-to: root, subscribes: [load.Entry]}
        all: {kind: recorder, node: z, reports-to: root, subscribes: [load.Entry]}
      """

    /// What a node's log says of its prunes: of the newest ones alone, as a prune takes older statements, too.
    private func prunes(_ scratch: Scratch, _ node: String) throws -> [LogPruned] {
      guard let log = try? LMDBLogReader(directory: scratch("data/\(node)")) else { return [] }
      var query = LogQuery()
      query.types = [LogPruned.eventType]
      return try log.page(of: query).entries.map { try LogPruned.decode($0.record) }
    }

    /// Up to where a node's log was pruned; 0 where it was not.
    private func pruned(_ scratch: Scratch, _ node: String) -> UInt64 {
      (try? prunes(scratch, node).last?.last) ?? 0
    }

    private func sequences(_ scratch: Scratch, _ node: String) throws -> [UInt64] {
      try LMDBLogReader(directory: scratch("data/\(node)")).read(after: .start, limit: .max, byteLimit: .max)
        .map(\.record.header).filter { $0.type == "load.Entry" }.map(\.sequence)
    }

    @Test func `a node prunes its log by itself, beside its traffic and after a kill, and loses nothing`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", file, "--data", scratch("data"), "--node", node)
      }
      let (x, y, z) = (try start("x"), try start("y"), try start("z"))
      #expect(await becomesTrue { pruned(scratch, "y") > 0 }, "\(y.errors)")
      y.signal(SIGKILL)
      _ = await y.end()
      let before = try #require(try prunes(scratch, "y").last).last
      let again = try start("y")
      #expect(await becomesTrue { pruned(scratch, "y") > before }, "\(again.errors)")
      #expect(await becomesTrue { pruned(scratch, "x") > 0 }, "\(x.errors)")
      x.signal(SIGTERM)
      #expect(await x.end().status == 0)
      let newest = try #require(try sequences(scratch, "x").last)
      for node in ["y", "z"] {
        #expect(await becomesTrue { (try? sequences(scratch, node).last) == newest }, "\(node)")
      }
      // A node that stops leaves what its agents have not come to for its next start.
      func handledCount() throws -> UInt64? {
        try LMDBLogReader(directory: scratch("data/y")).cursor(
          CursorKey(agent: "near", channel: .persistent))?.handledCount
      }
      let takenCount = UInt64(try sequences(scratch, "z").count)
      #expect(await becomesTrue { (try? handledCount()) ?? 0 >= takenCount })
      for node in [again, z] {
        node.signal(SIGTERM)
        #expect(await node.end().status == 0)
      }
      // Who keeps all has all.
      let kept = try sequences(scratch, "z")
      #expect(try prunes(scratch, "z").isEmpty && kept == kept.sorted() && kept.count > 1000)
      for (node, policy) in [("x", "newest 400"), ("y", "newest 300")] {
        let stated = try prunes(scratch, node)
        #expect(
          stated.allSatisfy { $0.principal.text == "hypha.node.\(node)" && $0.policy == policy }, "\(stated)")
        let verify = try await scratch.hypha("log", "verify", scratch("data/\(node)"))
        #expect(verify.status == 0, "\(verify)")
        // Behind what went nothing is missing.
        let left = try sequences(scratch, node)
        #expect(left.suffix(100) == kept.suffix(100) && left.count < kept.count, "\(node)")
      }
      // Every event was handled once.
      #expect(try handledCount() == UInt64(kept.count))
    }
  }
}
