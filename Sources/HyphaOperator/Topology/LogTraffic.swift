import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

/// Who has sent to whom, event by event, as the logs of a deployment have it: on the persistent and alert channels.
struct LogTraffic {
  /// The topology that the logs were written under.
  let topology: Topology
  let traffic: RecordedTraffic
  /// Events for so many agents each that no pair of them is worth a link.
  let broadcastCount: Int

  /// Reads the logs in `directory`.
  ///
  /// - Parameter topology: nil for that which the logs keep of their deployment.
  /// - Throws: ``HyphaError/Code/usage`` where they keep none.
  init(_ directory: String, _ topology: Topology?, _ stop: StopSignal, _ region: LiveRegion) throws {
    let program = try Program.require()
    let logs = try DataPlaces.logs(in: directory).map { try program.readLog($0) }
    self.topology = try topology ?? Self.outlined(logs, directory)
    let audience = Audience(self.topology)
    var numbers: [AgentID: Int32] = [:]
    for (place, agent) in self.topology.agents.enumerated() { numbers[agent.id] = Int32(place) }
    var events: [(from: Int32, to: Int32)] = []
    var broadcastCount = 0
    var replay = try Replay(of: logs)
    try replay.look()
    let bar = ExportProgress(region, directory, total: replay.leftCount)
    var isDone = false
    while !isDone {
      var left = 65_536
      isDone = try replay.visit { replayed in
        left -= 1
        let header = try Record(replayed.entry.record).header
        guard let from = numbers[header.agent] else { return left > 0 }
        let all =
          header.addressee.map { [$0] }
          ?? audience.agents(for: header.type, header.subject, by: header.agent)
        guard all.count <= FlowMeter.audienceMax else {
          broadcastCount += 1
          return left > 0
        }
        for agent in all where agent != header.agent {
          if let to = numbers[agent] { events.append((from, to)) }
        }
        return left > 0
      }
      try bar.draw(left: replay.leftCount)
      if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
    }
    guard !events.isEmpty else {
      throw HyphaError(
        .invalidInput, "\(directory) has no event from one agent to another",
        remedy: "give the --data directory of a run")
    }
    self.broadcastCount = broadcastCount
    traffic = RecordedTraffic(names: self.topology.agents.map(\.id.text), events: events)
  }

  private static func outlined(_ logs: [any LogReader], _ directory: String) throws -> Topology {
    let outlines = try logs.compactMap { try DeploymentOutline.read(in: $0) }
    guard let newest = outlines.max(by: { $0.version < $1.version }) else {
      throw HyphaError(
        .usage, "the logs in \(directory) do not say who reports to whom", remedy: "give --topology FILE")
    }
    return try newest.topology()
  }
}
