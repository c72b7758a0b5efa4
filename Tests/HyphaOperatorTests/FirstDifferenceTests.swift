import HyphaCore
import HyphaLog
import Testing

@testable import HyphaOperator
@testable import HyphaRuntime

/// Of all that is not as it was, the first by time, whichever log it is found in first.
@Suite struct FirstDifferenceTests {
  private func header(_ time: UInt64) -> RecordHeader {
    let id = EventID(high: 1, low: time)
    return RecordHeader(
      id: id, time: Timestamp(microseconds: time), channel: .persistent, agent: "a", epoch: 1, sequence: 1,
      previous: .start, addressee: nil, type: "T", subject: "s", correlation: id,
      authority: Authority(principal: "a"))
  }

  private func outcome(_ agent: AgentID, input: UInt64? = nil, recorded: UInt64? = nil, stated: UInt64? = nil)
    throws -> RerunOutcome
  {
    func records(_ time: UInt64?) throws -> [Record] {
      try time.map { [try Record(header($0), payload: [])] } ?? []
    }
    return RerunOutcome(
      agent: agent, call: .event, input: input.map(header), position: nil, attempt: 1,
      recorded: try records(recorded), stated: try records(stated), differences: [.took("more")])
  }

  @Test func `the order in which they are found changes nothing`() throws {
    let all: [(NodeID, RerunOutcome)] = [
      ("a", try outcome("late", input: 50)), ("a", try outcome("cause", input: 20, recorded: 30)),
      ("b", try outcome("effect", input: 30, recorded: 31)), ("b", try outcome("start", recorded: 25)),
      ("c", try outcome("added", stated: 22)), ("c", try outcome("end")),
      ("c", try outcome("same", input: 20)),
    ]
    for seed in 0..<50 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      var first = FirstDifference()
      #expect(first.outcome == nil && first.node == nil)
      for (node, outcome) in all.shuffled(using: &random) { first.take(outcome, on: node) }
      #expect(first.outcome?.agent == "cause" && first.node == "a", "seed \(seed)")
    }
    var ends = FirstDifference()
    ends.take(all[5].1, on: "c")
    ends.take(all[0].1, on: "z")
    #expect(ends.outcome?.agent == "late")
  }
}
