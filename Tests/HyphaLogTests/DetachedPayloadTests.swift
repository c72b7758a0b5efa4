import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// Events whose payloads lie beside the log.
@Suite struct DetachedPayloadTests {
  private let large = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7 / 3) }

  private func files(_ home: LogHome) -> [String] {
    let root = home.directory + "/payloads"
    let names = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
    return names.map { root + "/" + $0 }.filter {
      var isDirectory: ObjCBool = false
      return FileManager.default.fileExists(atPath: $0, isDirectory: &isDirectory) && !isDirectory.boolValue
    }
  }

  @Test func `a large payload is stored once, and its events come back as they were`() async throws {
    let home = Backend.lmdb.makeHome()
    var ana = Author("ana")
    let records = try [
      ana.next(payload: large), ana.next(), ana.next(payload: large), ana.next(payload: [9] + large),
    ]
    var log = try home.openLMDB()
    _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    #expect(files(home).count == 2)
    #expect(try log.read(after: .start, limit: 9, byteLimit: .max).map(\.record) == records)
    log.close()
    let size = try FileManager.default.attributesOfItem(atPath: home.dataFile)[.size] as? Int
    #expect(try #require(size) < 100_000)
    log = try home.openLMDB()
    #expect(try log.entry(at: Position(rawValue: 4))?.record == records[3])
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test func `a payload that was altered or lost is an error that names its position`() async throws {
    let home = Backend.lmdb.makeHome()
    var ana = Author("ana")
    let records = try [ana.next(payload: large), ana.next()]
    let log = try home.openLMDB()
    _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    let file = try #require(files(home).first)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    bytes[1_000] ^= 1
    try bytes.write(to: URL(fileURLWithPath: file))
    expectError(.logInvalid, "position 1", "payload") { _ = try log.entry(at: Position(rawValue: 1)) }
    try FileManager.default.removeItem(atPath: file)
    expectError(.logInvalid, "position 1", "payload") { _ = try log.entry(at: Position(rawValue: 1)) }
    #expect(try log.entry(at: Position(rawValue: 2))?.record == records[1])
    log.close()
  }
}
