import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization
import Testing

/// The backends of the log's protocol; each conformance test runs on all of them.
enum Backend: CaseIterable, Sendable {
  case memory, lmdb

  /// A place where a log can be opened, closed and opened again.
  func makeHome() -> LogHome { LogHome(self) }
}

/// Where a log lives while no log object has it open. On disk it is a temporary directory, removed at the end.
final class LogHome: Sendable {
  static let node: NodeID = "hq"
  let directory: String
  private let store: MemoryLogStore?
  let time = TestTime()

  init(_ backend: Backend, in place: String = NSTemporaryDirectory()) {
    directory = place + "hypha-log-\(UUID().uuidString)"
    store =
      backend == .memory
      ? MemoryLogStore(identity: LogIdentity(id: EventID(high: 1, low: 2), node: Self.node)) : nil
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  var dataFile: String { directory + "/log/data.mdb" }

  func open(_ settings: LMDBLogSettings = .small) throws -> any EventLog {
    if let store { return try MemoryLog(store: store, time: time) }
    return try LMDBLog(directory: directory, node: Self.node, settings: settings, time: time)
  }

  func openLMDB(_ settings: LMDBLogSettings = .small) throws -> LMDBLog {
    try LMDBLog(directory: directory, node: Self.node, settings: settings, time: time)
  }
}

extension LMDBLogSettings {
  /// Enough for a test, with the standard bounds of a group.
  static let small = LMDBLogSettings(mapByteCount: 1 << 30, niceValue: 0)
}

/// A clock that a test sets.
final class TestTime: TimeSource {
  private let now = Atomic<UInt64>(1_000_000)
  func microseconds() -> UInt64 { now.load(ordering: .relaxed) }
  func set(microseconds: UInt64) { now.store(microseconds, ordering: .relaxed) }
}

/// Numbers one agent's events and links its lanes, as a node does.
struct Author {
  let agent: AgentID
  var epoch: UInt64 = 1
  var channel = Channel.persistent
  var sequence: UInt64 = 0
  var ends: [Lane: LanePoint] = [:]

  init(_ agent: AgentID, epoch: UInt64 = 1, channel: Channel = .persistent) {
    self.agent = agent
    self.epoch = epoch
    self.channel = channel
  }

  func lane(type: EventTypeName = "T", to addressee: AgentID? = nil) -> Lane {
    Lane(agent: agent, channel: channel, target: addressee.map { .addressee($0) } ?? .type(type))
  }

  mutating func next(type: EventTypeName = "T", to addressee: AgentID? = nil, payload: [UInt8] = [1, 2, 3])
    throws -> Record
  {
    let lane = lane(type: type, to: addressee)
    let previous = ends[lane] ?? .start
    sequence += 1
    ends[lane] = LanePoint(epoch: epoch, sequence: sequence)
    return try event(
      agent, epoch, sequence, after: previous, channel: channel, type: type, to: addressee, payload: payload)
  }

  mutating func batch(_ count: Int, type: EventTypeName = "T") throws -> LogBatch {
    LogBatch(appends: try (0..<count).map { _ in .init(try next(type: type)) })
  }

  /// The next activation, whose lanes go on where this one's end.
  mutating func beginEpoch() {
    epoch += 1
    sequence = 0
  }
}

/// An event with every part that the log looks at.
func event(
  _ agent: AgentID, _ epoch: UInt64, _ sequence: UInt64, after previous: LanePoint = .start,
  channel: Channel = .persistent, type: EventTypeName = "T", to addressee: AgentID? = nil,
  payload: [UInt8] = [1, 2, 3]
) throws -> Record {
  let id = EventID(
    high: epoch << 32 | sequence, low: UInt64(agent.text.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
  return try Record(
    RecordHeader(
      id: id, time: Timestamp(microseconds: 1_000_000), channel: channel, agent: agent, epoch: epoch,
      sequence: sequence, previous: previous, addressee: addressee, type: type, subject: "s",
      contentType: .bytes, correlation: id, authority: Authority(principal: agent)),
    payload: payload)
}

extension SeededGenerator {
  /// `HYPHA_SEED` where it is set, else a new one.
  static var seed: UInt64 {
    ProcessInfo.processInfo.environment["HYPHA_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...999_999)
  }
}

/// Expects an error of `code` whose line has all of `words`.
func expectError(
  _ code: HyphaError.Code, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws -> Void
) {
  do {
    try body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  } catch {
    expect(error, code, words, sourceLocation: sourceLocation)
  }
}

/// Expects an error of `code` whose line has all of `words`.
func expectError(
  _ code: HyphaError.Code, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async {
  do {
    try await body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  } catch {
    expect(error, code, words, sourceLocation: sourceLocation)
  }
}

private func expect(
  _ error: any Error, _ code: HyphaError.Code, _ words: [String], sourceLocation: SourceLocation
) {
  guard let error = error as? HyphaError else {
    Issue.record("not an error of Hypha's: \(error)", sourceLocation: sourceLocation)
    return
  }
  #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
  for word in words {
    #expect(error.description.contains(word), "\(error)", sourceLocation: sourceLocation)
  }
}

/// Collects what completions say, and waits for a number of them.
final class Outcomes: Sendable {
  private let results = Mutex<[(Int, Result<CommitReceipt, HyphaError>)]>([])
  private let arrived = DispatchSemaphore(value: 0)

  func completion(_ tag: Int) -> @Sendable (Result<CommitReceipt, HyphaError>) -> Void {
    { result in
      self.results.withLock { $0.append((tag, result)) }
      self.arrived.signal()
    }
  }

  /// The outcomes in the order of their arrival, once there are `count` more of them.
  func wait(_ count: Int) -> [(tag: Int, result: Result<CommitReceipt, HyphaError>)] {
    for _ in 0..<count { arrived.wait() }
    return results.withLock { $0.map { (tag: $0.0, result: $0.1) } }
  }
}
