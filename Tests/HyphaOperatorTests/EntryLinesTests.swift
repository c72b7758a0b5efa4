import HyphaCore
import HyphaLog
import HyphaReplay
import Testing

@testable import HyphaOperator

/// Events as lines for people.
@Suite struct EntryLinesTests {
  private final class Time: TimeSource {
    func microseconds() -> UInt64 { 1_700_000_000_000_000 }
  }

  private func lines(width: Int?) async throws -> [String] {
    let identity = LogIdentity(id: EventID(high: 1, low: 1), node: "hq")
    let log = try MemoryLog(store: MemoryLogStore(identity: identity), time: Time())
    let names: [AgentID] = ["ana", "an-agent-whose-name-is-longer-than-any-column", "bo"]
    for name in names {
      let id = EventID(time: Timestamp(microseconds: 1_700_000_000_000_000), random: UInt64(name.text.count))
      let header = RecordHeader(
        id: id, time: Timestamp(microseconds: 1_700_000_000_000_000), channel: .alert, agent: name, epoch: 1,
        sequence: 1, previous: .start, addressee: "an-addressee-with-a-name-that-is-long",
        type: "work.SomethingWithALongNameHasHappened", subject: "case.with.a.subject.that.is.long.too",
        correlation: id, authority: Authority(principal: name))
      _ = try await log.append(LogBatch(appends: [.init(try Record(header, payload: Array("{}".utf8)))]))
    }
    var entryLines = EntryLines(style: .plain, isNodeShown: true)
    var replay = try Replay(of: [log])
    try replay.look()
    var lines: [String] = []
    try replay.visit {
      lines += try entryLines.lines($0, width: width)
      return true
    }
    // The first line says the day.
    return Array(lines.dropFirst())
  }

  @Test func `on a terminal columns stay where they are, however long a name is`() async throws {
    let lines = try await lines(width: 160)
    // Once a column has its width, it keeps it.
    let places = lines.dropFirst().map { line in line.prefix { $0 != "→" }.count }
    #expect(Set(places).count == 1 && lines.allSatisfy { $0.hasSuffix("{}") })
    #expect(Set(lines.dropFirst().map(displayWidth)).count == 1)
    #expect(lines[1].contains("an-agent-whose-na…") && lines[1].contains("work.SomethingWi…NameHasHappened"))
  }

  @Test(arguments: [60, 80, 100]) func `a narrow terminal shows something of each part`(width: Int)
    async throws
  {
    let lines = try await lines(width: width)
    for line in lines {
      #expect(displayWidth(line) <= width)
      #expect(line.contains(width < 100 ? " alrt " : " alert ") && line.contains(" hq "), "\(line)")
      // Both ends of the type and of the subject.
      #expect(line.contains(" wor") && line.contains("ned ") && line.contains(" cas"), "\(line)")
    }
    #expect(width < 80 || lines.allSatisfy { $0.contains("too") })
  }

  @Test func `what is cut in its middle keeps both ends`() {
    #expect(truncatedInMiddle("work.HandedOver", to: 15) == "work.HandedOver")
    #expect(truncatedInMiddle("work.HandedOver", to: 9) == "work…Over")
    #expect(truncatedInMiddle("日本語日本語", to: 6) == "日…語")
    #expect(truncatedInMiddle("abcdef", to: 1) == "…" && truncatedInMiddle("abcdef", to: 0).isEmpty)
  }

  @Test func `elsewhere nothing of an event is cut`() async throws {
    let lines = try await lines(width: nil)
    #expect(lines[1].contains("an-agent-whose-name-is-longer-than-any-column"))
    #expect(lines.allSatisfy { $0.contains("case.with.a.subject.that.is.long.too {}") })
  }
}
