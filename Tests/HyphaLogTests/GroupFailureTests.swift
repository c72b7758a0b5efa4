import Dispatch
import Foundation
import HyphaCore
import HyphaLog
import Synchronization
import Testing

@testable import HyphaLogLMDB

/// A commit group that cannot be written, and what was planned behind it meanwhile.
@Suite struct GroupFailureTests {
  /// A clock that says when it is asked, which the writer does once for each group that it plans.
  private final class AskedTime: TimeSource {
    private let asked = DispatchSemaphore(value: 0)

    func microseconds() -> UInt64 {
      asked.signal()
      return 1_000_000
    }

    /// Waits until it was asked once more.
    func wait() { #expect(asked.wait(timeout: .now() + 120) == .success, "no group was planned") }
  }

  /// A log whose largest size two megabytes of payload exceed.
  private func openSmall(_ home: LogHome, _ time: AskedTime) throws -> LMDBLog {
    let settings = LMDBLogSettings(
      mapByteCount: 1 << 20, mapByteCountMax: 1 << 20, niceValue: 0, inlinePayloadByteCountMax: 2 << 20,
      index: nil)
    let log = try LMDBLog(directory: home.directory, node: LogHome.node, settings: settings, time: time)
    // Making the log took the time, too.
    time.wait()
    return log
  }

  @Test func `what was planned behind a group that fails fails with it, conflicts and all`() async throws {
    let home = Backend.lmdb.makeHome()
    let time = AskedTime()
    let log = try openSmall(home, time)
    var ana = Author("ana")
    var bob = Author("bob")
    let key = CursorKey(agent: "bob", channel: .persistent)
    // The first group: too large for the map; and once more, which is a conflict if the first is written.
    let large = LogBatch(appends: [.init(try ana.next(payload: [UInt8](repeating: 1, count: 1 << 20)))])
    // The second, behind it: what could be written by itself, and what conflicts with that.
    var small = try bob.batch(3)
    small.idempotencyKey = "once"
    small.cursors[key] = Cursor(position: Position(rawValue: 1), handledCount: 1)
    small.snapshots["bob"] = [1]
    let conflict = LogBatch(appends: [small.appends[0]])
    let outcomes = Outcomes()
    let commitCount = try log.open().environment.facts().commitCount
    try holdingCommits(of: log) {
      log.holdingWriter {
        time.wait()
        for tag in 0...1 { log.submit(large, completion: outcomes.completion(tag)) }
      }
      time.wait()
      log.submit(small, completion: outcomes.completion(2))
      log.submit(conflict, completion: outcomes.completion(3))
      // The second is planned, while the first waits to be written.
      time.wait()
    }
    let results = outcomes.wait(4)
    #expect(results.map(\.tag) == [0, 1, 2, 3])
    for (_, result) in results { expectError(.logFull, "MDB_MAP_FULL") { _ = try result.get() } }
    // Nothing of either is there.
    #expect(try log.open().environment.facts().commitCount == commitCount)
    #expect(try log.head() == .start)
    #expect(try log.heads().lanes.isEmpty && log.heads().streams.isEmpty)
    #expect(try log.cursor(key) == nil && log.snapshot(of: "bob") == nil)
    // The next go on from what is there, and the same batch is new under its key.
    let receipt = try await log.append(small)
    #expect(receipt.first == Position(rawValue: 1) && !receipt.isRepeated)
    var cy = Author("cy")
    #expect(try await log.append(cy.batch(2)).first == Position(rawValue: 4))
    await expectError(.logConflict, "in the log already") { _ = try await log.append(conflict) }
    #expect(try log.verify().isSound)
    #expect(try log.head() == Position(rawValue: 5))
    log.close()
  }

  @Test func `a group that waits behind one that fails is dropped with it`() throws {
    let home = Backend.lmdb.makeHome()
    let place = DataDirectory(path: home.directory)
    try place.create()
    let settings = LMDBLogSettings(
      mapByteCount: 1 << 20, mapByteCountMax: 1 << 20, inlinePayloadByteCountMax: 2 << 20)
    let (store, head) = try LogOpening.openForWriting(
      place, node: LogHome.node, settings: settings, time: home.time)
    let committer = try Committer(store: store, head: head, settings: settings, time: home.time)
    let queue = WriteQueue(groupAppendCountMax: 64, groupByteCountMax: 1 << 20, policy: settings.groupPolicy)
    let stage = CommitStage(committer, queue: queue, acknowledger: Acknowledger { _ in })
    Thread { stage.run() }.start()
    defer { stage.close() }
    var ana = Author("ana")
    var bob = Author("bob")
    let outcomes = Outcomes()
    func plan(_ batch: LogBatch, _ tag: Int, isAlone: Bool) -> PlannedGroup {
      let waiting = WriteQueue.Waiting(batch, completion: outcomes.completion(tag))
      return committer.planner.plan([waiting], isAlone: isAlone)
    }
    let large = LogBatch(appends: [.init(try ana.next(payload: [UInt8](repeating: 1, count: 1 << 20)))])
    let small = try bob.batch(1)
    do {
      // Holds the commit of the first until the second waits behind it; given up on this thread.
      let transaction = try store.environment.beginWriting()
      #expect(stage.handOver(plan(large, 0, isAlone: true)) == nil)
      stage.awaitRoom()
      #expect(stage.handOver(plan(small, 1, isAlone: false)) == nil)
      _ = transaction.commitNumber
    }
    for (_, result) in outcomes.wait(2) { expectError(.logFull, "MDB_MAP_FULL") { _ = try result.get() } }
    #expect(stage.drain()?.code == .logFull)
    #expect(committer.head == head)
    try committer.planner.goOn(behind: committer.head)
    stage.commitHere(plan(small, 2, isAlone: true))
    #expect(try outcomes.wait(1)[2].result.get().first == Position(rawValue: 1))
    #expect(try store.head() == Position(rawValue: 1))
  }

  /// Keeps the log's commits waiting as long as `body` runs.
  private func holdingCommits(of log: LMDBLog, _ body: () throws -> Void) throws {
    // LMDB has one write transaction at a time. This one is given up at the end, on the thread that began it.
    let transaction = try log.open().environment.beginWriting()
    try body()
    _ = transaction.commitNumber
  }
}
