import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import Testing

extension Commands {
  /// `hypha forks`.
  @Suite struct ForksCommandTests {
    private struct Row: Decodable {
      var lane, node, common, kept, keptEvent, goesOn, goesOnEvent, foundAt: String
      var lost, position: Int
    }

    /// A log of node `y` with alerts of agent `a`, each by its point and that of the one before it.
    private func makeLog(_ scratch: Scratch, _ points: [(LanePoint, after: LanePoint)]) async throws {
      let log = try LMDBLog(directory: scratch("data/y"), node: "y", time: SystemScheduler())
      for (place, (point, previous)) in points.enumerated() {
        let id = EventID(high: 5, low: UInt64(place) + 1)
        let header = RecordHeader(
          id: id, time: Timestamp(microseconds: UInt64(place) + 1), channel: .alert, agent: "a",
          epoch: point.epoch, sequence: point.sequence, previous: previous, addressee: "b",
          type: "test.Alert",
          subject: "test", correlation: id, authority: Authority(principal: "a"))
        _ = try await log.append(
          LogBatch(appends: [.init(try Record(header, payload: [1]), source: .received(hops: 1))]))
      }
      log.close()
    }

    private func point(_ epoch: UInt64, _ sequence: UInt64) -> LanePoint {
      LanePoint(epoch: epoch, sequence: sequence)
    }

    @Test func `forks are listed from the logs, for people in 80 columns and for programs`() async throws {
      let scratch = try Scratch()
      try await makeLog(
        scratch,
        [
          (point(1, 1), .start), (point(1, 2), point(1, 1)), (point(1, 5), point(1, 2)),
          (point(2, 1), point(1, 1)), (point(3, 1), point(2, 1)),
        ])
      let text = try await scratch.hypha("forks", scratch("data"))
      #expect(text.status == 0 && text.errors == "" && text.lines.count == 2, "\(text)")
      #expect(text.lines.allSatisfy { $0.count <= 80 })
      for part in ["a/alert/@b", "1:1", "1:5", "2:1"] { #expect(text.lines[1].contains(part), "\(part)") }
      let json = try await scratch.hypha("forks", scratch("data/y"), "--json")
      let rows = try JSONDecoder().decode([Row].self, from: Data(json.output.utf8))
      let row = try #require(rows.first)
      #expect(rows.count == 1 && row.node == "y" && row.lost == 2 && row.position == 4)
      #expect(row.common == "1:1" && row.kept == "1:5" && row.goesOn == "2:1")
      #expect(row.keptEvent == EventID(high: 5, low: 3).description)
      #expect(row.goesOnEvent == EventID(high: 5, low: 4).description)
    }

    @Test func `where there is none it says so`() async throws {
      let scratch = try Scratch()
      try await makeLog(scratch, [(point(1, 1), .start), (point(2, 1), point(1, 1))])
      #expect(try await scratch.hypha("forks", scratch("data")).output == "no lane has forked\n")
      #expect(try await scratch.hypha("forks", scratch("data"), "--json").output == "[]\n")
      let wrong = try await scratch.hypha("forks", scratch("nothing"))
      #expect(wrong.status != 0 && wrong.errors.contains("holds no log of a node"))
    }
  }
}
