import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

extension Processes {
  /// A question that agents of one process ask one of another again and again.
  @Suite struct AmbientProcessTests {
    private static let topology = """
      hypha: 1
      name: prices
      nodes: {a: {}, b: {}}
      observer: {node: a}
      agents:
        boss: {kind: supervisor, node: a}
        shop: {kind: shop, node: a, reports-to: boss}
        buyer: {kind: buyer, node: b, reports-to: boss, settings: {count: 700}}
        crier: {kind: crier, node: b, reports-to: boss, settings: {to: [one, two, three], times: 150}}
        one: {kind: gauge, node: a, reports-to: boss}
        two: {kind: gauge, node: a, reports-to: boss}
        three: {kind: gauge, node: b, reports-to: boss}
      """

    private struct Heard: Decodable {
      var number: Int
      var cents: Int?
    }

    private func records(_ scratch: Scratch, _ node: String, _ type: EventTypeName) throws -> [Record] {
      try LMDBLogReader(directory: scratch("data/\(node)"))
        .read(after: .start, limit: .max, byteLimit: .max).map(\.record).filter { $0.type == type }
    }

    private func app(_ scratch: Scratch, _ words: String...) async throws -> Hypha.Result {
      try await Hypha(words, in: scratch, program: Places.testApp).end()
    }

    @Test func `a question becomes ambient, and is answered while its answerer is dead`() async throws {
      let scratch = try Scratch()
      let (file, data) = (try scratch.file("prices.yaml", Self.topology), scratch("data"))
      let run = try Hypha(["run", file, "--data", data, "--json"], in: scratch, program: Places.testApp)
      #expect(await becomesTrue { (try? records(scratch, "b", "hypha.AnswerShared").isEmpty) == false })
      let list = try await app(scratch, "topology", "questions", file, "--data", data)
      #expect(list.output.contains("shop/Price#") && list.output.contains("ambient"), "\(list)")
      let show = try await app(scratch, "topology", "show", file, "--data", data)
      #expect(show.output.contains(#"{"article":"pen"}"#), "\(show)")
      let shared = try await app(scratch, "agents", "shared", data, "--by", "shop")
      #expect(shared.output.contains("Price?") && shared.output.contains("300"), "\(shared)")
      let name = try #require(
        list.output.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("shop/Price#") })
      let why = try await app(scratch, "topology", "explain", file, String(name), "--data", data)
      #expect(why.output.contains("again and again with the same answer"), "\(why)")
      // The answerer dies in the middle of it.
      kill(try #require(run.node("a", after: [])), SIGKILL)
      let before = try records(scratch, "b", "test.PriceHeard").count
      #expect(try await becomesTrue { try records(scratch, "b", "test.PriceHeard").count > before + 20 })
      // Once the deployment is whole again an operator takes it back.
      #expect(
        try await becomesTrue {
          try await app(
            scratch, "topology", "question", "forbid", file, String(name), "--data", data, "--note", "a test"
          ).status == 0
        })
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      let heard = try records(scratch, "b", "test.PriceHeard").map {
        try JSON.decode(Heard.self, from: $0.payload)
      }
      #expect(heard.map(\.number) == Array(0..<700) && heard.allSatisfy { $0.cents ?? 300 == 300 })
      let history = try await app(scratch, "topology", "history", file, "--data", data)
      #expect(
        history.output.contains("+ shop/Price#") && history.output.contains("forbid shop/Price#"),
        "\(history)")
      let findings = try await app(scratch, "topology", "findings", file, "--data", data, "--all")
      #expect(
        findings.output.contains("recurring-audience") && findings.output.contains("crier"), "\(findings)")
      let rerun = try await app(scratch, "rerun", file, "--data", data, "--verify")
      #expect(rerun.status == 0, "\(rerun)")
    }
  }
}
