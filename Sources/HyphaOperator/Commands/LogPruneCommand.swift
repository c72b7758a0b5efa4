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

      With --yes the node must not be running.
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
    guard !(yes && dryRun) else {
      throw HyphaError(.usage, "--yes and --dry-run exclude each other", remedy: "give one of them")
    }
  }

  private struct Result: Encodable {
    let path: String
    let isDone: Bool
    let first, last, entries, bytes, blocks, sparedBlocks: UInt64
    let anchor: String?
    let heldBackBy: String?
    let event: UInt64?
    let idempotencyKeys: Int?
    let payloadBytes: UInt64?
  }

  func run() async throws {
    let path = try DataPlaces.log(at: data)
    let retention = try Program.require().retention
    let time = SystemScheduler()
    let policy = RetentionPolicy(
      ageMax: keepNewerThan, byteCountMax: keepAtMost.map { UInt64($0.byteCount) },
      entryCountMax: keepNewest, takesHandled: handled)
    let plan = try retention.planPrune(
      of: path, policy, guards: protect.map { PruneGuard(keeping: Position(rawValue: $0)) },
      sparing: RestartNeeds.positions(in: Program.require().readLog(path)),
      now: Timestamp(microseconds: time.microseconds()))
    var report: PruneReport?
    if yes, let range = plan.range {
      report = try await LiveRegion.run { region in
        try await retention.prune(path, plan, principal: authority, time: time) { position in
          try? region.draw(["\(path): pruned through \(position) of \(range.upperBound)"])
        }
      }
    }
    let result = Result(
      path: path, isDone: report != nil, first: plan.range?.lowerBound.rawValue ?? 0,
      last: plan.range?.upperBound.rawValue ?? 0, entries: plan.entryCount, bytes: plan.byteCount,
      blocks: UInt64(plan.blockCount), sparedBlocks: UInt64(plan.sparedBlockCount),
      anchor: plan.anchor?.description, heldBackBy: plan.heldBackBy?.name,
      event: report?.event.rawValue, idempotencyKeys: report?.keyCount, payloadBytes: report?.payloadByteCount
    )
    if json { return try Output.standard.writeLine(JSON.text(result)) }
    for line in lines(path, plan, report) { try Output.standard.writeLine(line) }
  }

  private var authority: AgentID {
    let user = ProcessInfo.processInfo.environment["USER"] ?? ""
    return principal ?? AgentID(slug: user.isEmpty ? "operator" : user)
  }

  private func lines(_ path: String, _ plan: PrunePlan, _ report: PruneReport?) -> [String] {
    var lines: [String] = []
    if let range = plan.range {
      let what =
        "\(Human.count(plan.entryCount)) of \(Human.count(plan.head.rawValue)) events, positions "
        + "\(range.lowerBound) to \(range.upperBound), \(Human.bytes(plan.byteCount))"
      lines.append(report == nil ? "\(path): would remove \(what)" : "\(path): removed \(what)")
    } else {
      lines.append("\(path): nothing to remove")
    }
    if let guarded = plan.heldBackBy {
      lines.append("  more was held back: \(guarded.name) needs what is behind position \(guarded.through)")
    }
    if plan.sparedBlockCount > 0 {
      let blocks = plan.sparedBlockCount == 1 ? "1 block stays" : "\(plan.sparedBlockCount) blocks stay"
      lines.append(
        "  \(blocks) among them: the agents' newest activations, which the node reads when it starts")
    }
    if let report {
      lines.append("  the log says so at position \(report.event)")
      if report.payloadByteCount > 0 {
        lines.append("  \(Human.bytes(report.payloadByteCount)) of payloads beside the log went with them")
      }
    } else if plan.range != nil {
      lines.append("  nothing was changed; give --yes to do it")
    }
    return lines
  }
}
