import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// `garble SOUND DIR`: lines of input are `FILE SEED`, FILE being `log` or `index`; each damages pages of that file of a
/// copy of SOUND below its roots, as the seed says, and then does with it what a node and an operator do. Lines of output:
/// `right COUNT errors COUNT`, or `WRONG` and what, or, for an error that names no remedy, `BARE` and it. What a verification
/// calls sound must give no errors.
func garble(_ sound: String, _ directory: String) throws {
  let facts = try Facts(of: LMDBLogReader(directory: sound))
  while let line = readLine() {
    let words = line.split(separator: " ")
    try place(sound, directory)
    let url = URL(fileURLWithPath: "\(directory)/\(words[0])/data.mdb")
    var random = SeededGenerator(seed: UInt64(words[1]) ?? 0, name: String(words[0]))
    var pages = Pages(try Data(contentsOf: url))
    for _ in 0..<Int.random(in: 1...3, using: &random) { pages.damage(&random) }
    try pages.data.write(to: url)
    let trial = Trial(facts: facts)
    if words[0] == "log" { trial.verify(directory) }
    trial.read(directory)
    trial.write(directory)
    trial.read(directory)
    say(trial.outcome)
  }
}

private func place(_ sound: String, _ directory: String) throws {
  try? FileManager.default.removeItem(atPath: directory)
  for part in ["log", "index"] {
    try FileManager.default.createDirectory(
      atPath: "\(directory)/\(part)", withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: "\(sound)/\(part)/data.mdb", toPath: "\(directory)/\(part)/data.mdb")
  }
}

/// A file of LMDB's, and what may become of its pages.
private struct Pages {
  var data: Data
  private static let byteCount = 4_096

  init(_ data: Data) { self.data = data }

  /// A page of a tree, or the first of a value's; not a meta page. Mostly one of a tree: those lead elsewhere.
  private func pick(_ random: inout SeededGenerator) -> Int {
    let all = 2..<data.count / Self.byteCount
    let wanted = random.next() % 8
    for _ in 0..<200 {
      let page = Int.random(in: all, using: &random)
      let flags = data[page * Self.byteCount + 10]
      if wanted < 4 ? flags == 2 : wanted < 6 ? flags == 1 : flags == 4 { return page }
    }
    return Int.random(in: all, using: &random)
  }

  mutating func damage(_ random: inout SeededGenerator) {
    let begin = pick(&random) * Self.byteCount
    func some(_ range: Range<Int>, _ count: ClosedRange<Int>) -> [Int] {
      (0..<Int.random(in: count, using: &random)).map { _ in begin + Int.random(in: range, using: &random) }
    }
    switch random.next() % 8 {
    case 0: for place in some(0..<Self.byteCount, 1...8) { data[place] ^= 1 << UInt8(random.next() % 8) }
    // The header: number, flags, bounds.
    case 1: for place in some(0..<16, 1...3) { data[place] = UInt8.random(in: .min ... .max, using: &random) }
    // Where the nodes begin.
    case 2:
      for place in some(16..<80, 1...6) { data[place] = UInt8.random(in: .min ... .max, using: &random) }
    case 3:
      let from = begin + Int.random(in: 0..<Self.byteCount, using: &random)
      data.resetBytes(in: from..<begin + Self.byteCount)
    case 4:
      for place in begin..<begin + Self.byteCount {
        data[place] = UInt8.random(in: .min ... .max, using: &random)
      }
    // Another page, whole, with this one's number or its own.
    case 5:
      let other = pick(&random) * Self.byteCount
      let keep = random.next() % 2 == 0 ? 8 : 0
      data.replaceSubrange(
        begin + keep..<begin + Self.byteCount, with: Data(data[other + keep..<other + Self.byteCount]))
    // A number that leads elsewhere, perhaps to what was there in an older commit.
    case 6:
      let other = UInt32(pick(&random))
      let nodeCount = max(1, (Int(data[begin + 12]) | Int(data[begin + 13]) << 8) - 16) / 2
      let pointer = begin + 16 + 2 * Int.random(in: 0..<max(1, min(nodeCount, 2_000)), using: &random)
      let node = begin + min(Int(data[pointer]) | Int(data[pointer + 1]) << 8, Self.byteCount - 20)
      let isBranch = data[begin + 10] == 1
      let keyByteCount = min(Int(data[node + 6]) | Int(data[node + 7]) << 8, Self.byteCount - 20)
      let place = isBranch ? node : min(node + 8 + keyByteCount, begin + Self.byteCount - 4)
      withUnsafeBytes(of: other.littleEndian) { data.replaceSubrange(place..<place + 4, with: $0) }
    // The nodes lie at the page's end: their lengths, children and keys.
    default:
      for place in some(2_048..<Self.byteCount, 1...12) {
        data[place] = UInt8.random(in: .min ... .max, using: &random)
      }
    }
  }
}

/// What a sound log says.
private struct Facts {
  let records: [Position: [UInt8]]
  let head: Position
  let cursors: [CursorKey: Cursor]
  let heads: LogHeads
  let gaps: [LogGap]
  let snapshots: [AgentID: [UInt8]]
  let ofAna: [Position]
  let ofAgents: Set<AgentID>

