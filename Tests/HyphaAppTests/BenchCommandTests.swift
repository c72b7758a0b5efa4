import Foundation
import HyphaBench
import Testing

extension Commands {
  /// `hypha bench …` in its short form: that it runs and what it prints, never how fast.
  @Suite struct BenchCommandTests {
    private struct Line: Decodable {
      var name, workload, unit: String
      var ours: Double
      var bare, ratio: Double?
      var goal: String?
      var met: Bool?
      var spread: [Double]
    }

    @Test func `each part prints its rows as JSON lines, those of other processes too`() async throws {
      let scratch = try Scratch()
      let bench = try await scratch.hypha(
        "bench", "log", "--quick", "--seconds", "0.01", "--json", "--data", scratch.path,
        within: .seconds(120))
      try #require(bench.status == 0 && bench.errors == "", "\(bench.errors)")
      let lines = try bench.lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      let names = Set(lines.map(\.name))
      for part in LogBench.Part.allCases {
        #expect(names.contains { $0.hasPrefix(part.rawValue) }, "\(part)")
      }
      #expect(names.isSuperset(of: ["open-time", "open-memory", "scan-allocations"]))
      let members = ["name", "workload", "ours", "bare", "ratio", "goal", "met", "spread", "unit", "reason"]
      for line in bench.lines { for member in members { #expect(line.contains("\"\(member)\":")) } }
      for line in lines { #expect((line.ratio == nil) == (line.bare == nil), "\(line)") }
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
      #expect(!left.contains { $0.hasPrefix("hypha-bench") })
    }

    @Test func `exports of ten times the events take no more memory`() async throws {
      let scratch = try Scratch()
      let bench = try await scratch.hypha(
        "bench", "log", "--quick", "--only", "export", "--json", "--data", scratch.path, within: .seconds(120)
      )
      try #require(bench.status == 0 && bench.errors == "", "\(bench.errors)")
      let lines = try bench.lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      #expect(lines.count == 8 && Set(lines.map(\.name)).count == 8)
      for line in lines {
        #expect(line.name.hasPrefix("export-memory-") && line.workload.contains("100000 events"))
        #expect(line.ours > 1_000_000 && (line.ratio ?? .infinity) <= 1.5, "\(line)")
      }
    }

    @Test func `delivery between processes is measured on every channel, beside bare libzmq`() async throws {
      let scratch = try Scratch()
      let bench = try await scratch.hypha(
        "bench", "channels", "--quick", "--seconds", "0.01", "--json", "--data", scratch.path,
        within: .seconds(120))
      try #require(bench.status == 0 && bench.errors == "", "\(bench.errors)")
      let lines = try bench.lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      let names = Set(lines.map(\.name))
      #expect(
        names.isSuperset(of: [
          "realtime-rate", "realtime-cpu", "realtime-low-p50", "realtime-half-p99", "alert-low-p50",
          "isolation-alert-p99", "isolation-realtime-p99", "lane-memory",
        ]))
      for line in lines { #expect(line.ours > 0, "\(line)") }
    }

    @Test func `agents of one node are measured`() async throws {
      let scratch = try Scratch()
      let bench = try await scratch.hypha(
        "bench", "agents", "--quick", "--seconds", "0.05", "--json", "--data", scratch.path,
        within: .seconds(120))
      try #require(bench.status == 0 && bench.errors == "", "\(bench.errors)")
      let lines = try bench.lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      #expect(
        lines.map(\.name) == [
          "local-rate", "step-rate", "ring-rate", "ask-rate", "ask-p50", "ask-p99", "ask-copy-p50",
          "shared-rate",
          "idle-start",
          "idle-memory",
          "recovery-memory", "recovery-time", "recovery-together",
        ])
      let recovery = try #require(lines.first { $0.name == "recovery-memory" })
      #expect(recovery.ours > 1_000_000 && (recovery.ratio ?? .infinity) <= 1.5, "\(recovery)")
      for line in lines where line.name != "idle-memory" { #expect(line.ours > 0, "\(line)") }
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
      #expect(!left.contains { $0.hasPrefix("hypha-bench") })
    }

    @Test func `persistent events are measured from one log to the next`() async throws {
      let scratch = try Scratch()
      let bench = try await scratch.hypha(
        "bench", "e2e", "--quick", "--seconds", "0.01", "--json", "--data", scratch.path,
        within: .seconds(120))
      try #require(bench.status == 0 && bench.errors == "", "\(bench.errors)")
      let lines = try bench.lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      let names = Set(lines.map(\.name))
      #expect(
        names.isSuperset(of: [
          "e2e-rate", "e2e-rate-indexed", "e2e-cpu", "e2e-half-p99", "observed-rate", "observed-cpu",
          "observed-none-cpu", "observed-work",
        ]))
      for line in lines { #expect(line.ours > 0 && (line.bare ?? 0) > 0, "\(line)") }
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path)
      #expect(!left.contains { $0.hasPrefix("hypha-bench") })
    }

    @Test func `one part prints a table`() async throws {
      let scratch = try Scratch()
      let bench = try await scratch.hypha(
        "bench", "log", "--quick", "--only", "lone", "--data", scratch.path)
      #expect(bench.status == 0 && bench.errors == "")
      let header = bench.lines.first?.split(separator: " ").map(String.init)
      #expect(header == ["name", "workload", "ours", "bare", "ratio", "goal", "met", "spread"])
      #expect(bench.lines.dropFirst().allSatisfy { $0.hasPrefix("lone-") })
      #expect(bench.output.contains("ratio ≤ 1.3"))
    }

    @Test func `a part that there is not is refused with the names of those that there are`() async throws {
      let scratch = try Scratch()
      let bench = try await scratch.hypha("bench", "log", "--only", "speed")
      #expect(bench.status == 2 && bench.output == "")
      #expect(bench.errorLines.count == 1 && bench.errors.contains("append"))
    }
  }
}
