import Foundation
import HyphaCore
import HyphaLog
import Testing

@testable import HyphaLogLMDB

/// What is kept of the small tables where single bits of a log are flipped, and its own tables are all there is.
@Suite struct SalvageFlippedBitTests {
  private let inspection = LMDBLogInspection()
  private static let agentCount = 24

  /// A closed log in each of whose commits an agent handles something and states what follows: its snapshot says how often
  /// it has. The tables take several pages, and have heads of as many lanes and streams as there are agents.
  private func makeLog() async throws -> LogHome {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var authors = (0..<Self.agentCount).map { Author(AgentID(unchecked: "agent-\($0)")) }
    for number in 0..<Self.agentCount * 3 {
      let index = number % Self.agentCount
      var batch = try authors[index].batch(2)
      let agent = AgentID(unchecked: "agent-\(index)")
      let count = UInt64(number / Self.agentCount + 1)
      for channel in [Channel.persistent, .alert] {
        batch.cursors[CursorKey(agent: agent, channel: channel)] = Cursor(
          position: Position(rawValue: UInt64(number)), handledCount: count)
      }
      batch.snapshots[agent] = Array("\(count) ".utf8) + [UInt8](repeating: 1, count: 300)
      _ = try await log.append(batch)
    }
    log.close()
    return home
  }

  @Test func `a flipped bit in the tables costs an agent all of a commit or nothing, and no head`()
    async throws
  {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let home = try await makeLog()
    let sound = try Data(contentsOf: URL(fileURLWithPath: home.dataFile))
    let known = try LMDBLogReader.handledCounts(home.directory)
    let rows = SalvagedTables.read(home).rows.filter { $0.table != "gaps" }
    let owner = try LMDBLogReader(directory: home.directory).identity
    #expect(known.count == Self.agentCount && known.values.allSatisfy { $0 == [3, 3, 3] })
    var (keptCount, olderCount, lostCount) = (0, 0, 0)
    for round in 0..<120 {
      var data = sound
      var places = [Int.random(in: 8_192..<data.count, using: &random)]
      if round % 4 != 0 {
        // Of a row's copies one is the newest commit's.
        let row = try #require(rows.randomElement(using: &random))
        let bytes = Data(row.keyBytes + row.valueBytes)
        places = data.offsets(of: bytes).map { $0 + Int.random(in: 0..<bytes.count, using: &random) }
        #expect(places.isEmpty == false)
      }
      for place in places { data[place] ^= UInt8(1 << Int.random(in: 0..<8, using: &random)) }
      try data.write(to: URL(fileURLWithPath: home.dataFile))
      let tables = SalvagedTables.read(home)
      let output = Backend.lmdb.makeHome()
      let report = try inspection.salvage(
        home.directory, to: output.directory, tables: tables,
        owner: StatedOwner(node: owner.node, id: owner.id), loose: { _ in }
      ) { _, _ in }
      let comment: Comment =
        "HYPHA_SEED=\(seed) round \(round): \(places) of \(data.count), \(report), \(tables.problem ?? "all read")"
      let found = try LMDBLogReader.handledCounts(output.directory)
      for (agent, counts) in found {
        // Its places and its snapshot are of one commit.
        #expect(counts == [3, 3, 3] || counts == [2, 2, 2], "\(agent): \(counts); \(comment)")
      }
      #expect(
        report.cursorCount == UInt64(2 * found.count) && report.snapshotCount == UInt64(found.count), comment)
      #expect(found == known || report.notes.contains { $0.contains("could be read") }, comment)
      #expect(Set(found.values) == [[3, 3, 3]] || !report.notes.isEmpty, comment)
      let verification = try inspection.verify(output.directory, linksAt: []) { _ in }
      #expect(verification.isSound && verification.quarantinedCount == report.quarantinedCount, comment)
      let heads = try LMDBLogReader(directory: output.directory).heads()
      #expect(heads.lanes.count == Self.agentCount && heads.streams.count == Self.agentCount, comment)
      if found == known { keptCount += 1 }
      if found.values.contains([2, 2, 2]) { olderCount += 1 }
      if found.count < known.count { lostCount += 1 }
    }
    #expect(keptCount > 10 && olderCount + lostCount > 10, "HYPHA_SEED=\(seed)")
  }
}

extension LMDBLogReader {
  /// How often the agents that are called `agent-0` and so on have handled something: by their places, and by a snapshot
  /// that begins with it.
  static func handledCounts(_ directory: String) throws -> [AgentID: [UInt64]] {
    let reader = try LMDBLogReader(directory: directory)
    var found: [AgentID: [UInt64]] = [:]
    for (key, cursor) in try reader.cursors() { found[key.agent, default: []].append(cursor.handledCount) }
    for number in 0..<240 {
      let agent = AgentID(unchecked: "agent-\(number)")
      guard let snapshot = try reader.snapshot(of: agent) else { continue }
      let count = UInt64(String(decoding: snapshot.prefix { $0 != 32 }, as: UTF8.self))
      found[agent, default: []].append(try #require(count))
    }
    return found
  }
}

extension SalvagedTables {
  /// What can be read of the tables of a log that may be damaged, and why there is no more.
  static func read(_ home: LogHome) -> SalvagedTables {
    var tables = SalvagedTables()
    do {
      try LMDBLogInspection().tables(home.directory) { tables.rows.append($0) }
    } catch {
      tables.problem = "\(error)"
    }
    return tables
  }
}

extension Data {
  /// Where these bytes stand.
  fileprivate func offsets(of bytes: Data) -> [Int] {
    var (found, from) = ([Int](), startIndex)
    while let range = range(of: bytes, in: from..<endIndex) {
      found.append(range.lowerBound)
      from = range.upperBound
    }
    return found
  }
}
