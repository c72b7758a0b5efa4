import HyphaCore
import HyphaLog
import Testing

/// Random operations against a log and against plain arrays, which must agree.
@Suite struct ModelTests {
  @Test(arguments: Backend.allCases)
  func `a log agrees with plain arrays over 100,000 random operations`(_ backend: Backend) throws {
    let seed = SeededGenerator.seed
    var run = try ModelRun(backend, seed: seed)
    do {
      try run.run(operationCount: 100_000)
    } catch {
      Issue.record("HYPHA_SEED=\(seed): \(error)")
    }
  }
}

/// What a test of the model found.
private struct Disagreement: Error, CustomStringConvertible {
  let description: String
}

private struct ModelRun {
  /// What the log should say of a batch.
  private enum Expected: Equatable {
    case taken(first: UInt64)
    case refused
  }

  private var random: SeededGenerator
  private let home: LogHome
  private var log: any EventLog
  // The model.
  private var entries: [Record] = []
  private var authors: [Author]
  private var lanePositions: [Lane: [UInt64]] = [:]
  private var cursors: [CursorKey: Cursor] = [:]
  private var snapshots: [AgentID: [UInt8]] = [:]
  // What was submitted since the last look.
  private var expected: [Expected] = []
  private var outcomes = Outcomes()
  private static let types: [EventTypeName] = ["T", "U", "V", "W", "X"]

  init(_ backend: Backend, seed: UInt64) throws {
    random = SeededGenerator(seed: seed)
    home = backend.makeHome()
    log = try home.open()
    authors = (0..<40).map {
      Author(AgentID(slug: "agent-\($0)"), channel: $0 % 3 == 0 ? .alert : .persistent)
    }
  }

  mutating func run(operationCount: Int) throws {
    var operations = 0
    var nextLook = 2_000
    while operations < operationCount {
      operations += try submitOne()
      if operations >= nextLook {
        nextLook += 10_000
        try settle()
        try compare()
        if Int.random(in: 0..<2, using: &random) == 0 {
          log.close()
          log = try home.open()
          try compare()
        }
      }
    }
    try settle()
    try compare()
    try compareAll()
    log.close()
  }

  /// Submits a random batch and notes what should become of it; returns how many operations it had.
  private mutating func submitOne() throws -> Int {
    home.time.set(microseconds: .random(in: 1_000...2_000_000, using: &random))
    let index = Int.random(in: 0..<authors.count, using: &random)
    let before = authors[index]
    if Int.random(in: 0..<60, using: &random) == 0 { authors[index].beginEpoch() }
    var batch = LogBatch()
    for _ in 0..<Int.random(in: 0...12, using: &random) {
      let type = Self.types.randomElement(using: &random) ?? "T"
      let addressee: AgentID? = Bool.random(using: &random) ? nil : "bob"
      let payload = [UInt8](repeating: 5, count: Int.random(in: 0...40, using: &random))
      batch.appends.append(.init(try authors[index].next(type: type, to: addressee, payload: payload)))
    }
    if Int.random(in: 0..<4, using: &random) == 0 {
      let key = CursorKey(agent: before.agent, channel: before.channel)
      batch.cursors[key] = Cursor(position: Position(rawValue: random.next()), handledCount: random.next())
    }
    if Int.random(in: 0..<20, using: &random) == 0 {
      batch.snapshots[before.agent] = [UInt8](
        repeating: UInt8.random(in: 0...9, using: &random), count: Int.random(in: 0...6_000, using: &random))
    }
    let isSpoiled = Int.random(in: 0..<6, using: &random) == 0 && !batch.appends.isEmpty
    if isSpoiled {
      batch.appends.append(.init(try spoiledRecord(after: batch)))
      authors[index] = before
      expected.append(.refused)
    } else {
      expected.append(.taken(first: UInt64(entries.count) + 1))
      for append in batch.appends {
        entries.append(append.record)
        lanePositions[append.record.header.lane, default: []].append(UInt64(entries.count))
      }
      cursors.merge(batch.cursors) { $1 }
      snapshots.merge(batch.snapshots) { $1 }
    }
    log.submit(batch, completion: outcomes.completion(expected.count - 1))
    return batch.appends.count + batch.cursors.count + batch.snapshots.count + 1
  }

  /// An event that no log may take behind `batch`.
  private mutating func spoiledRecord(after batch: LogBatch) throws -> Record {
    let last = batch.appends[batch.appends.count - 1].record.header
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
      // Again what is there.
      return batch.appends[batch.appends.count - 1].record
    case 1:
      // Behind a gap in its lane.
      let missing = LanePoint(epoch: last.epoch, sequence: last.sequence + 1)
      return try event(
        last.agent, last.epoch, last.sequence + 2, after: missing, channel: last.channel, type: last.type,
        to: last.addressee)
    default:
      // A lane without a gap in a stream that has one.
      return try event(
        last.agent, last.epoch, last.sequence + 5, after: last.point, channel: last.channel, type: last.type,
        to: last.addressee)
    }
  }

  /// Waits for all that was submitted and compares what was said of it.
  private mutating func settle() throws {
    let results = outcomes.wait(expected.count)
    try expect(results.map(\.tag) == Array(expected.indices), "completions are out of order")
    for (result, expected) in zip(results, expected) {
      switch result.result {
      case .success(let receipt):
        try expect(
          expected == .taken(first: receipt.first.rawValue), "\(receipt) instead of \(expected)")
      case .failure(let error):
        try expect(expected == .refused && error.code == .logConflict, "\(error) instead of \(expected)")
      }
    }
    expected = []
    outcomes = Outcomes()
  }

  /// Compares heads, cursors and snapshots, and some entries.
  private mutating func compare() throws {
    try expect(try log.head().rawValue == UInt64(entries.count), "head")
    try expect(try log.cursors() == cursors, "cursors")
    for (agent, snapshot) in snapshots { try expect(try log.snapshot(of: agent) == snapshot, "snapshot") }
    let lanes = try log.laneHeads()
    try expect(lanes.count == lanePositions.count, "count of lanes")
    for (lane, positions) in lanePositions {
      let last = positions[positions.count - 1]
      let head = LaneHead(
        point: entries[Int(last) - 1].header.point, position: Position(rawValue: last),
        count: UInt64(positions.count))
      try expect(lanes[lane] == head, "head of \(lane)")
    }
    for _ in 0..<20 where !entries.isEmpty {
      let begin = Int.random(in: 0..<entries.count, using: &random)
      let limit = Int.random(in: 1...30, using: &random)
      let read = try log.read(after: Position(rawValue: UInt64(begin)), limit: limit, byteLimit: 1 << 20)
      try expect(read.map(\.record) == Array(entries[begin...].prefix(limit)), "read after \(begin)")
    }
    if let (lane, positions) = lanePositions.randomElement(using: &random) {
      try expect(
        try log.positions(ofLane: lane, after: .start).map(\.rawValue) == positions, "positions of \(lane)")
    }
  }

  private func compareAll() throws {
    var index = 0
    try log.scan { entry in
      try expect(entry.record == entries[index], "entry \(index + 1)")
      index += 1
      return true
    }
    try expect(index == entries.count, "count of entries")
    let verification = try log.verify()
    try expect(verification.isSound, "verify: \(verification.findings)")
  }

  private func expect(_ isTrue: Bool, _ what: String) throws {
    if !isTrue { throw Disagreement(description: what) }
  }
}
