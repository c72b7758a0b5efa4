import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaRuntime

/// Checks what readers of shared values say that they have read against the logs of their nodes, and nothing else.
struct SharedChecker {
  private(set) var violations: [String] = []
  /// How many reads have found a value, and how many none though there was one.
  private(set) var foundCount = 0
  private(set) var staleCount = 0

  private struct Value {
    let position: Position
    let record: Record
  }

  init(_ run: ScenarioRun) throws {
    for (node, log) in run.logs.sorted(by: { $0.key < $1.key }) { try check(node, log, run.topology) }
  }

  private mutating func fail(_ promise: String, _ text: String) { violations.append("\(promise): \(text)") }

  private mutating func check(_ node: NodeID, _ log: LoggedNode, _ topology: Topology) throws {
    let places = Dictionary(log.entries.map { ($0.record.id, $0.position) }) { first, _ in first }
    let values = log.entries.filter { $0.record.type == Board.eventType }
      .map { Value(position: $0.position, record: $0.record) }
    // What each reader has read here before, by what it asked for.
    var before: [String: LanePoint] = [:]
    for entry in log.entries where entry.source == .stated && entry.record.type == Sighted.eventType {
      let record = entry.record
      guard let reader = topology.agent(record.agent), let cause = places[record.causation] else {
        fail("taken-before-seen", "\(node) has \(record.id) without its cause")
        continue
      }
      let mine = values.filter { value in
        reader.subscribes.contains { $0.subjects.matches(value.record.subject) }
      }
      let sighted = try Sighted.decode(record)
      for sight in sighted.sights {
        let wanted = mine.filter {
          $0.record.agent == sight.author
            && sight.about.map { [subject = $0.record.subject] in $0 == subject } ?? true
        }
        let name = "\(record.agent) \(sight.author) \(sight.about?.text ?? "")"
        // What the log had before the input was read or was too old; what came later may have been read.
        let known = wanted.filter { $0.position <= cause }.max { $0.record.point < $1.record.point }
        check(sight, of: wanted, known?.record, sighted.now, at: entry.position, "\(node): \(name)")
        guard let found = sight.found else { continue }
        if sight.bound == nil, let last = before[name], found.version < last {
          fail("shared-newest", "\(node): \(name) reads \(found.version) after \(last)")
        }
        if sight.bound == nil { before[name] = found.version }
      }
      checkAll(sighted.all, of: mine, through: cause, "\(node): \(record.agent)")
    }
  }

  private mutating func check(
    _ sight: Sight, of values: [Value], _ known: Record?, _ now: Timestamp, at position: Position,
    _ name: String
  ) {
    guard let found = sight.found else {
      guard let known else { return }
      // Time stands still while a simulated handler runs.
      let isTooOld = sight.bound.map { now.since(known.time) > .microseconds(Int64($0)) } ?? false
      if isTooOld {
        staleCount += 1
      } else {
        fail("shared-newest", "\(name) reads nothing of \(known.point)")
      }
      return
    }
    foundCount += 1
    let stated = values.first { $0.record.point == found.version && $0.position < position }
    guard let stated, (try? Board.decode(stated.record))?.number == found.number,
      stated.record.time == found.statedAt, found.author == sight.author
    else { return fail("shared-versioned", "\(name) reads \(found), which the log has not") }
    if let known, found.version < known.point {
      fail("shared-newest", "\(name) reads \(found.version), and the log had \(known.point)")
    }
    let age = max(.zero, now.since(found.statedAt)).wholeMicroseconds
    if found.ageMicroseconds != age || sight.bound.map({ age > $0 }) ?? false {
      fail(
        "shared-bounded",
        "\(name) reads what is \(age) old as \(found.ageMicroseconds), bound \(sight.bound ?? 0)")
    }
  }

  private mutating func checkAll(
    _ found: [Sight.Found], of values: [Value], through cause: Position, _ name: String
  ) {
    let keys = Set(values.filter { $0.position <= cause }.map { "\($0.record.agent) \($0.record.subject)" })
    let read = found.map { "\($0.author) \(Board.about($0.number % 3))" }
    if !keys.isSubset(of: Set(read)) || Set(read).count != read.count {
      fail("shared-newest", "\(name) reads \(read) of \(keys)")
    }
  }
}
