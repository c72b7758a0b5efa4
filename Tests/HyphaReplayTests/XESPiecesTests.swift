import Foundation
import HyphaCore
import HyphaFormats
import HyphaLog
import Testing

@testable import HyphaReplay

/// What of an XES file no entry holds whole is in the log in pieces, and exported as it was.
@Suite struct XESPiecesTests {
  private func imported(path: String, _ node: NodeID = "imported") throws -> MemoryLog {
    let log = try emptyLog(node)
    try LogImporter(into: log).addRecording(GzipInputStream(path: path), options: .init(placeholders: [""]))
    return log
  }

  private func imported(_ text: String, _ node: NodeID = "imported") throws -> MemoryLog {
    try withFile(text.utf8) { try imported(path: $0, node) }
  }

  /// More than a mebibyte in many elements, with characters of one to four bytes.
  private static func nested(_ name: String) -> String {
    let values = (0..<20_000).map { #"<string key="\#(name) \#($0)" value="/é€𐍈 &quot;\#($0 % 7)&quot;"/>"# }
    return "<list key=\"\(name)\"><values>\(values.joined())</values></list>"
  }

  /// As much in one value, once JSON has escaped it: no text of an XES file may be larger than a mebibyte.
  private static func long(_ name: String) -> String {
    "<string key=\"\(name)\" value=\"\(String(repeating: "\\é\\\\", count: 200_000))\"/>"
  }

  private static func file(_ mark: String) -> String {
    func event(_ name: String, _ more: String = "") -> String {
      "<event><string key=\"concept:name\" value=\"\(name)\"/>"
        + "<date key=\"time:timestamp\" value=\"2011-10-01T00:00:00.000Z\"/>\(more)</event>"
    }
    return "<log>\(nested("log \(mark)"))\(long("log"))<trace><string key=\"concept:name\" value=\"1\"/>"
      + "\(nested("trace"))\(event("a", long("event \(mark)")))\(event("b"))\(event("c", nested("event")))</trace>"
      + "<trace><string key=\"concept:name\" value=\"2\"/>\(long("trace"))\(event("d", "<int key=\"n\" value=\"1\"/>"))"
      + "</trace></log>"
  }

  /// The file's elements, however they are laid out.
  private func lines(_ text: String) -> [String] {
    text.replacing("\n", with: "").replacing(#"xml version="1.0" encoding="UTF-8"?"#, with: "")
      .split(separator: "<").map(String.init)
  }

  @Test func `attributes that no entry holds come back, of the log, of traces and of events`() throws {
    let log = try imported(Self.file("x"))
    let exported = try export([log])
    #expect(exported.utf8.count > 5 << 20)
    // The header has the classifier that a log of Hypha's own needs only where there are such events.
    #expect(lines(exported).dropFirst() == lines(Self.file("x"))[...])
    // Once more the same to the byte, and by way of CloudEvents.
    #expect(try export([imported(exported)]) == exported)
    let events = try export([log], .cloudEvents)
    let again = try withFile(events.utf8) { path in
      let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "imported")
      let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: World.SkewedTime())
      try LogImporter(into: log).addCloudEvents(GzipInputStream(path: path))
      return log
    }
    #expect(try export([again]) == exported)
  }

  @Test func `pieces of two logs are told apart`() throws {
    let both = try export([imported(Self.file("x"), "one"), imported(Self.file("y"), "two")])
    for mark in ["log x 19999", "log y 19999", "event x", "event y"] {
      #expect(both.ranges(of: "key=\"\(mark)\"").count == 1, "\(mark)")
    }
    #expect(both.ranges(of: "<event>").count == 8 && both.ranges(of: "key=\"event 19999\"").count == 2)
  }

  @Test func `texts are split between characters, and joined again are what they were`() {
    for text in [
      "", "a", String(repeating: "€", count: XESPieces.textByteCountMax),
      String(repeating: "𐍈a", count: 99_999),
    ] {
      let texts = XESPieces.texts(of: Array(text.utf8))
      #expect(texts.joined() == text)
      #expect(texts.allSatisfy { $0.utf8.count <= XESPieces.textByteCountMax })
    }
  }

  @Test func `what lacks a piece is left out`() throws {
    let log = try imported(Self.file("x"))
    var (joiner, wholes) = (XESPieceJoiner(), 0)
    try log.visit(Position.start.next...Position(rawValue: .max), .forward) { view in
      guard view.record.contentType == .xesPiece else { return true }
      // The second piece of the log's list is gone.
      if view.position.rawValue != 3, joiner.add(view.record, origin: 1) != nil { wholes += 1 }
      return true
    }
    #expect(wholes == 3)
  }

  @Test(
    .enabled(
      if: FileManager.default.isReadableFile(atPath: ImportTests.path("bpic2012.xes.gz")),
      "the public recordings are not here"))
  func `a public recording with a declaration of megabytes comes back`() throws {
    // It comes first; some traces behind it are enough.
    let whole = try GzipInputStream.whole(ImportTests.path("bpic2012.xes.gz"))
    var end = whole.startIndex
    for _ in 0..<20 {
      end = try #require(whole.range(of: Data("</trace>".utf8), in: end..<whole.endIndex)).upperBound
    }
    let text = String(decoding: whole[..<end], as: UTF8.self) + "</log>"
    #expect(text.utf8.count > 6 << 20)
    let expected = try XESRoundTests.Elements(Data(text.utf8)).lines
    let found = try XESRoundTests.Elements(Data(export([imported(text)]).utf8)).lines
    #expect(found.count == expected.count && found == expected)
  }
}
