import HyphaCore
import HyphaLog

/// `hypha log verify`: whether the logs are whole.
struct LogVerifyCommand: Command {
  static let configuration = CommandConfiguration(
    name: "verify", abstract: "Read logs from end to end and check everything that they promise.",
    discussion: """
      Checks positions, checksums, hashes and their chain, times, lanes, streams, links, payloads, tables and heads, \
      while the node runs or not. Entries that were pruned or quarantined are accounted for and counted. 'altered' \
      is what somebody wrote by intent, since its checksums match and its hashes do not. A log that is damaged so \
      that reading it ends a process is a finding like others; one that may not be read, or whose reading somebody \
      stops, could not be verified, and that is said instead. Payloads beside a log that no event refers to are \
      counted, and are no finding: a process that was killed before its commit has left them, or a commit is under \
      way, and the next prune removes those that none needs.

      --witness compares with heads that 'log head' printed before and an auditor kept in a file, or that the logs in a directory \
      have taken of other nodes: a node could write its own history again, but not what it signed. Each has to agree. The logs \
      of a deployment are compared with what they have kept of each other, too. Where they know another log of a node than \
      the one that is there, that is a finding: somebody may have put it in its place. A node whose disk was lost begins \
      anew; --accept-new NODE says so. A node's directory without a log is a finding. Nodes of which these logs know and that \
      have none here are named; with --complete, where all are to be here, each is a finding.

      Exit status 1 where anything is wrong, also where a log cannot be opened; the others are checked all the same.
      """,
    examples: [
      "hypha log verify data/incident-room", "hypha log verify data/incident-room/hq --json",
      "hypha log verify data/incident-room/hq --witness hq.head",
      "hypha log verify data/incident-room/hq --witness elsewhere/desk",
    ])

  @Argument(help: "A node's data directory, or a deployment's.", completion: .directory) var data: String
  @Option(
    help: "Compare with the heads kept in this file, or by the logs in this directory.", valueName: "path",
    completion: .file)
  var witness: [String] = []
  @Option(help: "The node's public key; default that of its data directory.", valueName: "key")
  var key: NodePublicKey?
  @Option(help: "This node has begun a new log on purpose.", valueName: "node") var acceptNew: [NodeID] = []
  @Flag(help: "Each node that these logs know of has to have its log here.") var complete = false
  @Flag(help: "Print the result as JSON, a line for each log.") var json = false

  private struct Row: Encodable {
    /// Whose log it is; nil where it does not say.
    let node: NodeID?
    let path: String
    let isSound: Bool
    let head: Position
    let entries: UInt64
    let stated: UInt64
    let blocks: UInt64
    let payloads: UInt64
    let loosePayloads: Int
    let loosePayloadBytes: UInt64
    let recordBytes: UInt64
    let pruned: UInt64
    let quarantined: UInt64
    let unproven: UInt64
    let damaged: UInt64
    let altered: UInt64
    let firstBroken: Position?
    /// Why the log was not read to its end, where that says nothing of it.
    let interruption: String?
    let findings: [String]
    let witnesses: [Witnesses.Result]

    init(_ found: LogVerification, path: String, witnesses: [Witnesses.Result]) {
      node = found.node
      self.path = path
      isSound = found.isSound && !witnesses.contains(where: \.isAgainst)
      head = found.head
      entries = found.entryCount
      stated = found.statedCount
      blocks = found.blockCount
      payloads = found.payloadCount
      loosePayloads = found.loosePayloads.count
      loosePayloadBytes = found.loosePayloads.byteCount
      recordBytes = found.recordByteCount
      pruned = found.prunedCount
      quarantined = found.quarantinedCount
      unproven = found.unprovenCount
      damaged = found.damagedCount
      altered = found.alteredCount
      firstBroken = found.firstBroken
      interruption = found.interruption
      findings = found.findings
      self.witnesses = witnesses
    }
  }

  func run() async throws {
    let inspection = try Program.require().inspection
    let paths = try DataPlaces.logs(in: data)
    let stop = StopSignal()
    // Read before the logs are, so that no head is newer than what is found.
    let witnesses = try Witnesses(files: witness, logs: paths == [data] ? [] : paths, inspection, stop)
    var isSound = true
    var logs: [LogIdentity] = []
    for path in paths {
      let found = try await verify(path, witnesses, stop)
      var results: [Witnesses.Result] = []
      if let chain = found.chain {
        let log = LogIdentity(id: chain.id, node: chain.node)
        logs.append(log)
        let key = try key ?? (witnesses.kept.isEmpty ? nil : inspection.publicKey(path))
        results = witnesses.compare(chain, key: key, isOnly: paths.count == 1, gone: found.goneInWords)
        results += replacements(of: log, in: path, beside: paths, witnesses, stop)
        if paths.count == 1 { results += witnesses.silent(on: logs).map(Witnesses.noHead) }
      }
      isSound = try tell(Row(found, path: path, witnesses: results)) && isSound
      if let signal = stop.signalNumber { throw ExitStatus.stopped(by: signal) }
    }
    for path in DataPlaces.lostLogs(in: data) {
      var found = LogVerification()
      found.find(
        "there is no log, though the directory is a node's: restore it from a backup, or remove the directory",
        at: nil, .damaged)
      isSound = try tell(Row(found, path: path, witnesses: [])) && isSound
    }
    for (line, isAgainst) in notes(on: logs, at: paths, witnesses) {
      isSound = isSound && !isAgainst
      try Output.standardError.writeLine(line)
    }
    guard isSound else { throw ExitStatus.failure }
  }

