import Foundation
import HyphaCore
import HyphaLogLMDB
import Synchronization
import Testing

@testable import HyphaLog

/// Followers: what was there and what comes, each once.
struct FollowTests {
  @Test(arguments: Backend.allCases)
  func `a follower joins old and new without a gap or a duplicate`(_ backend: Backend) async throws {
    let home = backend.makeHome()
    let log = try home.open()
    defer { log.close() }
    var author = Author("ana")
    let count = 2_000
    let records = try (0..<count).map { number in try author.next(type: RecordSource.types[number % 3]) }
    try await log.append(Array(records[..<500]))
    var query = LogQuery()
    query.types = ["opened", "seen"]
    let wanted = records.filter { query.types.contains($0.header.type) }
    let follower = log.follow(query, limits: LogPageLimits(entryCountMax: 64))
    try await withThrowingTaskGroup(of: [Record].self) { group in
      for _ in 0..<3 {
        group.addTask {
          var found: [Record] = []
          for try await entry in follower {
            found.append(entry.record)
            if found.count == wanted.count { break }
          }
          return found
        }
      }
      try await log.append(Array(records[500...]), upTo: 7)
      for try await found in group { #expect(found == wanted) }
    }
  }

  @Test(arguments: Backend.allCases)
  func `a follower begins behind a position and ends at the query's last`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    defer { log.close() }
    var author = Author("ana")
    try await log.append((0..<30).map { _ in try author.next() })
    var query = LogQuery()
    query.positions = Position(rawValue: 1)...Position(rawValue: 40)
    var walk = log.follow(query, after: Position(rawValue: 10)).makeAsyncIterator()
    let first = try await walk.nextBatch()
    #expect(first?.map(\.position.rawValue) == Array(11...30))
    try await log.append((0..<20).map { _ in try author.next() })
    var rest: [UInt64] = []
    while let entry = try await walk.next() { rest.append(entry.position.rawValue) }
    #expect(rest == Array(31...40))
    #expect(walk.position == Position(rawValue: 40))
  }

  @Test(arguments: Backend.allCases)
  func `a follower that waits ends when its task is cancelled`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    defer { log.close() }
    let task = Task {
      var walk = log.follow().makeAsyncIterator()
      return try await walk.next()
    }
    task.cancel()
    #expect(try await task.value == nil)
  }

  @Test(arguments: Backend.allCases)
  func `a follower that waits fails when the log is closed`(_ backend: Backend) async throws {
    let home = backend.makeHome()
    let log = try home.open()
    var author = Author("ana")
    try await log.append([author.next()])
    var walk = log.follow().makeAsyncIterator()
    _ = try await walk.next()
    let task = Task { [walk] in
      var walk = walk
      return try await walk.next()
    }
    log.close()
    await expectError(.logFailed, "is closed", "open it again") { _ = try await task.value }
  }

  @Test func `a follower in another process sees each acknowledged event once`() async throws {
    let home = Backend.lmdb.makeHome()
    try home.open().close()
    let child = try Child("append", home.directory, "1")
    let reader = try LMDBLogReader(directory: home.directory)
    var expected = Position.start
    for try await entry in reader.follow(limits: LogPageLimits(entryCountMax: 100)) {
      #expect(entry.position == expected.next)
      expected = entry.position
      if expected.rawValue == 3_000 { break }
    }
    child.killNow()
  }

  @Test func `a follower of files that were removed fails`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var author = Author("ana")
    try await log.append([author.next()])
    log.close()
    let reader = try LMDBLogReader(directory: home.directory)
    var walk = reader.follow().makeAsyncIterator()
    _ = try await walk.next()
    try FileManager.default.removeItem(atPath: home.directory)
    await expectError(.logFailed, "removed or replaced", "open it again") { _ = try await walk.next() }
  }

  @Test func `a poll slows down while nothing comes`() {
    var pace = PollingPace()
    #expect((0..<7).map { _ in pace.nextPause() } == [1, 2, 4, 8, 16, 20, 20].map { .milliseconds($0) })
    pace.moved()
    #expect(pace.nextPause() == .milliseconds(1))
  }
}
