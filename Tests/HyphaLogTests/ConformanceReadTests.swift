import Foundation
import HyphaCore
import HyphaLog
import Synchronization
import Testing

/// What every backend promises about reading.
@Suite struct ConformanceReadTests {
  @Test(arguments: Backend.allCases)
  func `an empty log reads as empty`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    #expect(try log.head() == .start)
    #expect(try log.read(after: .start, limit: 10, byteLimit: 10) == [])
    #expect(try log.laneHeads() == [:])
    #expect(try log.streamHeads() == [:])
    #expect(try log.heads() == LogHeads(position: .start, lanes: [:], streams: [:]))
    #expect(try log.cursors() == [:])
    #expect(try log.position(before: Timestamp(microseconds: 5)) == .start)
    let verification = try log.verify()
    #expect(verification.isSound && verification.entryCount == 0)
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `reads are cut off by count and by bytes, but are never empty`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    let records = try (0..<10).map { _ in try ana.next(payload: [UInt8](repeating: 0, count: 5_000)) }
    _ = try await log.append(LogBatch(appends: records.map { .init($0) }))
    func read(_ after: UInt64, _ limit: Int, _ byteLimit: Int) throws -> [UInt64] {
      try log.read(after: Position(rawValue: after), limit: limit, byteLimit: byteLimit)
        .map(\.position.rawValue)
    }
    #expect(try read(0, 4, 1 << 20) == [1, 2, 3, 4])
    #expect(try read(8, 4, 1 << 20) == [9, 10])
    #expect(try read(3, 100, 3 * records[0].bytes.count) == [4, 5, 6])
    #expect(try read(3, 100, 3 * records[0].bytes.count - 1) == [4, 5])
    #expect(try read(3, 100, 0) == [4])
    #expect(try read(10, 100, 100) == [])
    #expect(try read(.max, 100, 100) == [])
    #expect(try read(0, 0, 100) == [])
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `heads of lanes and streams name the newest event and count all`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    var alert = Author("ana", channel: .alert)
    _ = try await log.append(ana.batch(3))
    _ = try await log.append(ana.batch(2, type: "U"))
    _ = try await log.append(alert.batch(1))
    ana.beginEpoch()
    _ = try await log.append(ana.batch(1))
    let lanes = try log.laneHeads()
    #expect(lanes.count == 3)
    #expect(lanes[ana.lane()] == head(2, 1, at: 7, count: 4))
    #expect(lanes[ana.lane(type: "U")] == head(1, 5, at: 5, count: 2))
    #expect(lanes[alert.lane()] == head(1, 1, at: 6, count: 1))
    #expect(try log.laneHead(ana.lane(to: "ana")) == nil)
    let streams = try log.streamHeads()
    #expect(streams.count == 3)
    let first = StreamID(agent: "ana", epoch: 1, channel: .persistent)
    #expect(streams[first] == StreamHead(sequence: 5, position: Position(rawValue: 5), count: 5))
    let second = StreamID(agent: "ana", epoch: 2, channel: .persistent)
    #expect(streams[second] == StreamHead(sequence: 1, position: Position(rawValue: 7), count: 1))
    log.close()
  }

  private func head(_ epoch: UInt64, _ sequence: UInt64, at position: UInt64, count: UInt64) -> LaneHead {
    LaneHead(
      point: LanePoint(epoch: epoch, sequence: sequence), position: Position(rawValue: position), count: count
    )
  }

  @Test(arguments: Backend.allCases)
  func `times grow with positions, and a time finds its position`(_ backend: Backend) async throws {
    let home = backend.makeHome()
    let log = try home.open()
    var ana = Author("ana")
    var receipts: [CommitReceipt] = []
    for step in 0..<20 {
      // The clock stands still in between, and once goes back.
      home.time.set(microseconds: [1_000, 1_000, 2_000, 1_500][step % 4] + UInt64(step / 4) * 10_000)
      receipts.append(try await log.append(ana.batch(2)))
    }
    let times = try log.read(after: .start, limit: 100, byteLimit: 1 << 20).map(\.appendedAt)
    #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 })
    for receipt in receipts {
      #expect(try log.position(before: receipt.time).next == receipt.first)
    }
    #expect(try log.position(before: .zero) == .start)
    #expect(try log.position(before: Timestamp(rawValue: .max)) == Position(rawValue: 40))
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `heads are of one commit while the log is written`(_ backend: Backend) throws {
    let log = try backend.makeHome().open()
    let outcomes = Outcomes()
    let commitCount = 1_000
    Thread.detachNewThread {
      var ana = Author("ana")
      // The batches are valid, as their author has the log to itself.
      for tag in 0..<commitCount { log.submit(try! ana.batch(1), completion: outcomes.completion(tag)) }
    }
    let wrong = Mutex<[String]>([])
    // Each has a view of its own, and all look at what has moved since.
    DispatchQueue.concurrentPerform(iterations: 4) { _ in
      var position: UInt64 = 0
      do {
        while position < commitCount {
          let heads = try log.heads()
          position = heads.position.rawValue
          let counts = [
            heads.lanes.values.reduce(0) { $0 + $1.count }, heads.streams.values.reduce(0) { $0 + $1.count },
          ]
          if counts != [position, position] { wrong.withLock { $0.append("\(counts) at \(position)") } }
        }
      } catch {
        wrong.withLock { $0.append("\(error)") }
      }
    }
    _ = outcomes.wait(commitCount)
    #expect(wrong.withLock { $0 } == [])
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `a lane's positions and a stream's entries are found by their links`(_ backend: Backend) async throws {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    for index in 0..<12 {
      let record = try ana.next(type: index % 3 == 0 ? "U" : "T")
      _ = try await log.append(LogBatch(appends: [.init(record)]))
    }
    let lane = ana.lane(type: "U")
    #expect(try log.positions(ofLane: lane, after: .start).map(\.rawValue) == [1, 4, 7, 10])
    let point = LanePoint(epoch: 1, sequence: 4)
    #expect(try log.positions(ofLane: lane, after: point).map(\.rawValue) == [7, 10])
    #expect(try log.positions(ofLane: ana.lane(to: "x"), after: .start) == [])
    let stream = StreamID(agent: "ana", epoch: 1, channel: .persistent)
    #expect(try log.read(stream: stream).map(\.record.header.sequence) == Array(1...12))
    #expect(try log.read(stream: stream, from: 5, limit: 3).map(\.record.header.sequence) == [5, 6, 7])
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `a part of a long lane is found without the rest, and little of a stream is loaded`(
    _ backend: Backend
  ) async throws {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    for _ in 0..<12 { _ = try await log.append(ana.batch(1_000)) }
    let counting = CountingReader(log)
    for begin in [0, 1, 77, 5_000, 11_000, 11_998, 12_000] as [UInt64] {
      counting.lookCount = 0
      let point = LanePoint(epoch: 1, sequence: begin)
      let found = try counting.positions(ofLane: ana.lane(), after: point, limit: 50)
      let expected = begin == 12_000 ? [] : Array(begin + 1...min(begin + 50, 12_000))
      #expect(found.map(\.rawValue) == expected)
      #expect(counting.lookCount < 4_096 + 50 + 100, "after \(begin)")
    }
    let stream = StreamID(agent: "ana", epoch: 1, channel: .persistent)
    let read = try counting.read(stream: stream, from: 30, limit: 7)
    #expect(read.map(\.record.header.sequence) == Array(30...36))
    #expect(counting.loadCount == 7)
    log.close()
  }

  @Test(arguments: Backend.allCases)
  func `a received stream whose lanes came apart is read in the order of its sequence`(_ backend: Backend)
    async throws
  {
    let log = try backend.makeHome().open()
    var ana = Author("ana")
    let records = try (0..<6).map { try ana.next(type: $0 % 2 == 0 ? "T" : "U") }
    let apart = [1, 3, 0, 5, 2, 4].map { LogBatch.Append(records[$0], source: .received(hops: 1)) }
    _ = try await log.append(LogBatch(appends: apart))
    let stream = StreamID(agent: "ana", epoch: 1, channel: .persistent)
    #expect(try log.read(stream: stream).map(\.record.header.sequence) == [1, 2, 3, 4, 5, 6])
    #expect(try log.read(stream: stream, from: 4).map(\.record.header.sequence) == [4, 5, 6])
    // What is stated here goes on behind the highest sequence, which is not the newest entry's.
    _ = try await log.append(LogBatch(appends: [.init(try ana.next(type: "T"))]))
    #expect(try log.verify().findings == [])
    log.close()
  }
}
