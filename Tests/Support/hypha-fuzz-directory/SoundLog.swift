import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// A log that is made once, and damaged again and again.
final class SoundLog: Sendable {
  static let shared: SoundLog = {
    do {
      return try SoundLog()
    } catch {
      fatalError("\(error)")
    }
  }()

  private let directory = NSTemporaryDirectory() + "hypha-fuzz-\(getpid())"
  private let file: [UInt8]
  private let records: [Record]

  private var dataFile: String { directory + "/log/data.mdb" }

  private init() throws {
    try? FileManager.default.removeItem(atPath: directory)
    var records: [Record] = []
    let log = try LMDBLog(
      directory: directory, node: "hq", settings: LMDBLogSettings(mapByteCount: 1 << 30), time: StoppedClock()
    )
    for count in [1, 3, 30, 1, 1] {
      var batch = LogBatch()
      for _ in 0..<count {
        let record = try Self.record(UInt64(records.count) + 1)
        batch.appends.append(.init(record))
        records.append(record)
      }
      let last = UInt64(records.count)
      batch.cursors[CursorKey(agent: "ana", channel: .persistent)] = Cursor(
        position: .start, handledCount: last)
      batch.snapshots["ana"] = [UInt8](repeating: 1, count: 100)
      let done = DispatchSemaphore(value: 0)
      log.submit(batch) { _ in done.signal() }
      done.wait()
    }
    log.close()
    self.records = records
    file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/log/data.mdb")))
  }

  private static func record(_ sequence: UInt64) throws -> Record {
    let id = EventID(high: 1, low: sequence)
    let previous = sequence == 1 ? LanePoint.start : LanePoint(epoch: 1, sequence: sequence - 1)
    let header = RecordHeader(
      id: id, time: Timestamp(microseconds: 1), channel: .persistent, agent: "ana", epoch: 1,
      sequence: sequence, previous: previous, addressee: nil, type: "T", subject: "s", contentType: .bytes,
      correlation: id, authority: Authority(principal: "ana"))
    let size = sequence.isMultiple(of: 16) ? 5_000 : Int(sequence)
    return try Record(header, payload: [UInt8](repeating: UInt8(sequence), count: size))
  }

  /// Puts the log in its place with some edits.
  func damage(_ edits: [Edit]) {
    var file = file
    for edit in edits { edit.apply(to: &file) }
    do {
      try Data(file).write(to: URL(fileURLWithPath: dataFile))
    } catch {
      fatalError("\(error)")
    }
  }

  /// Opens the log, in a child process, and reads all that it has.
  func read(stage: UnsafeMutablePointer<Int32>) -> Int32 {
    do {
      stage.pointee = Stage.opening.rawValue
      let log = try LMDBLogReader(directory: directory)
      stage.pointee = Stage.reading.rawValue
      guard try log.verify().isSound else { return Outcome.found.rawValue }
      var found: [Record] = []
      try log.scan { entry in
        found.append(entry.record)
        return true
      }
      return (found == records ? Outcome.sound : .wrong).rawValue
    } catch is HyphaError {
      return Outcome.found.rawValue
    } catch {
      return Outcome.wrong.rawValue
    }
  }
}

/// The log orders its entries by a counter where time stands still.
struct StoppedClock: TimeSource {
  func microseconds() -> UInt64 { 1_000_000 }
}
