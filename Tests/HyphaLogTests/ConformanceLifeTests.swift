import Dispatch
import Foundation
import HyphaCore
import HyphaLog
import Synchronization
import Testing

/// What every backend promises about opening, closing, and many threads at once.
@Suite struct ConformanceLifeTests {
  @Test(arguments: Backend.allCases)
  func `a log opened again finds everything and goes on`(_ backend: Backend) async throws {
    let home = backend.makeHome()
    var ana = Author("ana")
    let key = CursorKey(agent: "ana", channel: .persistent)
    let first = try home.open()
    var batch = try ana.batch(70)
    batch.cursors[key] = Cursor(position: Position(rawValue: 2), handledCount: 2)
    batch.snapshots["ana"] = [4, 2]
    let receipt = try await first.append(batch)
    // The newest commit has no event: what it says of the newest one must still be that one's.
    _ = try await first.append(
      LogBatch(cursors: [key: Cursor(position: Position(rawValue: 3), handledCount: 3)]))
    let identity = first.identity
    let entries = try first.read(after: .start, limit: 1_000, byteLimit: 1 << 30)
    first.close()
    // The clock went back while the log was closed; the log's own time does not.
    home.time.set(microseconds: 1)
    let second = try home.open()
    #expect(second.identity == identity)
    #expect(second.identity.node == LogHome.node)
    #expect(try second.head() == Position(rawValue: 70))
    #expect(try second.read(after: .start, limit: 1_000, byteLimit: 1 << 30) == entries)
    #expect(try second.cursor(key) == Cursor(position: Position(rawValue: 3), handledCount: 3))
    #expect(try second.snapshot(of: "ana") == [4, 2])
    let next = try await second.append(ana.batch(1))
    #expect(next.first == Position(rawValue: 71))
    #expect(next.time > receipt.time)
    #expect(try second.verify().isSound)
    #expect(try second.verify().statedCount == 71)
    second.close()
  }

  @Test(arguments: Backend.allCases)
  func `a second writer is refused until the first has closed`(_ backend: Backend) throws {
    let home = backend.makeHome()
    let first = try home.open()
    expectError(.logLocked, "open for writing") { _ = try home.open() }
    first.close()
    let second = try home.open()
    // Closing the first again must not let go of what the second has.
    first.close()
    expectError(.logLocked, "open for writing") { _ = try home.open() }
    second.close()
  }

  @Test(arguments: Backend.allCases)
  func `what is submitted after close fails, what waited before is committed`(_ backend: Backend) throws {
    let home = backend.makeHome()
    let log = try home.open()
    var ana = Author("ana")
    let outcomes = Outcomes()
    for tag in 0..<50 { log.submit(try ana.batch(3), completion: outcomes.completion(tag)) }
    log.close()
    let late = try ana.batch(1)
    log.submit(late, completion: outcomes.completion(50))
    let results = outcomes.wait(51)
    #expect(results.map(\.tag) == Array(0...50))
    #expect(results.dropLast().allSatisfy { (try? $0.result.get()) != nil })
    expectError(.logFailed, "closed") { _ = try results[50].result.get() }
    let again = try home.open()
    #expect(try again.head() == Position(rawValue: 150))
    again.close()
  }

  @Test(arguments: Backend.allCases)
  func `a log that closes from a completion ends by itself`(_ backend: Backend) throws {
    let home = backend.makeHome()
    let log = try home.open()
    var ana = Author("ana")
    let done = DispatchSemaphore(value: 0)
    log.submit(try ana.batch(1)) { _ in
      log.close()
      done.signal()
    }
    done.wait()
    // From here it waits for the writer, so that the next can open.
    log.close()
    let again = try home.open()
    #expect(try again.head() == Position(rawValue: 1))
    again.close()
  }

  @Test(arguments: Backend.allCases)
  func `completions of many threads come in the order of commits`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    let positions = Mutex<[Position]>([])
    let all = DispatchGroup()
    for thread in 0..<8 {
      Thread.detachNewThread(in: all) {
        var author = Author(AgentID(slug: "agent-\(thread)"))
        for _ in 0..<200 {
          all.enter()
          // The batch is valid, as its author has a stream to itself.
          log.submit(try! author.batch(2)) { result in
            if let receipt = try? result.get() { positions.withLock { $0.append(receipt.first) } }
            all.leave()
          }
        }
      }
    }
    all.wait()
    let order = positions.withLock { $0 }
    #expect(order.count == 1_600)
    #expect(order.map(\.rawValue) == stride(from: 1, through: 3_199, by: 2).map { UInt64($0) })
    #expect(try log.verify().entryCount == 3_200)
    #expect(try log.verify().isSound)
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `completions of groups and of lone batches come in the order of commits`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    let positions = Mutex<[Position]>([])
    let all = DispatchGroup()
    for thread in 0..<3 {
      Thread.detachNewThread(in: all) {
        var author = Author(AgentID(slug: "agent-\(thread)"))
        let room = DispatchSemaphore(value: 1 + thread)
        for _ in 0..<500 {
          room.wait()
          all.enter()
          // The batch is valid, as its author has a stream to itself.
          log.submit(try! author.batch(1)) { result in
            if let receipt = try? result.get() { positions.withLock { $0.append(receipt.first) } }
            room.signal()
            all.leave()
          }
        }
      }
    }
    all.wait()
    #expect(positions.withLock { $0.map(\.rawValue) } == Array(1...1_500))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `readers see whole commits while the writer goes on`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    let isOver = Atomic<Bool>(false)
    let broken = Mutex<[String]>([])
    let all = DispatchGroup()
    for _ in 0..<3 {
      Thread.detachNewThread(in: all) {
        var last = Position.start
        while !isOver.load(ordering: .acquiring) {
          do {
            let head = try log.head()
            if head < last || head.rawValue % 5 != 0 { broken.withLock { $0.append("head \(head)") } }
            let chunk = try log.read(after: last, limit: 50, byteLimit: 1 << 20)
            if chunk.first.map({ $0.position != last.next }) == true { broken.withLock { $0.append("gap") } }
            last = chunk.last?.position ?? last
            if let lane = try log.laneHead(Author("ana").lane()), lane.position < head {
              broken.withLock { $0.append("lane \(lane.position)") }
            }
          } catch {
            broken.withLock { $0.append("\(error)") }
          }
        }
      }
    }
    var ana = Author("ana")
    let outcomes = Outcomes()
    for tag in 0..<300 { log.submit(try ana.batch(5), completion: outcomes.completion(tag)) }
    _ = outcomes.wait(300)
    isOver.store(true, ordering: .releasing)
    all.wait()
    #expect(broken.withLock { $0 } == [])
    log.close()
  }
}

extension EventLog {
  /// Calls `body` while the writer is held in a completion, so that all that it submits is one group.
  func holdingWriter(_ body: () throws -> Void) rethrows {
    let isHeld = DispatchSemaphore(value: 0)
    let goesOn = DispatchSemaphore(value: 0)
    // On a thread of its own: a backend may call completions on the thread that submits.
    Thread.detachNewThread {
      self.submit(LogBatch()) { _ in
        isHeld.signal()
        goesOn.wait()
      }
    }
    isHeld.wait()
    defer { goesOn.signal() }
    try body()
  }
}

extension Thread {
  /// Runs `body` on a new thread, which `group` waits for.
  static func detachNewThread(in group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
    group.enter()
    detachNewThread {
      body()
      group.leave()
    }
  }
}
