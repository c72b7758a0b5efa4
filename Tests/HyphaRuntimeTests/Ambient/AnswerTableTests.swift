import Foundation
import HyphaCore
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// The copies of answers that a node has, and who is told of which answer.
@Suite struct AnswerTableTests {
  private func time(_ milliseconds: Int) -> Timestamp { Timestamp(microseconds: UInt64(milliseconds) * 1000) }

  private func shared(
    _ answer: Int64, _ question: String = "pen", answeredAt: Int, epoch: UInt64 = 1, number: UInt64
  ) -> AnswerShared {
    AnswerShared(
      answerer: "shop", type: "Price", question: .object(["article": .string(question)]),
      answer: .integer(answer), epoch: epoch, number: number, answeredAt: time(answeredAt).rawValue)
  }

  private func json(_ question: String = "pen") throws -> Data {
    try JSON.encode(JSONValue.object(["article": .string(question)]))
  }

  private func find(_ table: AnswerTable, _ bound: Int, now: Int) throws -> Int? {
    try table.find("shop", "Price", try json(), within: .milliseconds(bound), now: time(now))?
      .answer(as: Int.self)
  }

  @Test func `a copy is given within its bound, and not a moment later`() throws {
    var table = AnswerTable()
    try table.take(shared(7, answeredAt: 1_000, number: 1), .none, now: time(1_200))
    #expect(try find(table, 500, now: 1_500) == 7)
    #expect(try find(table, 500, now: 1_501) == nil)
    #expect(try find(table, 499, now: 1_500) == nil)
    #expect(table.find("shop", "Price", try json("ink"), within: .seconds(9), now: time(1_500)) == nil)
    #expect(table.find("bank", "Price", try json(), within: .seconds(9), now: time(1_500)) == nil)
  }

  @Test func `a clock ahead does not make a copy younger than the time since it came`() throws {
    var table = AnswerTable()
    // Its answerer's clock is an hour ahead.
    try table.take(shared(7, answeredAt: 3_600_000, number: 1), .none, now: time(1_000))
    #expect(try find(table, 500, now: 1_500) == 7)
    #expect(try find(table, 500, now: 1_501) == nil)
  }

  @Test func `an older version never takes the place of a newer one, whichever comes first`() throws {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
      let copies = [
        shared(1, answeredAt: 9_000, number: 1), shared(2, answeredAt: 1_000, number: 2),
        shared(3, answeredAt: 5_000, epoch: 2, number: 1), shared(4, answeredAt: 5_000, epoch: 2, number: 2),
      ]
      var table = AnswerTable()
      for place in order { try table.take(copies[place], .none, now: time(9_000)) }
      #expect(try find(table, 60_000, now: 9_500) == 4)
      #expect(table.count == 1)
    }
  }

  @Test func `the table is bounded, and what is dropped is not there`() throws {
    var table = AnswerTable(limits: .init(count: 64, byteCount: 1 << 20))
    for number in 1...1_000 {
      try table.take(
        shared(1, "q\(number)", answeredAt: number, number: UInt64(number)), .none, now: time(number))
      #expect(table.count <= 64)
    }
    #expect(table.find("shop", "Price", try json("q1000"), within: .seconds(9), now: time(1_000)) != nil)
    let key = QuestionKey("shop", "Price", of: try json("q1000"))
    table.drop { $0 == key }
    #expect(table.find("shop", "Price", try json("q1000"), within: .seconds(9), now: time(1_000)) == nil)
    table.drop { _ in true }
    #expect(table.count == 0 && table.byteCount == 0)
  }

  @Test func `who asked with a bound is told, and of each other answer while that copy may be used`() {
    var leases = AnswerLeases()
    let key = QuestionKey("shop", "Price", hash: 1)
    func tell(_ answer: UInt64, _ node: NodeID, _ bound: Int?, now: Int) -> [NodeID] {
      leases.tell(
        key, answer: answer, askedFrom: node, bound: bound.map { .milliseconds($0) }, now: time(now))
    }
    #expect(tell(1, "x", nil, now: 0) == [], "x takes none but fresh ones")
    #expect(tell(1, "x", 1_000, now: 0) == ["x"])
    #expect(tell(1, "x", 1_000, now: 10) == [], "that is on its way")
    #expect(tell(1, "y", 500, now: 100) == ["y"])
    #expect(tell(2, "z", nil, now: 200) == ["x", "y"], "both may still give the older one")
    #expect(tell(3, "z", nil, now: 700) == ["x"], "y's is over")
    #expect(tell(4, "z", nil, now: 1_011) == [], "and x's")
    #expect(tell(4, "x", 1_000, now: 2_000) == ["x"])
    leases.drop { $0 == key }
    #expect(tell(5, "z", nil, now: 2_001) == [])
  }

  @Test func `an audience has each fresh answer, whoever asks, unless its copies are young`() {
    var leases = AnswerLeases()
    let key = QuestionKey("shop", "Price", hash: 1)
    func tell(
      _ answer: UInt64, _ node: NodeID, _ bound: Int?, _ audience: Set<NodeID> = ["x", "y"], now: Int
    ) -> [NodeID] {
      leases.tell(
        key, answer: answer, askedFrom: node, bound: bound.map { .milliseconds($0) }, audience: audience,
        now: time(now))
    }
    #expect(tell(1, "x", 1_000, now: 0) == ["x"], "y has never said how old an answer may be")
    #expect(tell(1, "y", 400, now: 100) == ["y"], "x's is young")
    #expect(tell(1, "z", nil, now: 290) == [], "both are")
    #expect(tell(1, "z", nil, now: 400) == [], "who takes no copies renews none")
    #expect(tell(1, "x", nil, now: 400) == [], "nor does one of them that asks for a fresh answer")
    #expect(tell(1, "y", 400, now: 499) == ["y"], "x's is young")
    #expect(tell(1, "y", 400, now: 700) == ["y", "x"], "one ask renews both")
    #expect(tell(1, "x", 1_000, now: 899) == [], "x's is on its way, and y's is young")
    #expect(tell(1, "x", 1_000, now: 1_200) == ["x", "y"])
    #expect(tell(2, "z", nil, now: 1_210) == ["x", "y"], "another answer goes to all at once")
    #expect(tell(3, "z", nil, now: 90_000) == ["x", "y"], "as long as they are its audience")
    #expect(tell(4, "z", nil, [], now: 90_100) == [], "who is so no more, and asks no more, is told nothing")
  }
}
