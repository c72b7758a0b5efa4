import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// repair-from-copies between real nodes, each a process of its own.
  @Suite struct RepairTests {
    private static let count = 2000
    private static let topology = """
      hypha: 1
      name: copies
      membership: {heartbeat: 100ms, suspect-after: 1s, down-after: 2s}
      nodes: {x: {}, y: {}, z: {}, w: {}}
      agents:
        root: {kind: supervisor, node: x}
        source: {kind: generator, node: x, reports-to: root, settings: {event: entry, count: \(count), every: 0.1}}
        near: {kind: recorder, node: z, reports-to: root, subscribes: [load.Entry]}
        other: {kind: recorder, node: w, reports-to: root, subscribes: [load.Entry]}
        late: {kind: recorder, node: y, reports-to: root, subscribes: [load.Entry]}
      """

    private func entries(_ scratch: Scratch, _ node: String) throws -> [Record] {
      guard let log = try? LMDBLogReader(directory: scratch("data/\(node)")) else { return [] }
      return try log.read(after: .start, limit: .max, byteLimit: .max).map(\.record)
        .filter { $0.header.type == "load.Entry" }
    }

    @Test func `a third taker gets what a killed origin has stated from the two that have it`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      func start(_ node: String) throws -> Hypha {
        try scratch.start("run", file, "--data", scratch("data"), "--node", node)
      }
      let (origin, near, other) = (try start("x"), try start("z"), try start("w"))
      for node in ["z", "w"] {
        let hasAll = await becomesTrue { (try? entries(scratch, node).count) == Self.count }
        #expect(hasAll, "\(node) has not taken all: \(origin.errors)")
      }
      origin.signal(SIGKILL)
      _ = await origin.end()
      let late = try start("y")
      let hasAll = await becomesTrue { (try? entries(scratch, "y").count) == Self.count }
      let (taken, stated) = (try entries(scratch, "y"), try entries(scratch, "x"))
      #expect(hasAll, "y has \(taken.count) events: \(late.errors)")
      #expect(taken == stated, "byte for byte, in order")
      for node in [near, other, late] {
        node.signal(SIGINT)
        _ = await node.end()
      }
    }
  }
}
