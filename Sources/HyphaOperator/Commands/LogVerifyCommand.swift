import HyphaCore
import HyphaLog

/// `hypha log verify`: whether the logs are whole.
struct LogVerifyCommand: Command {
  static let configuration = CommandConfiguration(
    name: "verify", abstract: "Read logs from end to end and check everything that they promise.",
    discussion: """
      Checks positions, checksums, times, lanes, streams, links and heads, while the node runs or not. Exit \
      status 1 where anything is wrong, also where a log cannot be opened; the others are checked all the same.
      """,
    examples: ["hypha log verify data/incident-room", "hypha log verify data/incident-room/hq --json"])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Flag(help: "Print the result as JSON, a line for each log.") var json = false

  private struct Row: Encodable {
    /// Whose log it is; nil where it does not say.
    let node: NodeID?
    let path: String
    let isSound: Bool
    let entries: UInt64
    let stated: UInt64
    let recordBytes: UInt64
    let findings: [String]
  }

  func run() async throws {
    var isSound = true
    for path in try DataPlaces.logs(in: data) {
      let row = try await verify(path)
      isSound = isSound && row.isSound
      if json {
        try Output.standard.writeLine(JSON.text(row))
      } else {
        let verdict =
          row.isSound ? "sound" : row.findings.count == 1 ? "1 finding" : "\(row.findings.count) findings"
        try Output.standard.writeLine(
          "\(path): \(verdict); \(Human.count(row.entries)) entries, "
            + "\(Human.bytes(row.recordBytes)) of records")
        for finding in row.findings { try Output.standard.writeLine("  \(finding)") }
      }
    }
    guard isSound else { throw ExitStatus.failure }
  }

  private func verify(_ path: String) async throws -> Row {
    do {
      let log = try Program.require().readLog(path)
      let verification = try await LiveRegion.run { region in
        try log.verify { count, head in
          let share = head.rawValue == 0 ? 100 : count * 100 / head.rawValue
          try? region.draw(["\(path): \(Human.count(count)) of \(head) entries, \(share) %"])
        }
      }
      return Row(
        node: log.identity.node, path: path, isSound: verification.isSound, entries: verification.entryCount,
        stated: verification.statedCount, recordBytes: verification.recordByteCount,
        findings: verification.findings)
    } catch let error as HyphaError where [.logInvalid, .logTooNew, .fileUnavailable].contains(error.code) {
      // What cannot be opened is a finding, so that the other logs are looked at all the same.
      return Row(
        node: nil, path: path, isSound: false, entries: 0, stated: 0, recordBytes: 0,
        findings: [error.problem])
    }
  }
}
