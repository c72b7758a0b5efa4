import Foundation
import HyphaCore
import HyphaLog
import Synchronization
import Testing

@testable import HyphaLogLMDB

/// Readers that are slow, and a map that grows under them.
@Suite(.serialized) struct RetentionReaderTests {
  @Test func `a reader is reported once for each commit that it looks at too long`() {
    var watch = ReaderWatch()
    let begin = ContinuousClock.now
    func mark(_ commit: UInt64?, newest: UInt64, process: Int32 = 7) -> LogReaderMark {
      LogReaderMark(process: process, thread: 1, commit: commit, newest: newest)
    }
    #expect(watch.isDue(at: begin))
    #expect(watch.look([mark(10, newest: 11), mark(nil, newest: 11, process: 8)], at: begin).isEmpty)
    #expect(!watch.isDue(at: begin + .milliseconds(999)) && watch.isDue(at: begin + .seconds(1)))
    #expect(watch.look([mark(10, newest: 500)], at: begin + .seconds(10)).isEmpty)
    let long = watch.look([mark(10, newest: 600)], at: begin + .seconds(11))
    #expect(long.map(\.reader.process) == [7] && long.first?.duration == .seconds(11))
    #expect(watch.look([mark(10, newest: 700)], at: begin + .seconds(12)).isEmpty)
    // It has moved on, and begins anew.
    #expect(watch.look([mark(699, newest: 800)], at: begin + .seconds(13)).isEmpty)
    #expect(watch.look([mark(699, newest: 900)], at: begin + .seconds(24)).count == 1)
    // Many commits behind counts at once; looking at the newest never does.
    #expect(watch.look([mark(1, newest: 10_002)], at: begin + .seconds(25)).count == 1)
    #expect(watch.look([mark(9, newest: 9)], at: begin + .seconds(26)).isEmpty)
    #expect(watch.look([mark(9, newest: 9)], at: begin + .seconds(99)).isEmpty)
  }

  @Test func `the marks of readers say who looks, and how far behind`() throws {
    let home = Backend.lmdb.makeHome()
    let reports = Mutex<[LongReader]>([])
    var settings = LMDBLogSettings.small
    settings.reportLongReader = { reader in reports.withLock { $0.append(reader) } }
    let log = try home.openLMDB(settings)
    var ana = Author("ana")
    let batches = try (0..<6).map { _ in try ana.batch(1) }
    let outcomes = Outcomes()
    log.submit(batches[0], completion: outcomes.completion(0))
    _ = outcomes.wait(1)
    let child = try Child("replay", home.directory)
    #expect(child.readLine() == "open")
    while try !log.readers().contains(where: { $0.process == child.id }) { sched_yield() }
    var marks: [LogReaderMark] = []
    try log.visit(Position(rawValue: 1)...Position(rawValue: 1), .forward) { _ in
      for batch in batches.dropFirst() {
        log.submit(batch, completion: outcomes.completion(0))
        _ = outcomes.wait(1)
      }
      marks = try log.readers()
      return true
    }
    // Its own view is five commits behind, and nobody's more.
    let own = marks.filter { $0.process == getpid() && $0.commit != nil }
    #expect(own.map(\.lag) == [5])
    #expect(reports.withLock { $0 }.isEmpty)
    child.endInput()
    #expect(child.endsWithoutSignal())
    log.close()
  }

