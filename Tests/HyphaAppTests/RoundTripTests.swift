import Foundation
import HyphaCore
import Testing

extension Commands {
  /// Files of another tool, imported and exported again, are to that tool what they were.
  @Suite(
    .enabled(
      if: ExportTools.areThere, "no Python with what tools/check-exports names; HYPHA_PYTHON may name one"))
  struct RoundTripTests {
    /// Imports a file, and exports it in each format.
    private func throughLog(_ path: String, as formats: [String], in scratch: Scratch) async throws
      -> [String]
    {
      let data = scratch("log-\(UUID().uuidString)")
      let made = try await scratch.hypha("import", path, "--data", data)
      #expect(made.status == 0, "\(made.errors)")
      var files: [String] = []
      for format in formats {
        files.append("\(data).\(format)")
        let exported = try await scratch.hypha(
          "export", "--data", data, "--format", format, "-o", "\(data).\(format)")
        #expect(exported.status == 0, "\(exported.errors)")
      }
      return files
    }

    @Test func `XES that pm4py has written comes back to it equal`() async throws {
      let scratch = try Scratch()
      let written = try await ExportTools.findings("write-xes", scratch("pm4py.xes"), in: scratch)
      #expect(written["events"] == .integer(6) && written["traces"] == .integer(4))
      let again = try #require(try await throughLog(scratch("pm4py.xes"), as: ["xes"], in: scratch).first)
      let found = try await ExportTools.findings("same-xes", scratch("pm4py.xes"), again, in: scratch)
      #expect(found["differences"] == .integer(0) && found["sizes"] == .bool(true), "\(found)")
      #expect(found["events"] == .integer(6) && found["attributes"] == .integer(104))
    }

    @Test(
      .enabled(if: Places.hasRecording("coselog-receipt.xes.gz"), "no recordings in ../shared/data"),
      arguments: [("running-example.xes", 42), ("coselog-receipt.xes.gz", 8_577)])
    func `a public recording comes back to pm4py equal`(_ name: String, _ count: Int64) async throws {
      let scratch = try Scratch()
      let source = Places.recording(name)
      let again = try #require(try await throughLog(source, as: ["xes"], in: scratch).first)
      let found = try await ExportTools.findings("same-xes", source, again, in: scratch)
      #expect(found["differences"] == .integer(0) && found["sizes"] == .bool(true), "\(found)")
      #expect(found["events"] == .integer(count))
    }

    @Test func `OCEL that pm4py has written comes back to it equal, in both forms`() async throws {
      let scratch = try Scratch()
      for (form, other) in [("json", "sqlite"), ("sqlite", "json")] {
        let source = scratch("pm4py.\(form)")
        let written = try await ExportTools.findings("write-ocel-\(form)", source, in: scratch)
        #expect(written["changes"] == .integer(4) && written["links"] == .integer(4))
        let files = try await throughLog(source, as: ["ocel-\(form)", "ocel-\(other)"], in: scratch)
        // From a database by way of JSON, and another log, too. pm4py's JSON calls truth values texts, which a database makes them.
        let detour = form == "sqlite" ? try await throughLog(files[1], as: ["ocel-sqlite"], in: scratch) : []
        for again in [files[0]] + detour {
          let found = try await ExportTools.findings("same-ocel-\(form)", source, again, in: scratch)
          #expect(found["differences"] == .integer(0), "\(form): \(found)")
          #expect(found["events"] == .integer(4) && found["objects"] == .integer(5), "\(found)")
        }
      }
    }
  }
}
