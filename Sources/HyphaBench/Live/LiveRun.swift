import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology

/// What one run of a live deployment has come to.
struct LiveOutcome {
  var scene: LiveScene
  var topology: Topology
  var tally = LiveTally()
  /// How long each event was on its way, in microseconds; 0 for those that have not come.
  var latencies: [UInt32]
  /// The edges and links that the frame crossed which brought an event; 0 where no frame has.
  var hops: [UInt8]
  /// When the first event was due.
  var begin: Timestamp
  /// Events that supervisors have passed on, counted where they did.
  var relayCount = 0
  /// Events that came otherwise than along their way: in answers to fetches.
  var repairedCount = 0
  var seconds: Double
  /// The live topology at the end; nil where nobody observed.
  var reading: TopologyReading?
}

/// The processes of one live deployment.
final class LiveRun {
  private let scene: LiveScene
  private let traffic: LiveTraffic
  private let processes: [(node: NodeID, process: ChildProcess)]

  /// Starts the processes and waits until each is ready.
  init(_ scene: LiveScene, _ traffic: LiveTraffic, command: [String]) throws {
    (self.scene, self.traffic) = (scene, traffic)
    try Disk.makeDirectory(scene.directory)
    try Disk.makeDirectory(scene.socketDirectory)
    try JSONEncoder().encode(traffic).write(to: URL(fileURLWithPath: scene.trafficPath))
    let json = String(decoding: try JSONEncoder().encode(scene), as: UTF8.self)
    processes = try scene.nodes.map { ($0, try ChildProcess(command + ["live", $0.text, json])) }
    for (node, process) in processes {
      guard process.readLine() == "ready" else { throw Self.failure("node '\(node)' ended at its start") }
    }
  }

  /// Removes what the run has left.
  func remove() {
    for (_, process) in processes { process.close() }
    Disk.remove(scene.directory)
    Disk.remove(scene.socketDirectory)
  }

  /// Sends all of the traffic, waits until it has come, or nothing comes any more, and ends the processes.
  func run(progress: (Int) -> Void) async throws -> LiveOutcome {
    let begin = Monotonic.nanoseconds() + 500_000_000
    let moment = Timestamp(microseconds: SystemScheduler().microseconds() + 500_000)
    _ = try ask(.begin(begin))
    let expected = traffic.eventCount
    let planned = Double(expected) / scene.rate
    var (last, lastAt) = (-1, Monotonic.nanoseconds())
    while true {
      try Task.checkCancellation()
      try await Task.sleep(for: .milliseconds(500), clock: .suspending)
      let taken = try ask(.tally).reduce(0) { $0 + $1.tally.takenCount }
      progress(taken)
      if taken >= expected { break }
      let now = Monotonic.nanoseconds()
      if taken != last { (last, lastAt) = (taken, now) }
      // Senders that have nothing more to send, and nothing that comes: what is missing is lost.
      if Double(now - begin) / 1e9 > planned, now - lastAt > 20_000_000_000 { break }
    }
    let seconds = Double(Monotonic.nanoseconds() - begin) / 1e9
    let answers = try ask(.finish)
    for (_, process) in processes { process.close() }
    return try outcome(answers, begin: moment, seconds: seconds)
  }

  private func ask(_ request: LiveRequest) throws -> [LiveAnswer] {
    let line = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
    for (_, process) in processes { try process.write(line: line) }
    return try processes.map { node, process in
      guard let answer = process.readLine() else { throw Self.failure("node '\(node)' ended in the middle") }
      return try JSONDecoder().decode(LiveAnswer.self, from: Data(answer.utf8))
    }
  }

  private func outcome(_ answers: [LiveAnswer], begin: Timestamp, seconds: Double) throws -> LiveOutcome {
    let topology = try scene.topology(traffic)
    var outcome = LiveOutcome(
      scene: scene, topology: topology, latencies: [UInt32](repeating: 0, count: traffic.eventCount),
      hops: [UInt8](repeating: 0, count: traffic.eventCount),
      begin: begin, seconds: seconds)
    for answer in answers {
      outcome.tally.takenCount += answer.tally.takenCount
      outcome.tally.doubledCount += answer.tally.doubledCount
      outcome.tally.disorderedCount += answer.tally.disorderedCount
      outcome.tally.strangeCount += answer.tally.strangeCount
      for count in answer.status.relayed.values { outcome.relayCount += Int(clamping: count) }
      outcome.repairedCount += Int(
        clamping: answer.status.channels[Channel.persistent.description]?.counts["repaired"] ?? 0)
    }
    for node in scene.nodes {
      let latencies = try LiveChild.latencies(at: scene.receptionsPath(of: node))
      for (number, latency) in latencies.enumerated() where latency > 0 {
        outcome.latencies[number] = latency
      }
      let log = try LMDBLogReader(directory: "\(scene.directory)/\(node)")
      try log.scan { entry in
        guard case .received(let hops) = entry.source, entry.record.type == Mail.eventType else {
          return true
        }
        let number = try Mail.decode(entry.record).number
        if outcome.hops.indices.contains(number) { outcome.hops[number] = hops }
        return true
      }
      if node == LiveScene.rootNode, scene.isObserved {
        outcome.reading = try TopologyReading(log, of: topology, withSeat: false)
      }
    }
    return outcome
  }

  private static func failure(_ what: String) -> HyphaError {
    HyphaError(.failed, "the live deployment: \(what)", remedy: "see what it wrote to the standard error")
  }
}
