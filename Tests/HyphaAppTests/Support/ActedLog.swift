import Foundation
import HyphaCore
import HyphaFormats
import HyphaKinds
import HyphaLog
import HyphaLogLMDB
import HyphaTopology
import Testing

/// A deployment that acts out a recorded event log, and what must be true of it once it has run.
struct ActedLog {
  let scratch: Scratch
  let recording: [HandOver]
  let topology: Topology

  /// The topology file and the data directory.
  var file: String { scratch("acted/topology.yaml") }
  var data: String { scratch("data") }
  var run: [String] { ["run", file, "--data", data] }

  /// Makes the deployment with `hypha init`.
  init(_ recorded: String, _ options: String..., in scratch: Scratch) async throws {
    self.scratch = scratch
    let arguments = ["init", "--from", Places.recording(recorded), "--output", scratch("acted")] + options
    let made = try await Hypha.run(arguments, in: scratch)
    try #require(made.status == 0, "\(made.errors)")
    recording = try HandOverFile.load(path: scratch("acted/handovers.csv"))
    topology = try TopologyFile.read(
      yaml: String(contentsOfFile: scratch("acted/topology.yaml"), encoding: .utf8), file: "topology.yaml"
    ).topology
  }

  /// A log of one node; it may be read while the node runs.
  func log(of node: NodeID) throws -> LMDBLogReader { try LMDBLogReader(directory: "\(data)/\(node)") }

  /// How many entries all logs have that are there already.
  var entryCount: UInt64 {
    topology.nodes.map { (try? log(of: $0.id).head().rawValue) ?? 0 }.reduce(0, +)
  }

  /// Starts the deployment with a summary in JSON at its end.
  func start() throws -> Hypha { try Hypha(run + ["--json"], in: scratch) }

  /// Checks the summary of a run to the end, and then the logs themselves.
  func expectAllDelivered(_ result: Hypha.Result, _ location: SourceLocation = #_sourceLocation) throws {
    #expect(result.status == 0, "\(result.errors)", sourceLocation: location)
    let summary = try RunSummary(result, location)
    let count = recording.count
    #expect(summary.isComplete, sourceLocation: location)
    #expect(summary.gauges["hand-overs recorded"] == count, sourceLocation: location)
    #expect(summary.gauges["hand-overs delivered"] == count, sourceLocation: location)
    for fault in ["doubled", "out of order", "not recorded"] {
      #expect(summary.gauges["hand-overs \(fault)"] == 0, "\(fault)", sourceLocation: location)
    }
    let persistent = try #require(summary.channel("persistent"), sourceLocation: location)
    // Who gets a case last states that it is closed: for nobody, so it counts as no message.
    #expect(persistent.published == count && persistent.forAgents == count, sourceLocation: location)
    #expect(persistent.delivered == count, sourceLocation: location)
    #expect(persistent.lost == 0 && persistent.waiting == 0, sourceLocation: location)
    #expect(try faultsInLogs() == [], sourceLocation: location)
  }

  /// Reads every log and says where it differs from the recording: each hand-over has to stand exactly once in
  /// the log of its addressee's node, once in that of its origin's, nowhere else, and in recorded order in its
  /// lane.
  func faultsInLogs() throws -> [String] {
    var faults: [String] = []
    let agents = ResourceAgents(of: recording).agents
    let home = Dictionary(uniqueKeysWithValues: topology.agents.map { ($0.id, $0.node) })
    for node in topology.nodes.map(\.id) {
      let log = try log(of: node)
      let verification = try log.verify()
      faults += verification.findings.map { "\(node): \($0)" }
      var seen: [Int: Int] = [:]
      var newest: [Lane: Int] = [:]
      try log.scan { entry in
        guard entry.record.header.type == HandedOver.eventType else { return true }
        let event = try HandedOver.decode(entry.record)
        let header = entry.record.header
        seen[event.index, default: 0] += 1
        let recorded = recording[event.index]
        if header.agent != agents[recorded.from] || header.addressee != agents[recorded.to]
          || event.caseID != recorded.caseID || event.recordedAt != recorded.time
        {
          faults.append("\(node): \(event.index) is not as recorded")
        }
        if let before = newest.updateValue(event.index, forKey: header.lane), before >= event.index {
          faults.append("\(node): \(event.index) after \(before) in \(header.lane)")
        }
        return true
      }
      for handOver in recording {
        let ends = [handOver.from, handOver.to].compactMap { agents[$0] }.compactMap { home[$0] }
        let expected = ends.contains(node) ? 1 : 0
        let count = seen[handOver.index] ?? 0
        if count != expected { faults.append("\(node): \(handOver.index) stands there \(count) times") }
      }
    }
    return faults
  }
}

/// What `hypha run --json` prints at the end.
struct RunSummary: Decodable {
  struct Channel: Decodable {
    var channel: String
    var published, forAgents, delivered, waiting, lost: Int
  }

  var isComplete: Bool
  var restarts: Int
  var channels: [Channel]
  var gauges: [String: Int]
  var notes: [String]

  init(_ result: Hypha.Result, _ location: SourceLocation = #_sourceLocation) throws {
    let line = try #require(result.lines.last, "\(result.errors)", sourceLocation: location)
    self = try JSONDecoder().decode(RunSummary.self, from: Data(line.utf8))
  }

  func channel(_ name: String) -> Channel? { channels.first { $0.channel == name } }
}
