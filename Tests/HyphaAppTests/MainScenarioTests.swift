import Foundation
import HyphaCore
import HyphaFormats
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// The main scenario as processes and in a simulation: two worlds that must tell the same story.
  @Suite struct MainScenarioTests {
    @Test func `processes and simulation deliver the same events to everyone in the same order`() async throws
    {
      let scratch = try Scratch()
      let room = try IncidentRoom(in: scratch)
      let run = try await scratch.hypha("run", room.file, "--data", scratch("data"), "--json")
      #expect(run.status == 0, "\(run.errors)")
      #expect(try RunSummary(run).isComplete)
      let real = try room.deliveries { try LMDBLogReader(directory: "\(scratch("data"))/\($0)") }

      let simulated = try room.simulatedDeliveries(seed: 11)
      #expect(real.count > 50)
      for key in Set(real.keys).union(simulated.keys).sorted() {
        #expect(real[key] == simulated[key], "\(key)")
      }
      // 520 incidents, and 160 alarms for someone and for the pager and the board.
      let types = real.values.joined().map { $0.prefix { $0 != " " } }
      #expect(types.count { $0 == "work.HandedOver" } == room.handOverCount)
      #expect(types.count { $0 == "load.Alarm" } == 120 + 2 * 40)
      // Side by side, for each takes a minute.
      let reruns = try [[], ["--in-memory"]].map { backend in
        try Hypha(
          ["rerun", room.file, "--data", scratch("data"), "--verify", "--times", "100"] + backend, in: scratch
        )
      }
      for rerun in reruns {
        let result = await rerun.end(within: .seconds(900))
        #expect(
          result.status == 0 && result.output.contains("all is as recorded, 100 times: "),
          "\(result.output)\(result.errors)")
      }
      scratch.expectNothingLeft()
    }

    @Test func `a killed node costs nobody an event`() async throws {
      let seed = UInt64.random(in: 0...999_999)
      var random = SeededGenerator(seed: seed)
      let simulated = try Scratch()
      let expected = try IncidentRoom(in: simulated).simulatedDeliveries(seed: 11)
      simulated.expectNothingLeft()
      for node in ["hq", "desk", "infra", "apps"] {
        let scratch = try Scratch()
        let room = try IncidentRoom(in: scratch)
        let run = try scratch.start("run", room.file, "--data", scratch("data"), "--json")
        let goal = 20 + random.next() % 150
        let log = { try LMDBLogReader(directory: "\(scratch("data"))/\(node)") }
        #expect(await becomesTrue { (try? log().head().rawValue >= goal) ?? false })
        kill(try #require(run.node(node)), SIGKILL)
        let result = await run.end()
        #expect(result.status == 0, "\(result.errors); seed \(seed)")
        let summary = try RunSummary(result)
        #expect(summary.isComplete && summary.restarts == 1, "seed \(seed)")
        let real = try room.deliveries { try LMDBLogReader(directory: "\(scratch("data"))/\($0)") }
        for key in Set(real.keys).union(expected.keys).sorted() {
          if key.contains("/persistent/") {
            #expect(real[key] == expected[key], "\(key); \(node) was killed; seed \(seed)")
          } else {
            // An alert that had left when its author died, and was not in the log yet, is published anew.
            #expect(
              Set(real[key] ?? []) == Set(expected[key] ?? []), "\(key); \(node) was killed; seed \(seed)")
          }
        }
        let again = try await scratch.hypha("rerun", room.file, "--data", scratch("data"), "--verify")
        #expect(again.status == 0, "\(again.output)\(again.errors); \(node) was killed; seed \(seed)")
        scratch.expectNothingLeft()
      }
    }

    @Test func `a simulation prints the same for the same seed, with nothing on disk`() async throws {
      let scratch = try Scratch()
      let room = try IncidentRoom(in: scratch)
      let first = try await scratch.hypha("run", room.file, "--simulate", "--seed", "7", "--json")
      let second = try await scratch.hypha("run", room.file, "--simulate", "--seed", "7", "--json")
      let other = try await scratch.hypha("run", room.file, "--simulate", "--seed", "8", "--json")
      #expect(first.status == 0, "\(first.errors)")
      #expect(first == second)
      #expect(other.status == 0 && other != first)
      #expect(try RunSummary(other).gauges == RunSummary(first).gauges)
      #expect(!FileManager.default.fileExists(atPath: scratch("data")))
      scratch.expectNothingLeft()
    }

    @Test func `the scenario as it is shipped is free of problems`() async throws {
      let scratch = try Scratch()
      let result = try await scratch.hypha("validate", Places.incidentRoom)
      #expect(result.status == 0 && result.errors == "")
      #expect(result.output == "\(Places.incidentRoom): 4 nodes, 44 agents, no problems\n")
    }
  }
}

/// The main scenario, a hundred times faster.
struct IncidentRoom {
  let file: String
  let topology: Topology
  let handOverCount: Int

  init(in scratch: Scratch) throws {
    file = scratch("incident-room.yaml")
    let csv = scratch("incident-room.csv")
    let original = URL(fileURLWithPath: Places.incidentRoom)
    let recording = original.deletingPathExtension().appendingPathExtension("csv")
    try FileManager.default.copyItem(atPath: recording.path, toPath: csv)
    handOverCount = try HandOvers.read(path: csv).all.count
    let read = try TopologyFile.read(
      yaml: String(contentsOf: original, encoding: .utf8), file: "incident-room.yaml"
    ).topology
    // The topology is the same but for how fast it goes, and where its recording is.
    let agents = read.agents.map { agent in
      var agent = agent
      if agent.kind == "trace" {
        agent.settings["speed"] = .number(360_000)
        agent.settings["file"] = .string(csv)
      } else if agent.settings["every"] != nil {
        agent.settings["every"] = .integer(2)
      }
      return agent
    }
    topology = try Topology(
      name: read.name, version: read.version, nodes: read.nodes, agents: agents, log: read.log)
    try Data(TopologyWriter.text(topology).utf8).write(to: URL(fileURLWithPath: file))
  }

  /// What everyone is given in a simulation.
  func simulatedDeliveries(seed: UInt64) throws -> [String: [String]] {
    let deployment = SimulatedDeployment(topology, kinds: try KindRegistry(BuiltInKinds.all), seed: seed)
    try deployment.start()
    #expect(deployment.runToEnd())
    try deployment.stop()
    return try deliveries { try deployment.reader(of: $0) }
  }

  /// What everyone was given on the logged channels: by addressee and lane, each event's type and payload.
  ///
  /// The logs say what arrived, the cursors that all of it was handled.
  func deliveries(_ reader: (NodeID) throws -> any LogReader) throws -> [String: [String]] {
    let routes = Routes(topology)
    var deliveries: [String: [String]] = [:]
    for node in topology.nodes {
      let log = try reader(node.id)
      #expect(try log.verify().findings == [])
      let here = Set(topology.agents(on: node.id).map(\.id))
      var counts: [CursorKey: UInt64] = [:]
      try log.scan { entry in
        let header = entry.record.header
        for agent in routes.destinations(of: header.lane) where here.contains(agent) {
          let payload = String(decoding: entry.record.payload, as: UTF8.self)
          deliveries["\(agent) \(header.lane)", default: []].append("\(header.type) \(payload)")
          counts[CursorKey(agent: agent, channel: header.channel), default: 0] += 1
        }
        return true
      }
      // A consumer that has handled nothing has a place all the same.
      let handled = try log.cursors().mapValues(\.handledCount)
      #expect(handled.filter { $0.value > 0 } == counts, "\(node.id)")
    }
    return deliveries
  }
}