  /// Prints what was found of one log; whether it is sound.
  private func tell(_ row: Row) throws -> Bool {
    if json { try Output.standard.writeLine(JSON.text(row)) } else { try show(row) }
    return row.isSound
  }

  /// What is to be said of heads that are of none of the logs at `paths`, and whether it counts against the whole.
  private func notes(
    on logs: [LogIdentity], at paths: [String], _ witnesses: Witnesses
  ) -> [(line: String, isAgainst: Bool)] {
    guard paths != [data] else { return [] }
    // One that is there and does not say whose it is has its findings.
    let absent = witnesses.absent(from: logs).filter {
      !paths.contains("\(data)/\($0.head.head.log.node)")
    }
    var notes = absent.map { kept in
      let (log, head) = (kept.head.head.log, kept.head.head.position)
      let line =
        "node \(log.node) has no log here; \(kept.log ?? "") has kept its signed heads, up to position \(head)"
      return (line, complete)
    }
    guard paths.count > 1 else { return notes }
    notes += witnesses.strangers(to: logs).map {
      ("\($0.file): the signed head of node \($0.head.head.log.node) is of none of these logs", true)
    }
    notes += witnesses.silent(on: logs).map {
      ("\($0): no log there has taken a head of any of these logs", true)
    }
    return notes
  }

  /// The logs that this one stands in the place of, but for those that are beside it.
  private func replacements(
    of log: LogIdentity, in path: String, beside paths: [String], _ witnesses: Witnesses, _ stop: StopSignal
  ) -> [Witnesses.Result] {
    let isAccepted = acceptNew.contains(log.node)
    let found = witnesses.replacements(of: log, others: [], isAccepted: isAccepted)
    guard !found.isEmpty else { return [] }
    let others = paths.filter { $0 != path }.compactMap { other in
      (try? LogExamination(data: other, stop: stop).chain(at: [])).map {
        LogIdentity(id: $0.id, node: $0.node)
      }
    }
    return witnesses.replacements(of: log, others: others, isAccepted: isAccepted)
  }

  private func verify(_ path: String, _ witnesses: Witnesses, _ stop: StopSignal) async throws
    -> LogVerification
  {
    try await LiveRegion.run { region in
      let clock = ContinuousClock()
      let began = clock.now
      let examination = LogExamination(data: path, stop: stop)
      let found = try examination.verify(linksAt: witnesses.positions) { progress in
        let (done, head) = (progress.position.rawValue, progress.head.rawValue)
        let share = head == 0 ? 100 : Int(Double(done) / Double(head) * 100)
        let seconds = max((clock.now - began) / .seconds(1), 0.001)
        try region.draw([
          "\(path): \(Human.count(done)) of \(Human.count(head)) entries, \(share) %, "
            + "\(Human.bytes(Int(Double(progress.byteCount) / seconds)))/s, \(Human.rate(Double(done) / seconds))"
        ])
      }
      try region.draw([])
      return found
    }
  }

  private func show(_ row: Row) throws {
    let isWhole = row.findings.isEmpty
    let verdict =
      isWhole ? "sound" : row.findings.count == 1 ? "1 finding" : "\(row.findings.count) findings"
    var line = "\(row.path): "
    line += row.interruption.map { "could not be verified: \($0); read so far: " } ?? "\(verdict); "
    line += "\(Human.count(row.entries)) entries"
    // Not known where reading has ended early.
    if row.recordBytes > 0 { line += ", \(Human.bytes(row.recordBytes)) of records" }
    if row.payloads > 0 { line += ", \(Human.count(row.payloads)) payloads beside the log" }
    if row.loosePayloads > 0 {
      let payloads =
        row.loosePayloads == 1 ? "1 payload" : "\(Human.count(UInt64(row.loosePayloads))) payloads"
      line += ", \(payloads) of no event (\(Human.bytes(row.loosePayloadBytes)))"
    }
    if row.pruned > 0 { line += ", \(Human.count(row.pruned)) pruned" }
    if row.quarantined > 0 { line += ", \(Human.count(row.quarantined)) quarantined" }
    if row.unproven > 0 { line += ", \(Human.count(row.unproven)) links of the chain unproven" }
    try Output.standard.writeLine(line)
    for finding in row.findings { try Output.standard.writeLine("  \(finding)") }
    let peers = row.witnesses.filter { $0.agrees && $0.keptBy != nil }
    if !peers.isEmpty {
      let names = peers.map { "\($0.keptBy ?? "") (\(Human.count($0.headCount)))" }.joined(separator: ", ")
      try Output.standard.writeLine("  agrees with the signed heads that other logs have kept: \(names)")
    }
    for witness in row.witnesses where !(witness.agrees && witness.keptBy != nil) {
      try Output.standard.writeLine("  \(witness.file): \(witness.verdict): \(witness.text)")
    }
  }
}
