import Foundation
import HyphaCore
import HyphaLog
import HyphaRuntime

/// `hypha log prune`: removing a log's oldest entries.
struct LogPruneCommand: Command {
  static let configuration = CommandConfiguration(
    name: "prune", abstract: "Remove the oldest events of a node's log; without --yes, say which.",
    discussion: """
      Each --keep limit takes what lies beyond it. Whole blocks go, from the oldest on, and nothing that a consumer \
      has not handled or that --protect names. The agents' newest activations stay, which the node reads when it \
      starts. What other nodes have not fetched yet a log cannot know: keep longer \
      than any of them is away.

      The log says so itself: an event log.Pruned, with the hash from which its chain goes on, is appended before \
      anything is removed. A prune that is cut off leaves a sound log, and the next one goes on. The room that \
      becomes free is used again by what is appended; 'hypha log compact' makes the file smaller.

      A node that runs prunes its own log while it goes on; it is asked through the socket in its data directory.
      """,
    examples: [
      "hypha log prune data/incident-room/hq --keep-newer-than 30d",
      "hypha log prune data/incident-room/hq --keep-newer-than 30d --keep-at-most 2GiB --yes",
      "hypha log prune data/incident-room/hq --handled --as ana --yes --json",
    ])

  @Argument(help: "A node's data directory.", completion: .directory) var data: String
  @Option(help: "Remove events that the log took longer ago.", valueName: "age") var keepNewerThan: Duration?
  @Option(help: "Remove the oldest events beyond this size.", valueName: "size") var keepAtMost: ByteSize?
  @Option(help: "Remove all but this many events.", valueName: "count") var keepNewest: UInt64?
  @Flag(help: "Remove what all consumers have handled.") var handled = false
  @Option(help: "Keep this position and all behind it.", valueName: "position") var protect: [UInt64] = []
  @Option(name: .customLong("as"), help: "Who says so; default the user's name.", valueName: "name")
  var principal: AgentID?
  @Flag(help: "Do it.") var yes = false
  @Flag(help: "Only say what would be done, as without --yes.") var dryRun = false
  @Flag(help: "Print the result as JSON.") var json = false

  func validate() throws {
    guard keepNewerThan != nil || keepAtMost != nil || keepNewest != nil || handled else {
      throw HyphaError(
        .usage, "no limit is given",
        remedy: "give --keep-newer-than, --keep-at-most, --keep-newest or --handled")
    }
    guard !protect.contains(0) else {
      throw HyphaError(
        .usage, "--protect 0 names no position", remedy: "give the first position to keep; they begin at 1")
    }
    guard !(yes && dryRun) else {
      throw HyphaError(.usage, "--yes and --dry-run exclude each other", remedy: "give one of them")
    }
  }

  func run() async throws {
    let path = try DataPlaces.log(at: data)
    var done: PruneResult?
    if yes {
      done = try await askNode("log.prune", path)
    } else {
      // A node knows better where its consumers stand; what it cannot say the log does.
      done = (try? await askNode("log.prune.plan", path)) ?? nil
    }
    let result: PruneResult
    if let done { result = done } else { result = try await pruneHere(path) }
    if json { return try Output.standard.writeLine(JSON.text(result)) }
    for line in lines(result) { try Output.standard.writeLine(line) }
  }

  private var wanted: NodeOperations.Prune {
    NodeOperations.Prune(
      ageMaxSeconds: keepNewerThan.map { $0 / .seconds(1) },
      byteCountMax: keepAtMost.map { UInt64($0.byteCount) }, entryCountMax: keepNewest,
      takesHandled: handled, protected: protect)
  }

  /// What the node has done or would do; nil where it does not run.
  private func askNode(_ operation: String, _ path: String) async throws -> PruneResult? {
    try await LiveRegion.run { region in
      let request = try OperatorRequest(
        operation, by: OperatorClient.authority(principal), parameters: wanted)
      var result = try await OperatorClient.ask(path, request, as: PruneResult.self) {
        try? region.draw(["\(path): \($0)"])
      }
      // The node may have another name for it.
      result?.path = path
      return result
    }
  }

  private func pruneHere(_ path: String) async throws -> PruneResult {
    let program = try Program.require()
    let retention = program.retention
    let time = SystemScheduler()
    let plan = try retention.planPrune(
      of: path, wanted.policy,
      guards: protect.map { PruneGuard(keeping: Position(rawValue: $0)) }
        + AlertReading.guards(AlertReading.openAlerts(in: program.readLog(path)))
        + RestartNeeds.guards(in: program.readLog(path)),
      sparing: RestartNeeds.positions(in: program.readLog(path)), places: [:],
      now: Timestamp(microseconds: time.microseconds()))
    var report: PruneReport?
    if yes, let range = plan.range {
      report = try await LiveRegion.run { region in
        try await retention.prune(path, plan, principal: OperatorClient.authority(principal), time: time) {
          try? region.draw(["\(path): pruned through \($0) of \(range.upperBound)"])
        }
      }
    }
    return PruneResult(path: path, plan, report)
  }

  private func lines(_ result: PruneResult) -> [String] {
    var lines: [String] = []
    if result.entries > 0 {
      let what =
        "\(Human.count(result.entries)) of \(Human.count(result.head)) events, positions "
        + "\(result.first) to \(result.last), \(Human.bytes(result.bytes))"
      lines.append("\(result.path): \(result.isDone ? "removed" : "would remove") \(what)")
    } else {
      lines.append("\(result.path): nothing to remove")
    }
    if let guarded = result.heldBackBy, let through = result.heldBackThrough {
      lines.append("  more was held back: \(guarded) needs what is behind position \(through)")
    }
    if result.sparedBlocks > 0 {
      let blocks = result.sparedBlocks == 1 ? "1 block stays" : "\(result.sparedBlocks) blocks stay"
      lines.append(
        "  \(blocks) among them: the agents' newest activations, and events that wait to be handled again")
    }
    if let event = result.event {
      lines.append("  the log says so at position \(event)")
      if let byteCount = result.payloadBytes, byteCount > 0 {
        lines.append("  \(Human.bytes(byteCount)) of payloads beside the log went with them")
      }
    } else if result.entries > 0 {
      lines.append("  nothing was changed; give --yes to do it")
    }
    return lines
  }
}

/// What a prune would do, or has done.
struct PruneResult: Codable, Sendable {
  var path: String
  var isDone: Bool
  var head, first, last, entries, bytes, blocks, sparedBlocks: UInt64
  var anchor: String?
  var heldBackBy: String?
  var heldBackThrough: UInt64?
  var event: UInt64?
  var idempotencyKeys: Int?
  var payloadBytes: UInt64?

  init(path: String, _ plan: PrunePlan, _ report: PruneReport?) {
    self.path = path
    isDone = report != nil
    head = plan.head.rawValue
    first = plan.range?.lowerBound.rawValue ?? 0
    last = plan.range?.upperBound.rawValue ?? 0
    entries = plan.entryCount
    bytes = plan.byteCount
    blocks = UInt64(plan.blockCount)
    sparedBlocks = UInt64(plan.sparedBlockCount)
    anchor = plan.anchor?.description
    heldBackBy = plan.heldBackBy?.name
    heldBackThrough = plan.heldBackBy?.through.rawValue
    event = report?.event.rawValue
    idempotencyKeys = report?.keyCount
    payloadBytes = report?.payloadByteCount
  }
}
