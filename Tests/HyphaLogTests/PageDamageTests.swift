import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// Pages below the roots that are not what LMDB wrote: what leads elsewhere must not end the process that follows it.
@Suite struct PageDamageTests {
  /// A log of many lanes, cursors, snapshots and keys, with what a prune leaves, and its index: all trees are deep, and
  /// pages are free.
  private func makeLog() async throws -> LogHome {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB(IndexLifeTests.settings)
    var authors = try (0..<120).map { Author(try AgentID("agent-\($0)")) } + [Author("ana")]
    for round in 0..<6 {
      for index in authors.indices {
        let size = (round * 7 + index) % 40 == 3 ? 9_000 : 20 + index
        var batch = LogBatch(appends: [
          .init(try authors[index].next(payload: [UInt8](repeating: 9, count: size)))
        ])
        let agent = authors[index].agent
        batch.cursors[CursorKey(agent: agent, channel: .persistent)] = Cursor(
          position: Position(rawValue: 900), handledCount: UInt64(round))
        batch.snapshots[agent] = [UInt8](repeating: UInt8(round), count: index % 30 == 0 ? 9_000 : 60)
        batch.idempotencyKey = try IdempotencyKey("the key \(round) of \(agent)")
        _ = try await log.append(batch)
      }
    }
    let plan = try log.planPrune(RetentionPolicy(entryCountMax: 400), now: .zero)
    _ = try await log.prune(plan, principal: "ops", time: home.time)
    while let status = log.indexStatus(), status.lagCount > 0 || status.failure != nil { await Task.yield() }
    log.close()
    return home
  }

  @Test(arguments: ["log", "index"])
  func `whatever is on the pages below the roots, answers are right or errors`(_ file: String) async throws {
    let home = try await makeLog()
    let seed = SeededGenerator.seed
    let place = Backend.lmdb.makeHome()
    var child = try Child("garble", home.directory, place.directory)
    var (soundCount, errorCount) = (0, 0)
    for number in 0..<(Soak.seconds == nil ? 60 : 3_000) {
      let command = "\(file) \(seed &+ UInt64(number))"
      child.write(command)
      guard let line = child.readLine() else {
        #expect(
          child.endsWithoutSignal(), "HYPHA_SEED=\(seed) garble '\(command)' ended the process by a signal")
        child = try Child("garble", home.directory, place.directory)
        continue
      }
      #expect(line.hasPrefix("right "), "HYPHA_SEED=\(seed) garble '\(command)': \(line)")
      if line.hasSuffix(" errors 0") { soundCount += 1 } else { errorCount += 1 }
    }
    child.endInput()
    #expect(child.endsWithoutSignal())
    // An index that is damaged is made anew, and nobody notices.
    #expect(file == "index" ? errorCount == 0 : errorCount > 10, "\(soundCount), \(errorCount)")
    withExtendedLifetime((home, place)) {}
  }
}