  init(of log: LMDBLogReader) throws {
    var records: [Position: [UInt8]] = [:]
    head = try log.head()
    try log.visit(Position(rawValue: 1)...head, .forward) { entry in
      records[entry.position] = try entry.entry().record.bytes
      return true
    }
    self.records = records
    cursors = try log.cursors()
    heads = try log.heads()
    gaps = try log.gaps()
    ofAgents = Set(heads.streams.keys.map(\.agent))
    var snapshots: [AgentID: [UInt8]] = [:]
    for agent in ofAgents { snapshots[agent] = try log.snapshot(of: agent) }
    self.snapshots = snapshots
    ofAna = try Self.positions(ofAnaIn: log)
  }

  static func positions(ofAnaIn log: some LogReader) throws -> [Position] {
    var query = LogQuery()
    query.agent = "ana"
    var positions: [Position] = []
    var cursor: LogCursor?
    repeat {
      let page = try log.page(of: query, after: cursor)
      positions += page.entries.map(\.position)
      cursor = page.next
    } while cursor != nil
    return positions
  }
}

/// One damaged copy, and whether all that it says is right or an error.
private final class Trial {
  let facts: Facts
  private var rightCount = 0
  private var errorCount = 0
  private var wrong: String?
  /// Whether a verification has found nothing.
  private var isSound = false
  /// What was appended, acknowledged.
  private var appended: [Position: [UInt8]] = [:]

  init(facts: Facts) { self.facts = facts }

  var outcome: String {
    if isSound, errorCount > 0 { return "WRONG verify: it has called the log sound" }
    return wrong ?? "right \(rightCount) errors \(errorCount)"
  }

  /// Reads all of it, as `hypha log verify` does.
  func verify(_ directory: String) {
    isSound = (try? LMDBLogInspection().verify(directory, linksAt: []) { _ in }.isSound) ?? false
  }

  private func hold(_ what: String, _ body: () throws -> Bool) {
    do {
      if try body() { rightCount += 1 } else { wrong = wrong ?? "WRONG \(what)" }
    } catch let error as HyphaError {
      errorCount += 1
      if error.remedy?.isEmpty ?? true { wrong = wrong ?? "BARE \(what): \(error)" }
    } catch {
      wrong = wrong ?? "BARE \(what): \(error)"
    }
  }

  private func record(at position: Position) -> [UInt8]? {
    facts.records[position] ?? appended[position]
  }

  func read(_ directory: String) {
    do {
      try read(LMDBLogReader(directory: directory))
    } catch {
      hold("open") { throw error }
    }
  }

  private func read(_ log: some LogReader) {
    let head = Position(rawValue: max(facts.head.rawValue, appended.keys.map(\.rawValue).max() ?? 0))
    hold("head") { try log.head() == head }
    hold("gaps") { try log.gaps() == facts.gaps }
    hold("cursors") { try log.cursors() == facts.cursors }
    let isFresh = appended.isEmpty
    hold("heads") { try log.heads() == facts.heads || !isFresh }
    for (key, cursor) in facts.cursors { hold("cursor \(key)") { try log.cursor(key) == cursor } }
    for (agent, snapshot) in facts.snapshots {
      hold("snapshot \(agent)") { try log.snapshot(of: agent) == snapshot }
    }
    for (lane, head) in facts.heads.lanes {
      hold("lane \(lane)") { try log.laneHead(lane) == head || !isFresh }
    }
    for (stream, head) in facts.heads.streams {
      hold("stream \(stream)") { try log.streamHead(stream) == head || !isFresh }
    }
    for order in [ReadOrder.forward, .backward] {
      var seenCount = 0
      hold("scan \(order)") {
        var isRight = true
        try log.visit(Position(rawValue: 1)...head, order) { entry in
          let found = try entry.entry().record.bytes
          isRight = isRight && record(at: entry.position) == found
          seenCount += 1
          return isRight
        }
        return isRight && seenCount == facts.records.count + appended.count
      }
    }
    for number in stride(from: 1, through: head.rawValue, by: 7) {
      let position = Position(rawValue: number)
      hold("entry \(position)") { try log.entry(at: position)?.record.bytes == record(at: position) }
    }
    hold("query") { try Facts.positions(ofAnaIn: log) == facts.ofAna }
  }

  /// Opens it as a node does, appends, prunes what can be pruned, and lets go of it.
  func write(_ directory: String) {
    do {
      let log = try openLog(directory)
      defer { log.close() }
      read(log)
      try append(to: log)
      read(log)
      try append(to: log)
      hold("plan") {
        let policy = RetentionPolicy(entryCountMax: 10)
        return try log.planPrune(policy, now: .zero).head >= facts.head
      }
    } catch {
      hold("write") { throw error }
    }
  }

  private func append(to log: LMDBLog) throws {
    let agent = try AgentID("new-\(appended.count)")
    var author = try Author(agent, epoch: 1, in: log)
    var batch = LogBatch()
    for _ in 0..<30 { batch.appends.append(.init(try author.next())) }
    batch.idempotencyKey = try IdempotencyKey("new-\(appended.count)")
    let result = Box()
    log.submit(batch) { result.set($0) }
    let receipt = try result.wait().get()
    for (index, append) in batch.appends.enumerated() {
      appended[Position(rawValue: receipt.first.rawValue + UInt64(index))] = append.record.bytes
    }
  }
}

/// What a completion said.
private final class Box: @unchecked Sendable {
  // The semaphore orders the write before the read.
  private var result: Result<CommitReceipt, HyphaError>?
  private let arrived = DispatchSemaphore(value: 0)

  func set(_ result: Result<CommitReceipt, HyphaError>) {
    self.result = result
    arrived.signal()
  }

  func wait() throws -> Result<CommitReceipt, HyphaError> {
    arrived.wait()
    guard let result else { throw HyphaError(.failed, "nothing was said") }
    return result
  }
}
