import Foundation
import HyphaCore
import HyphaLogLMDB

/// Writes a line at once and whole, so that what was said before a kill is heard.
func say(_ line: String) {
  let text = line + "\n"
  _ = write(1, text, text.utf8.count)
}

struct WallClock: TimeSource {
  func microseconds() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1_000_000) }
}

/// The smallest map, so that it grows under the tests.
let settings = LMDBLogSettings(mapByteCount: 1 << 20)

func openLog(_ directory: String) throws -> LMDBLog {
  try LMDBLog(directory: directory, node: "hq", settings: settings, time: WallClock())
}
