import HyphaCore
import Testing

@testable import HyphaRuntime

@Suite struct AskTableTests {
  private func time(_ second: UInt64) -> Timestamp { Timestamp(microseconds: second * 1_000_000) }
  private func id(_ number: UInt64) -> EventID { EventID(high: 1, low: number) }

  private func ask(_ number: UInt64, of agent: AgentID, dueAt second: UInt64) -> Ask {
    Ask(
      id: id(number), agent: agent, type: "Worth", number: 1, within: .seconds(9), granted: .seconds(9),
      dueAt: time(second),
      key: "", path: [], cause: nil)
  }

  @Test func `an answer goes to who has asked, once, and only from who was asked`() {
    var table = AskTable<String>()
    table.begin(ask(1, of: "b", dueAt: 9), "first")
    table.begin(ask(2, of: "c", dueAt: 9), "second")
    #expect(table.awaited == ["b", "c"])
    #expect(table.end(id(2), by: "b") == nil, "b was not asked that")
    #expect(table.end(id(2), by: "c") == "second" && table.end(id(2), by: "c") == nil)
    #expect(table.end(id(1)) == "first" && table.isEmpty)
  }

  @Test func `whose time is over is let go, and no other`() {
    var table = AskTable<String>()
    table.begin(ask(1, of: "b", dueAt: 9), "late")
    table.begin(ask(2, of: "c", dueAt: 5), "soon")
    #expect(table.next == time(5))
    #expect(table.expire(now: time(4)).isEmpty)
    let expired = table.expire(now: time(5))
    #expect(expired.map(\.0.agent) == ["c"] && expired.map(\.1) == ["soon"])
    #expect(table.next == time(9) && table.endAll() == ["late"] && table.next == nil)
  }

  @Test func `a circle is named from who is asked to who asks`() {
    #expect(AskTable<Int>.cycle(["a", "b", "c"], asking: "b") == ["b", "c", "b"])
    #expect(AskTable<Int>.cycle(["a"], asking: "a") == ["a", "a"])
    #expect(AskTable<Int>.cycle(["a", "b"], asking: "c") == nil)
    var table = AskTable<Int>()
    // a waits for b, which waits for c, which asks a.
    table.begin(ask(1, of: "b", dueAt: 9), 1)
    #expect(table.cycle(of: "a", askedBy: ["x", "b", "c"]) == ["a", "b", "c", "a"])
    #expect(table.cycle(of: "a", askedBy: ["x", "c"]) == nil)
  }
}