  @Test func `what a reader holds that was killed is let go of while the log is written`() async throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    var ana = Author("ana")
    _ = try await log.append(ana.batch(50))
    let child = try Child("replay", home.directory)
    #expect(child.readLine() == "open")
    func holds() throws -> Bool { try log.readers().contains { $0.process == child.id } }
    while try !holds() { await Task.yield() }
    child.killNow()
    #expect(!child.endsWithoutSignal())
    #expect(try holds(), "nobody has looked yet")
    let deadline = ContinuousClock.now + .seconds(120)
    while try holds(), ContinuousClock.now < deadline { _ = try await log.append(ana.batch(1)) }
    #expect(try !holds())
    log.close()
  }

  @Test func `under a slow replay by another process the file grows by little`() async throws {
    /// Appends and prunes in balance; returns the size of the file at each round.
    func run(_ home: LogHome, replaying: Bool) async throws -> [UInt64] {
      let log = try home.openLMDB()
      var ana = Author("ana")
      func round() async throws -> UInt64 {
        for _ in 0..<100 {
          let records = try (0..<8).map { _ in try ana.next(payload: [UInt8](repeating: 7, count: 1_500)) }
          _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
        }
        let plan = try log.planPrune(RetentionPolicy(entryCountMax: 4_000), now: .zero)
        if plan.range != nil { _ = try await log.prune(plan, principal: "ops", time: TestTime()) }
        return try log.open().environment.fileByteCount()
      }
      for _ in 1...6 { _ = try await round() }
      let child = replaying ? try Child("replay", home.directory) : nil
      if let child { #expect(child.readLine() == "open") }
      var sizes: [UInt64] = []
      for _ in 1...14 { sizes.append(try await round()) }
      child?.endInput()
      if let child {
        print("the slow replay: \(child.readLine() ?? "")")
        #expect(child.endsWithoutSignal())
      }
      #expect(try log.verify().isSound)
      log.close()
      return sizes
    }
    let alone = try await run(Backend.lmdb.makeHome(), replaying: false)
    let watched = try await run(Backend.lmdb.makeHome(), replaying: true)
    print("pages alone: \(alone.map { $0 / 4_096 }), under a slow replay: \(watched.map { $0 / 4_096 })")
    // 14 rounds append 17 MB: a reader that held its view would keep all of that.
    #expect(watched[13] < alone[13] + 8 << 20)
    #expect(watched[13] - watched[6] < 4 << 20)
  }

  @Test func `a map of 1 MiB grows while several append, and readers here and elsewhere read through it`()
    async throws
  {
    let home = Backend.lmdb.makeHome()
    var settings = LMDBLogSettings.small
    settings.mapByteCount = 1 << 20
    let log = try home.openLMDB(settings)
    let child = try Child("follow", home.directory)
    #expect(child.readLine() == "open")
    let isOver = Atomic(false)
    let log2 = log
    async let reading: Int = Task.detached {
      var count = 0
      while !isOver.load(ordering: .relaxed) {
        try log2.visit(Position(rawValue: 1)...Position(rawValue: .max), .backward) { _ in
          count += 1
          return true
        }
      }
      return count
    }.value
    try await withThrowingTaskGroup(of: Void.self) { group in
      for name in ["ana", "bob", "cy", "dee"] {
        group.addTask {
          var author = Author(AgentID(stringLiteral: name))
          for _ in 0..<160 {
            let records = try (0..<4).map { _ in
              try author.next(payload: [UInt8](repeating: 3, count: 8_192))
            }
            _ = try await log2.append(LogBatch(appends: records.map { .init($0) }))
          }
        }
      }
      for _ in 1...5 {
        child.write("look")
        #expect(child.readLine()?.hasSuffix(" sound") == true)
      }
      try await group.waitForAll()
    }
    isOver.store(true, ordering: .relaxed)
    #expect(try await reading > 0)
    child.write("look")
    #expect(child.readLine() == "2560 sound")
    child.endInput()
    #expect(child.endsWithoutSignal())
    let mapByteCount = try log.open().environment.facts().mapByteCount
    #expect(mapByteCount >= 21 << 20 && mapByteCount <= 64 << 20)
    #expect(try log.verify().entryCount == 2_560)
    log.close()
  }

  @Test(arguments: [ReadOrder.forward, .backward])
  func `who reads goes on when another process makes the map larger`(_ order: ReadOrder) throws {
    let home = Backend.lmdb.makeHome()
    let writer = try Child("append", home.directory, "1")
    for _ in 0..<60 { #expect(writer.readLine() != nil) }
    let reader = try LMDBLogReader(directory: home.directory)
    let head = try reader.head()
    let range = Position(rawValue: 1)...head
    // The map begins with 1 MiB and is doubled.
    let outgrown = try max(1 << 20, byteCount(of: home)) * 4
    var count: UInt64 = 0
    try reader.visit(range, order) { _ in
      if count == 0 { while try byteCount(of: home) < outgrown, writer.readLine() != nil {} }
      count += 1
      return true
    }
    #expect(count == head.rawValue)
    #expect(try reader.head() > head)
    writer.killNow()
  }

  @Test func `who reads from within a visit is told when the map has become too small`() throws {
    let home = Backend.lmdb.makeHome()
    let writer = try Child("append", home.directory, "1")
    for _ in 0..<60 { #expect(writer.readLine() != nil) }
    let reader = try LMDBLogReader(directory: home.directory)
    try reader.visit(Position(rawValue: 1)...(try reader.head()), .forward) { _ in
      while try byteCount(of: home) < 8 << 20, writer.readLine() != nil {}
      expectError(.logFailed, "while it was read from within a visit", "after the visit") {
        _ = try reader.head()
      }
      return false
    }
    #expect(try reader.head() > .start)
    writer.killNow()
  }

  private func byteCount(of home: LogHome) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: home.dataFile)
    return try #require(attributes[.size] as? Int)
  }
}
