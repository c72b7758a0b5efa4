import Foundation
import HyphaCore
import HyphaFormats
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaTopology
import Testing

@testable import HyphaRuntime

extension Commands {
  /// Past states, and re-runs, of a log that its node has pruned while it ran.
  @Suite struct CheckpointProcessTests {
    private static let topology = """
      hypha: 1
      name: bounded
      log: {keep-newest: 300}
      nodes: {x: {}}
      agents:
        root: {kind: supervisor, node: x}
        source: {kind: generator, node: x, reports-to: root, settings: {event: entry, count: 1000000, every: 5}}
        all: {kind: recorder, node: x, reports-to: root, subscribes: [load.Entry]}
      """

    private struct Truth {
      let position: Position
      let state: JSONValue
    }

    /// What the agent's state is, and the newest event that it has handled; nil while that changes, and while what it has stated
    /// counts for later.
    private func truth(_ scratch: Scratch) throws -> Truth? {
      let log = try LMDBLogReader(directory: scratch("data/x"))
      let key = CursorKey(agent: "all", channel: .persistent)
      let before = try log.cursor(key)
      guard let saved = try AgentSnapshot.read(of: "all", in: log), let cursor = try log.cursor(key),
        cursor == before,
        let own = try log.streamHeads().filter({ $0.key.agent == "all" }).values.map(\.position).max(),
        own <= cursor.position
      else { return nil }
      return Truth(position: cursor.position, state: try JSON.decode(JSONValue.self, from: saved.state))
    }

    private func prunedThrough(_ scratch: Scratch) throws -> Position {
      try LMDBLogReader(directory: scratch("data/x")).prunedThrough()
    }

    @Test func `behind a prune states are those that the agent had then, and a re-run is the same`()
      async throws
    {
      let scratch = try Scratch()
      let file = try scratch.file("topology.yaml", Self.topology)
      var truths: [Truth] = []
      // Pruned, killed, pruned, stopped, and once more with nothing pruned.
      for (round, signal) in [SIGKILL, SIGTERM, SIGTERM].enumerated() {
        let began = (try? prunedThrough(scratch)) ?? .start
        let node = try scratch.start("run", file, "--data", scratch("data"), "--node", "x")
        func look() { if let truth = try? truth(scratch) { truths.append(truth) } }
        #expect(
          await becomesTrue {
            look()
            return round == 2 || (try? prunedThrough(scratch)) ?? .start > began
          }, "\(node.errors)")
        let there = truths.last?.position.rawValue ?? 0
        #expect(
          await becomesTrue {
            look()
            return truths.last.map { $0.position.rawValue > there + 200 } ?? false
          })
        node.signal(signal)
        _ = await node.end()
      }
      let log = try LMDBLogReader(directory: scratch("data/x"))
      let topology = try TopologyFile.read(yaml: Self.topology, file: "topology.yaml").topology
      func steps(_ isEarly: @escaping (StateStep.Place) -> Bool) async throws -> [StateStep] {
        var steps: [StateStep] = []
        try await Rerun.visitStates(
          of: "all", in: topology, kinds: KindRegistry(BuiltInKinds.all), log: log, isEarly: isEarly
        ) {
          steps.append($0)
          return true
        }
        return steps
      }
      let all = try await steps { _ in false }
      let first = try #require(all.first { $0.unknown == nil && $0.place != nil }?.place?.position)
      #expect(first >= (try log.prunedThrough()))
      let known = truths.filter { $0.position >= first }
      #expect(known.count > 5 && known.count < truths.count, "\(known.count) of \(truths.count)")
      for truth in known {
        for steps in [all, try await steps { $0.position <= truth.position }] {
          let step = try #require(steps.last { $0.place.map { $0.position <= truth.position } ?? true })
          #expect(try step.state() == truth.state, "at \(truth.position), known from \(first) on")
        }
      }
      // As a user asks.
      func past(_ words: String...) async throws -> Hypha.Result {
        try await Hypha(
          ["agents", "state", scratch("data"), "all", "--topology", file] + words, in: scratch
        ).end()
      }
      for truth in [known[0], known[known.count / 2], known[known.count - 1]] {
        let shown = try await past("--at", "\(truth.position)", "--json")
        #expect(try JSON.decode(JSONValue.self, from: shown.output.utf8)["state"] == truth.state, "\(shown)")
      }
      let gone = try await past("--at", "\(truths[0].position)")
      #expect(gone.status == 1 && gone.errors.contains("before position \(first) are not known"), "\(gone)")
      let why = try await past("--why", "count", "--json")
      #expect(why.status == 0 && why.output.contains("load.Entry"), "\(why)")
      let verify = try await scratch.hypha("rerun", file, "--data", scratch("data"), "--verify")
      #expect(verify.status == 0, "\(verify)")
    }
  }
}
