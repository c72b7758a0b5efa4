import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// What a log says differs from what the model says.
struct Disagreement: Error, CustomStringConvertible {
  let description: String

  /// - Throws: a disagreement where `isTrue` is false.
  static func unless(_ isTrue: Bool, _ what: @autoclosure () throws -> String) throws {
    if !isTrue { throw Disagreement(description: try what()) }
  }
}

/// One log and its model, from the first event on: rounds of batches, of which each must become what the model says, with
/// reads amid and between them; now and then the log is opened anew, its index made anew, its oldest entries removed.
struct ModelRun {
  /// How the log is closed and opened again.
  private enum Reopening: CaseIterable {
    case closed, killed, withoutIndex, reindexed
  }

  private(set) var operationCount = 0
  private let backend: Backend
  private var traffic: ModelTraffic
  private var home: LogHome
  private var log: any EventLog
  private var model = LogModel()
  private var reading = ModelReading()
  /// The time of the log's clock; it stands still while batches are on their way, so that the model knows theirs.
  private var now: UInt64 = 1_000_000

  init(_ backend: Backend, seed: UInt64) throws {
    self.backend = backend
    traffic = ModelTraffic(seed: seed)
    home = LogHome(backend, in: proofPlace)
    log = try home.open(.drawn(&traffic))
  }

  /// Works until the log has had so many entries.
  mutating func run(entryCount: Int) async throws {
    while model.entries.count < entryCount {
      try await runRound()
      if traffic.chance(0.06) { try reopen(traffic.pick(Reopening.allCases)) }
      if traffic.chance(0.08) { try await prune() }
    }
    try verify()
    log.close()
    operationCount += reading.operationCount
  }

  // MARK: Rounds

  private mutating func runRound() async throws {
    now += UInt64(traffic.count(in: 0...1_000)) * 1_000
    // Clocks go back, too.
    home.time.set(microseconds: traffic.chance(0.1) ? now / 2 : now)
    let taken = Timestamp(microseconds: home.time.microseconds())
    let outcomes = Outcomes()
    var batches: [LogBatch] = []
    for _ in 0..<traffic.count(in: 1...40) {
      let batch = try traffic.next(model)
      operationCount += 1 + batch.appends.count + batch.cursors.count + batch.snapshots.count
      log.submit(batch, completion: outcomes.completion(batches.count))
      batches.append(batch)
    }
    // What was there before is read while more comes.
    if !model.present.isEmpty { try reading.lookAmid(log, model, &traffic) }
    try settle(batches, outcomes.wait(batches.count), at: taken)
    traffic.goOn(behind: model)
    try compareHeads()
    guard !model.present.isEmpty else { return }
    for _ in 0..<8 { try await reading.look(log, home, model, &traffic) }
  }

  /// Tells the model of batches in the order in which the log says that it took them, which must be a rightful one.
  private mutating func settle(
    _ batches: [LogBatch], _ outcomes: [(tag: Int, result: Result<CommitReceipt, HyphaError>)],
    at now: Timestamp
  ) throws {
    for priority in LogBatch.Priority.allCases {
      let order = outcomes.map(\.tag).filter { batches[$0].priority == priority }
      try Disagreement.unless(order == order.sorted(), "completions are out of order: \(order)")
    }
    for (index, outcome) in outcomes.enumerated() {
      let priority = batches[outcome.tag].priority
      let overtakers = outcomes[..<index].enumerated().filter { place, other in
        // After three groups, of at least a batch each, intake has its turn.
        let isTurn = priority == .normal && place >= 3
        return other.tag > outcome.tag && batches[other.tag].priority >= priority && !isTurn
      }
      try Disagreement.unless(overtakers.isEmpty, "\(outcome.tag) was overtaken by \(overtakers)")
    }
    for (tag, result) in outcomes {
      let verdict = model.apply(batches[tag], at: now)
      let isRight =
        switch (verdict, result) {
        case (.taken(let expected), .success(let receipt)): receipt == expected
        case (.repeated(let expected), .success(let receipt)): receipt == expected
        case (.refused, .failure(let error)): error.code == .logConflict
        default: false
        }
      try Disagreement.unless(isRight, "of \(batches[tag]) it says \(result) instead of \(verdict)")
    }
  }

  private func compareHeads() throws {
    try Disagreement.unless(try log.head() == model.head, "head \(try log.head()) instead of \(model.head)")
    try Disagreement.unless(try log.heads() == model.heads, "heads differ")
    try Disagreement.unless(try log.cursors() == model.cursors, "cursors differ")
    for (agent, snapshot) in model.snapshots {
      try Disagreement.unless(try log.snapshot(of: agent) == snapshot, "the snapshot of \(agent) differs")
    }
    try Disagreement.unless(
      try log.gaps().map(\.range) == model.gone, "gaps \(try log.gaps()) instead of \(model.gone)")
  }

  private func verify() throws {
    let verification = try log.verify()
    try Disagreement.unless(verification.isSound, "verify: \(verification.findings)")
    try Disagreement.unless(
      verification.entryCount == UInt64(model.present.count)
        && verification.prunedCount == UInt64(model.goneCount), "verify counts \(verification)")
  }

