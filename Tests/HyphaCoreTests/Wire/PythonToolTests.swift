import Foundation
import HyphaCore
import Testing

/// `tools/hypha_wire.py`, a second implementation of the format, agrees with this one.
@Suite(.enabled(if: PythonTool.isPresent, "python3 is not installed"))
struct PythonToolTests {
  @Test func `the tool's self-test passes on the page's examples`() throws {
    let result = try PythonTool.run(["--self-test"])
    #expect(result.status == 0, "\(result.error)")
    #expect(result.output.contains("record: "))
    #expect(result.output.contains("frame: "))
    #expect(result.output.contains("control-records: "))
  }

  @Test func `the tool decodes random records and encodes them to the same bytes`() throws {
    var random = seededRandom()
    let records = try (0..<200).map { _ in try random.record() }
    let result = try PythonTool.run([], input: records.map { $0.bytes.hex + "\n" }.joined())
    #expect(result.status == 0, "\(result.error)")
    let shown = try result.output.split(separator: "\n").map {
      try JSON.decode(JSONValue.self, from: $0.utf8)
    }
    #expect(shown.count == records.count)
    for (shown, record) in zip(shown, records) {
      let header = record.header
      #expect(shown["id"]?.text == "\(header.id)")
      #expect(shown["subject"]?.text == header.subject.text)
      #expect(shown["addressee"]?.text == header.addressee?.text ?? "")
      #expect(shown["grant"]?.text == header.authority.grant)
      #expect(shown["channel"] == .integer(Int64(header.channel.rawValue)))
    }
  }

  @Test func `the tool decodes random frames and encodes them to the same bytes`() throws {
    var random = seededRandom()
    let frames = try (0..<50).map { _ in try random.frame() }
    let result = try PythonTool.run([], input: frames.map { $0.encoded().hex + "\n" }.joined())
    #expect(result.status == 0, "\(result.error)")
    let shown = try result.output.split(separator: "\n").map {
      try JSON.decode(JSONValue.self, from: $0.utf8)
    }
    #expect(shown.count == frames.count)
    for (shown, frame) in zip(shown, frames) {
      #expect(shown["via"]?.text == frame.via.text)
      #expect(shown["hops"] == .integer(Int64(frame.hops)))
      #expect((shown["remaining"] == .null) == (frame.remaining == nil))
    }
  }

  @Test func `the tool decodes random packed frames and encodes them to the same bytes`() throws {
    var random = seededRandom()
    let frames = try (0..<60).map { _ in
      Frame(
        via: "hub", topologyVersion: 5, hops: 2, remaining: .seconds(1),
        records: try PackedFrameTests.run(&random, count: random.int(1...30)))
    }
    let input = frames.map { $0.encoded(isPacked: true).hex + "\n" }.joined()
    let result = try PythonTool.run([], input: input)
    #expect(result.status == 0, "\(result.error)")
    let shown = try result.output.split(separator: "\n").map {
      try JSON.decode(JSONValue.self, from: $0.utf8)
    }
    #expect(shown.count == frames.count)
    for (shown, frame) in zip(shown, frames) {
      let ids = frame.records.map { JSONValue.string("\($0.id)") }
      guard case .array(let records)? = shown["records"] else {
        Issue.record("no records")
        continue
      }
      #expect(records.map { $0["id"] } == ids)
      #expect(shown["packed"] == .bool(true))
    }
  }

  @Test func `the tool says what is wrong with damaged bytes`() throws {
    let bytes = try smallRecord().bytes
    let result = try PythonTool.run([], input: bytes.with(UInt8(99), at: bytes.count - 1).hex + "\n")
    #expect(result.status == 1)
    #expect(result.error == "hypha_wire.py: the record's checksum does not match\n")
  }
}

/// The tool as a process of its own.
private enum PythonTool {
  static let isPresent = (try? launch(["-c", ""]))?.status == 0

  static func run(_ arguments: [String], input: String = "") throws -> Result {
    try launch([WireFormatPage.root.appending(path: "tools/hypha_wire.py").path] + arguments, input: input)
  }

  struct Result {
    var status: Int32
    var output: String
    var error: String
  }

  /// Runs python3. Its streams are files, so that no pipe can fill up.
  private static func launch(_ arguments: [String], input: String = "") throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "hypha-wire-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = ["in", "out", "err"].map { directory.appending(path: $0) }
    for (file, content) in zip(files, [input, "", ""]) { try Data(content.utf8).write(to: file) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3"] + arguments
    process.standardInput = try FileHandle(forReadingFrom: files[0])
    process.standardOutput = try FileHandle(forWritingTo: files[1])
    process.standardError = try FileHandle(forWritingTo: files[2])
    try process.run()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus, output: try String(contentsOf: files[1], encoding: .utf8),
      error: try String(contentsOf: files[2], encoding: .utf8))
  }
}
