import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// Heads of lanes and streams, which are written down now and then.
@Suite struct HeadTableTests {
  /// Opens a copy of the log as it is now, and lets it write its heads down.
  private func expectGoesOnAsAfterAKill(_ home: LogHome, _ author: Author, seed: UInt64) async throws {
    let copy = Backend.lmdb.makeHome()
    try FileManager.default.copyItem(atPath: home.directory, toPath: copy.directory)
    let log = try copy.openLMDB()
    var author = author
    for _ in 0..<33 { _ = try await log.append(author.batch(2_000)) }
    #expect(try log.open().view().head.headsThrough.rawValue > HeadTable.writeLimit(movedCount: 0) * 2)
    let verification = try log.verify()
    #expect(verification.isSound, "HYPHA_SEED=\(seed): \(verification.findings)")
    log.close()
  }

  @Test func `heads are right before and after they are written, for the writer and for readers`()
    async throws
  {
    let home = Backend.lmdb.makeHome()
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    var log = try home.openLMDB()
    let early = try LMDBLogReader(directory: home.directory)
    var authors = try (0..<40).map { Author(try AgentID("agent\($0)")) }
    var counts = [UInt64](repeating: 0, count: authors.count)
    var total: UInt64 = 0
    var writtenThrough: [UInt64] = []
    while total < HeadTable.writeLimit(movedCount: 0) * 2 + 5_000 {
      let index = Int.random(in: authors.indices, using: &random)
      let size = Int.random(in: 1...2_500, using: &random)
      _ = try await log.append(authors[index].batch(size))
      counts[index] += UInt64(size)
      total += UInt64(size)
      let written = try log.open().view().head.headsThrough.rawValue
      if written != writtenThrough.last { writtenThrough.append(written) }
      let other = Int.random(in: authors.indices, using: &random)
      let expected = counts[other] == 0 ? nil : counts[other]
      #expect(try log.laneHead(authors[other].lane())?.count == expected, "HYPHA_SEED=\(seed)")
      if Int.random(in: 0..<20, using: &random) == 0 {
        #expect(try early.laneHead(authors[other].lane())?.count == expected, "HYPHA_SEED=\(seed)")
        #expect(
          try early.streamHead(StreamID(agent: authors[other].agent, epoch: 1, channel: .persistent))?
            .sequence
            == expected, "HYPHA_SEED=\(seed)")
      }
    }
    #expect(writtenThrough.count >= 3)
    try await expectGoesOnAsAfterAKill(home, authors[0], seed: seed)
    let heads = try log.heads()
    #expect(heads.position.rawValue == total)
    #expect(try early.heads() == heads)
    // Closing writes them down, so that nothing is read together when it is opened again.
    log.close()
    log = try home.openLMDB()
    #expect(try log.open().view().head.headsThrough == heads.position)
    #expect(try log.heads() == heads)
    #expect(try log.verify().isSound)
    log.close()
  }
}
