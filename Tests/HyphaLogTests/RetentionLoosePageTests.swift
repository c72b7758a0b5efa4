import Foundation
import HyphaCore
import HyphaLog
import Synchronization
import Testing

@testable import HyphaLogLMDB

/// The file's length where pages are given up in the transaction that has taken them.
@Suite struct RetentionLoosePageTests {
  @Test func `after each step of a prune the file has every page that it counts`() async throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    for round in 1...8 {
      let home = Backend.lmdb.makeHome()
      var settings = LMDBLogSettings.small
      settings.index = nil
      let log = try home.openLMDB(settings)
      var ana = Author("ana")
      let blockCount = Int.random(in: 1...120, using: &random)
      for block in 0..<blockCount {
        let outcomes = Outcomes()
        // Many batches with a key each, in one commit.
        let batches = try (0..<Int.random(in: 1...30, using: &random)).map { number in
          var batch = try ana.batch(1)
          batch.idempotencyKey = try IdempotencyKey(
            String(repeating: "k", count: .random(in: 1...200, using: &random)) + "\(block)-\(number)")
          return batch
        }
        log.holdingWriter {
          for batch in batches { log.submit(batch, completion: outcomes.completion(0)) }
        }
        _ = outcomes.wait(batches.count)
      }
      let environment = try log.open().environment
      let short = Mutex(0)
      @Sendable func look() throws {
        let (has, counts) = (try environment.fileByteCount(), try environment.facts().usedByteCount)
        if has < UInt64(counts) { short.withLock { $0 += 1 } }
      }
      let plan = try log.planPrune(RetentionPolicy(entryCountMax: 1), now: .zero)
      if plan.range != nil {
        // While somebody looks at what was, no page is used again: all that the prune takes lies at the end.
        let view = try log.open().view()
        _ = try await log.prune(plan, principal: "ops", time: TestTime()) { _ in try? look() }
        _ = view.head
      }
      try look()
      #expect(short.withLock { $0 } == 0, "HYPHA_SEED=\(seed), round \(round)")
      log.close()
      let again = try home.openLMDB(settings)
      #expect(try again.verify().isSound, "HYPHA_SEED=\(seed), round \(round)")
      again.close()
    }
  }
}
