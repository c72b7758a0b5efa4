import Foundation
import HyphaFormats
import Testing

extension Commands {
  /// Every public event log that names who did what, acted out at full speed.
  @Suite struct RecordedLogTests {
    /// An event log with the attribute that names its resources, and how many hand-overs it is known to have:
    /// published or counted apart from this program, see `SOURCES.md` beside the logs.
    struct Recording: CustomTestStringConvertible, Sendable {
      var file: String
      var resource = "org:resource"
      var handOverCount: Int
      var testDescription: String { "\(file) by \(resource)" }
    }

    static let recordings = [
      Recording(file: "running-example.xes", handOverCount: 32),
      Recording(file: "coselog-receipt.xes.gz", handOverCount: 1_208),
      Recording(file: "bpic2020-PrepaidTravelCost.xes.gz", handOverCount: 1_957),
      Recording(file: "bpic2020-PrepaidTravelCost.xes.gz", resource: "org:role", handOverCount: 11_199),
      Recording(file: "bpic2020-DomesticDeclarations.xes.gz", handOverCount: 9_919),
      Recording(file: "bpic2020-DomesticDeclarations.xes.gz", resource: "org:role", handOverCount: 24_283),
      Recording(file: "bpic2012.xes.gz", handOverCount: 51_712),
    ]

    /// The recordings that are on this machine; without them the test is skipped, which shows.
    static let there = recordings.filter { Places.hasRecording($0.file) }

    @Test(
      .enabled(if: !there.isEmpty, "the public event logs are not in ../shared/data"), arguments: there)
    func `every recorded hand-over is delivered once, in recorded order`(_ recorded: Recording) async throws {
      let scratch = try Scratch()
      let acted = try await ActedLog(recorded.file, "--resource", recorded.resource, in: scratch)
      #expect(acted.recording.count == recorded.handOverCount)
      try acted.expectAllDelivered(await acted.start().end(within: .seconds(600)))
      scratch.expectNothingLeft()
    }

    @Test(
      .enabled(
        if: Places.hasRecording("running-example.xes"), "the public event logs are not in ../shared/data"))
    func `a log in which nobody hands over is refused, and init says what to do`() async throws {
      let scratch = try Scratch()
      let path = Places.recording("running-example.xes")
      let result = try await scratch.hypha(
        "init", "--from", path, "--output", "acted", "--resource", "nobody")
      #expect(result.status == 1)
      #expect(
        result.errors
          == "hypha: \(path) has no hand-over between two named resources; name another --resource "
          + "attribute, such as org:role\n")
      #expect(!FileManager.default.fileExists(atPath: scratch("acted")))
    }
  }
}
