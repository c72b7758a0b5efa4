import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// A log that no node has run on.
enum PlainLog {
  /// The wall clock.
  struct Clock: TimeSource {
    func microseconds() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1e6) }
  }

  /// Appends events of agent `ana` to the log of node `hq`, which is made where there is none.
  static func append(_ count: Int, to directory: String, payload: [UInt8] = [1, 2, 3], perBatch: Int = 1)
    async throws
  {
    let log = try LMDBLog(
      directory: directory, node: "hq", settings: LMDBLogSettings(mapByteCount: 1 << 28), time: Clock())
    defer { log.close() }
    let lane = Lane(agent: "ana", channel: .persistent, target: .type("T"))
    let head = try log.laneHead(lane)
    var (previous, number) = (head?.point ?? .start, head?.point.sequence ?? 0)
    for _ in 0..<count / perBatch {
      var batch = LogBatch()
      for _ in 0..<perBatch {
        number += 1
        let id = EventID(high: UInt64(payload.count), low: number)
        let header = RecordHeader(
          id: id, time: Timestamp(microseconds: 1), channel: .persistent, agent: "ana", epoch: 1,
          sequence: number,
          previous: previous, addressee: nil, type: "T", subject: "s", contentType: .bytes, correlation: id,
          authority: Authority(principal: "ana"))
        batch.appends.append(.init(try Record(header, payload: payload)))
        previous = LanePoint(epoch: 1, sequence: number)
      }
      batch.cursors[CursorKey(agent: "ana", channel: .persistent)] = Cursor(
        position: .start, handledCount: number)
      _ = try await log.append(batch)
    }
  }
}
