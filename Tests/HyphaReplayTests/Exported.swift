import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import HyphaReplay

/// A log to import into.
func emptyLog(_ node: NodeID = "imported") throws -> MemoryLog {
  let identity = LogIdentity(id: EventID(high: 1, low: 1), node: node)
  return try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
}

/// All of some logs in one of the formats.
func export(
  _ logs: [any LogReader], _ format: ExportFormat = .xes, history: HistoryWatch = HistoryWatch()
) throws -> String {
  var bytes: [UInt8] = []
  var exporter = try LogExporter(
    format, expectedCount: 100, spillDirectory: NSTemporaryDirectory(), history: history
  ) { bytes += $0 }
  var replay = try Replay(of: logs)
  try replay.look()
  try replay.visit {
    try exporter.add($0)
    return true
  }
  try exporter.finish()
  return String(decoding: bytes, as: UTF8.self)
}

/// Has the bytes in a file while the body runs.
@discardableResult
func withFile<Value>(_ bytes: some Sequence<UInt8>, _ body: (String) throws -> Value) throws
  -> Value
{
  let path = NSTemporaryDirectory() + "hypha-replay-\(UUID().uuidString)"
  defer { try? FileManager.default.removeItem(atPath: path) }
  try Data(bytes).write(to: URL(fileURLWithPath: path))
  return try body(path)
}
