import Foundation
import Testing

/// What holds in all sources, and no compiler checks.
@Suite struct SourceRulesTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// libdispatch on Linux now and then loses a timer of the continuous clock: its timerfd has fired and is not armed again,
  /// and the task sleeps for ever. See CONTRIBUTING.md.
  @Test func `nobody sleeps by the clock whose timers get lost`() throws {
    var sleepCount = 0
    for top in ["Sources", "Tests", "Examples"] {
      let directory = Self.root.appending(path: top)
      for path in try #require(FileManager.default.subpaths(atPath: directory.path))
      where path.hasSuffix(".swift") && !path.hasSuffix("SourceRulesTests.swift") {
        let text = try String(contentsOf: directory.appending(path: path), encoding: .utf8)
        for sleep in text.ranges(of: /Task\.sleep\(\s*(for|until):/) {
          sleepCount += 1
          #expect(text[sleep.upperBound...].prefix(160).contains("clock: .suspending"), "\(top)/\(path)")
        }
        if text.contains("clock.sleep(") { #expect(!text.contains("ContinuousClock"), "\(top)/\(path)") }
      }
    }
    #expect(sleepCount > 10)
  }
}