  // MARK: Lives

  private mutating func reopen(_ how: Reopening) throws {
    operationCount += 1
    if traffic.chance(0.2) { try verify() }
    switch (how, backend) {
    case (.killed, .memory): (log as? MemoryLog)?.crash()
    case (.killed, .lmdb):
      // What is on the disk when nothing waits; the index may be amid a change, and goes.
      let copy = LogHome(backend, in: proofPlace)
      try FileManager.default.createDirectory(atPath: copy.directory, withIntermediateDirectories: true)
      for name in ["log", "payloads"]
      where FileManager.default.fileExists(atPath: "\(home.directory)/\(name)") {
        try FileManager.default.copyItem(
          atPath: "\(home.directory)/\(name)", toPath: "\(copy.directory)/\(name)")
      }
      log.close()
      home = copy
    case (.withoutIndex, .lmdb):
      log.close()
      try FileManager.default.removeItem(atPath: home.directory + "/index")
    case (.reindexed, .lmdb):
      log.close()
      let status = try LMDBLog.reindex(directory: home.directory, settings: .tiny)
      try Disagreement.unless(status.through == model.head, "reindexed through \(status.through)")
    default: log.close()
    }
    home.time.set(microseconds: now)
    log = try home.open(.drawn(&traffic))
    reading.forgetFollowers()
    try compareHeads()
  }

  /// Removes some of the oldest entries: no more than the policy takes, none that a consumer or a guard needs, and none
  /// of the blocks with what is to be spared.
  private mutating func prune() async throws {
    guard let log = log as? LMDBLog, !model.present.isEmpty else { return }
    operationCount += 1
    let newest = traffic.count(in: 1...max(1, model.present.count / 2))
    var policy = RetentionPolicy(entryCountMax: UInt64(newest))
    if traffic.chance(0.2) { policy = RetentionPolicy(takesHandled: true) }
    var needed = model.cursors.values.map(\.position)
    var guards: [PruneGuard] = []
    if traffic.chance(0.3) {
      let kept = traffic.pick(model.present).position
      guards = [PruneGuard(keeping: kept)]
      needed.append(Position(rawValue: kept.rawValue - 1))
    }
    if policy.entryCountMax != nil {
      needed.append(Position(rawValue: model.head.rawValue - min(model.head.rawValue, UInt64(newest))))
    }
    // Those that were spared before are spared again, or go.
    let kept = traffic.chance(0.5) ? traffic.count(in: 1...3) : 0
    let spared = Set((0..<kept).map { _ in traffic.pick(model.present).position })
    let plan = try log.planPrune(policy, guards: guards, sparing: spared, now: Timestamp(microseconds: now))
    guard let range = plan.range else { return }
    try Disagreement.unless(
      model.entry(at: range.lowerBound) != nil && needed.allSatisfy { range.upperBound <= $0 },
      "\(range) is to go, not \(needed)")
    let report = try await log.prune(plan, principal: "ops", time: home.time)
    let event = try #require(try log.entry(at: report.event))
    let said = try LogPruned.decode(event.record)
    try Disagreement.unless(said.last == range.upperBound.rawValue, "the log says that it pruned \(said)")
    let verdict = model.apply(
      LogBatch(appends: [.init(event.record)]), at: Timestamp(microseconds: home.time.microseconds()))
    guard case .taken(let receipt) = verdict, receipt.first == report.event else {
      throw Disagreement(description: "a prune is told of at \(report.event), which is \(verdict)")
    }
    // Which entries share a block the log alone knows.
    let gone = try log.gaps().map(\.range)
    let count = gone.reduce(0) { $0 + Int($1.upperBound.rawValue - $1.lowerBound.rawValue) + 1 }
    let stays = spared.filter { $0 <= range.upperBound }
    try Disagreement.unless(
      gone.last?.upperBound == max(range.upperBound, model.prunedThrough)
        && count == model.goneCount + Int(plan.entryCount) && !stays.contains { gone.contains($0) },
      "\(gone) are gone, not \(range) but for \(spared.sorted())")
    model.prune(leaving: gone)
    try compareHeads()
  }
}

extension [ClosedRange<Position>] {
  fileprivate func contains(_ position: Position) -> Bool { contains { $0.contains(position) } }
}

extension LogIndexSettings {
  /// Runs so small that they are written and merged all the time.
  fileprivate static let tiny = LogIndexSettings(
    runSpanCount: 256, mergeCount: 4, idleDelay: .milliseconds(2), restDelayMax: .milliseconds(20),
    mapByteCount: 1 << 22, niceValue: 0)
}

extension LMDBLogSettings {
  /// Groups of any size, a map that grows, payloads of a few KiB beside the log.
  fileprivate static func drawn(_ traffic: inout ModelTraffic) -> LMDBLogSettings {
    LMDBLogSettings(
      mapByteCount: 1 << 20, groupAppendCountMax: traffic.pick([1, 16, 4_096]), niceValue: 0,
      inlinePayloadByteCountMax: 2_000, index: .tiny)
  }
}
