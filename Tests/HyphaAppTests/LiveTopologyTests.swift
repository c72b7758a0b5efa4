import Foundation
import Testing

/// Recorded mail, which a released package does not have.
private enum MailRecording {
  private static let data = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "../shared/data").standardizedFileURL.path
  static let trace = data + "/email-Eu-core-temporal.txt.gz"
  static let groups = data + "/email-Eu-core-temporal-departments.derived.tsv"
  static let isThere = FileManager.default.fileExists(atPath: trace)
  static let absence: Comment = "skipped: no recordings in ../shared/data beside the package"
}

extension Processes {
  /// `hypha bench topology` in its short form: what frames say beside what the simulation says.
  @Suite(.enabled(if: MailRecording.isThere, MailRecording.absence))
  struct LiveTopologyTests {
    private struct Row: Decodable {
      var name: String
      /// Null where so few events had nothing to measure.
      var ours, bare, ratio: Double?
    }

    @Test func `986 agents on five nodes lose nothing, and relay as much as the simulation says`()
      async throws
    {
      let scratch = try Scratch()
      let bench = try await scratch.hypha(
        "bench", "topology", MailRecording.trace, "--groups", MailRecording.groups, "--events", "3000",
        "--rate", "1000",
        "--json",
        "--data", scratch.path, within: .seconds(120))
      try #require(bench.status == 0 && bench.errors == "", "\(bench.errors)")
      let rows = try bench.lines.map { try JSONDecoder().decode(Row.self, from: Data($0.utf8)) }
      func row(_ name: String) throws -> Row { try #require(rows.first { $0.name == name }, "\(name)") }
      #expect(try row("live-faults").ours == 0)
      // Without links both follow from the tree alone.
      #expect(try row("live-relays-plain").ratio == 1, "\(rows)")
      #expect(try row("live-relays").ours ?? 0 > 0)
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
      #expect(!left.contains { $0.hasPrefix("hypha-bench") })
      scratch.expectNothingLeft()
    }
  }
}
