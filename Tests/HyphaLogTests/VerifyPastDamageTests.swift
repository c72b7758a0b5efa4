import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// A verification names where a log breaks, and goes on behind it.
@Suite struct VerifyPastDamageTests {
  private static let entryCount = 400

  /// A closed log whose table of blocks has many leaves: some blocks lie on pages of their own.
  private func makeLog() async throws -> LogHome {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var author = Author("ana")
    for number in 0..<Self.entryCount {
      let size = number % 50 == 7 ? 6_000 : 30
      let record = try author.next(payload: Array("\(number) ".utf8) + Array(repeating: 7, count: size))
      _ = try await log.append(LogBatch(appends: [.init(record)]))
    }
    log.close()
    return home
  }

  private func verify(_ home: LogHome) throws -> LogVerification {
    try LMDBLogInspection().verify(home.directory, linksAt: []) { _ in }
  }

  private func write(_ bytes: [UInt8], to home: LogHome) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: home.dataFile))
  }

  @Test func `pages that are broken are named with their positions, and all others are read`() async throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let home = try await makeLog()
    let sound = PageFile(try Data(contentsOf: URL(fileURLWithPath: home.dataFile)))
    let leaves = try sound.leaves(of: "blocks")
    #expect(leaves.count > 8)
    for round in 0..<10 {
      var file = sound
      var broken = Set(
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
          Int.random(in: leaves.indices, using: &random)
        })
      // The first, the last, and two beside each other.
      if round < 3 { broken = [[0], [leaves.count - 1], [3, 4]][round] }
      for index in broken { file.clear(leaves[index].page) }
      try write(file.bytes, to: home)
      let found = try verify(home)
      let lost = broken.sorted().flatMap { leaves[$0].keys }
      let comment: Comment = "HYPHA_SEED=\(seed) round \(round): \(broken), \(found)"
      #expect(found.firstBroken == lost.first, comment)
      #expect(Int(found.entryCount) == Self.entryCount - lost.count, comment)
      for index in broken where !broken.contains(index - 1) {
        let begins = "position \(leaves[index].keys[0]): "
        #expect(
          found.findings.contains {
            $0.hasPrefix(begins) && $0.contains("page \(leaves[index].page) of the table blocks is broken")
          }, comment)
      }
      // Each damaged stretch is said once, and nothing else is.
      #expect(found.findings.count == broken.count { !broken.contains($0 - 1) }, comment)
    }
    // Where the root is, the file's bytes are searched.
    var file = sound
    file.clear(try sound.root(of: "blocks"))
    try write(file.bytes, to: home)
    let found = try verify(home)
    #expect(found.findings.count == 1 && Int(found.entryCount) == Self.entryCount, "\(found)")
    #expect(found.findings[0].contains("has a broken page"), "\(found)")
  }

  @Test func `a cut file is read up to the cut, and the position behind it is named`() async throws {
    let home = try await makeLog()
    let sound = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let lease = try EnvironmentRegistry.lease(log: DataDirectory(path: home.directory).log, mode: .reading)
    var blocks: [Position: Data] = [:]
    try TableCheck.forEachRow(of: "blocks", lease.environment) { key, value in
      blocks[try BlockLayout.position(ofKey: key)] = Data(value)
    }
    for share in [99, 90, 70, 40, 10] {
      let damaged = Backend.lmdb.makeHome()
      try FileManager.default.createDirectory(
        atPath: damaged.directory + "/log", withIntermediateDirectories: true)
      let data = sound.prefix(sound.count * share / 100)
      try data.write(to: URL(fileURLWithPath: damaged.dataFile))
      // A block may begin before the cut.
      let kept = blocks.filter { data.range(of: $0.value) != nil }
      let lost = blocks.keys.filter { kept[$0] == nil }.min()
      let found = try verify(damaged)
      let comment: Comment = "\(share) %: \(kept.count) kept, \(found)"
      // Not every block that is there can be proven to be of this log, but those before the first that is lost.
      #expect(Int(found.entryCount) <= kept.count, comment)
      #expect(lost.map { found.entryCount >= $0.rawValue - 1 } ?? (found.entryCount == kept.count), comment)
      #expect(found.findings.contains { $0.contains("was cut short") }, comment)
      #expect(found.firstBroken == lost || lost == nil && found.firstBroken == found.head.next, comment)
    }
  }
}
