import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import HyphaRuntime
import HyphaTopology
import Testing

extension Processes {
  /// Decisions that agents of one process ask those of another for, and what an operator sees and says of them.
  @Suite struct DelegationProcessTests {
    private static func topology(_ mode: String, count: Int, dear: Int? = nil) -> String {
      """
      hypha: 1
      name: office
      nodes: {a: {}, b: {}}
      delegation: {approvers: [boss], mode: \(mode), version: 5, risk: 10%, audit: 20%, shadowed: 8, amounts: [500]}
      agents:
        boss: {kind: director, node: a}
        ana: {kind: traveller, node: b, reports-to: boss, settings: {count: \(count), every: 5\(dear.map { ", dear: \($0)" } ?? "")}}
      """
    }

    private static let desk: AgentID = "hypha.desk.boss"

    private func app(_ scratch: Scratch, _ words: String...) async throws -> Hypha.Result {
      try await Hypha(words, in: scratch, program: Places.testApp).end()
    }

    private func taken(_ scratch: Scratch) throws -> [DecisionTaken] {
      try LMDBLogReader(directory: scratch("data/a")).read(after: .start, limit: .max, byteLimit: .max)
        .map(\.record).filter { $0.agent == Self.desk && $0.type == DecisionTaken.eventType }
        .map { try DecisionTaken.decode($0) }
    }

    private func strata(_ scratch: Scratch, _ file: String) async throws -> [JSONValue] {
      let result = try await app(
        scratch, "topology", "delegations", file, "--data", scratch("data"), "--json")
      #expect(result.status == 0, "\(result.errors)")
      guard case .array(let rows) = try JSON.decode(JSONValue.self, from: result.output.utf8) else {
        return []
      }
      return rows
    }

    @Test func `decisions are taken once and delegated as earned, after kill -9 of either side`() async throws
    {
      let scratch = try Scratch()
      let (file, data) = (try scratch.file("o.yaml", Self.topology("auto", count: 400)), scratch("data"))
      #expect(try await app(scratch, "validate", file).status == 0)
      let run = try Hypha(["run", file, "--data", data, "--json"], in: scratch, program: Places.testApp)
      var killed: Set<Int32> = []
      for (node, count) in [("a", 60), ("b", 120), ("a", 200)] {
        #expect(await becomesTrue { (try? taken(scratch).count) ?? 0 > count })
        let process = try #require(run.node(node, after: killed))
        killed.insert(process)
        kill(process, SIGKILL)
      }
      let result = await run.end()
      #expect(result.status == 0, "\(result.errors)")
      let all = try taken(scratch)
      #expect(all.count == 400 && Set(all.map(\.decision)).count == 400 && all.allSatisfy(\.isGranted))
      let granted = all.count { $0.grant != nil }
      #expect(granted > 200)
      let rows = try await strata(scratch, file)
      #expect(rows.map { $0["amount"] } == [.string("up to 500"), .string("over 500")])
      #expect(
        rows.allSatisfy { $0["state"] == .string("delegated") && $0["missed"] == .integer(0) }, "\(rows)")
      #expect(rows.allSatisfy { $0["kind"] == .string("travel") && $0["role"] == .string("traveller") })
      let explained = try await app(scratch, "topology", "explain", file, "ana", "boss", "--data", data)
      #expect(explained.output.contains("delegation:boss:1: travel of traveller, up to 500, since "))
      #expect(explained.output.contains("policy version 5"), "\(explained)")
      let table = try await app(scratch, "topology", "delegations", file, "--data", data)
      #expect(
        table.output.contains(
          "boss: mode auto, what has earned it is delegated; policy version 5, risk 10.00 %"))
      #expect(table.output.contains("missed"), "\(table)")
      let rerun = try await app(scratch, "rerun", file, "--data", data, "--verify")
      #expect(rerun.status == 0, "\(rerun)")
      let prune = try await app(scratch, "log", "prune", data + "/a", "--keep-newest", "1", "--yes")
      #expect(prune.status == 0, "\(prune)")
      #expect(try await strata(scratch, file) == rows)
    }

    @Test func `an operator delegates what is proposed, and revokes it while it runs`() async throws {
      let scratch = try Scratch()
      let file = try scratch.file("o.yaml", Self.topology("suggest", count: 100_000))
      let data = scratch("data")
      let run = try Hypha(["run", file, "--data", data, "--json"], in: scratch, program: Places.testApp)
      func become(_ state: String) async throws {
        for _ in 0..<200 {
          if try await strata(scratch, file).map({ $0["state"] }) == [.string(state), .string(state)] {
            return
          }
        }
        Issue.record("nothing is \(state): \(try await strata(scratch, file))")
      }
      #expect(await becomesTrue { (try? taken(scratch).count) ?? 0 > 80 })
      try await become("proposed")
      #expect(try taken(scratch).allSatisfy { $0.grant == nil })
      let said = try await app(
        scratch, "topology", "delegate", file, "boss", "--data", data, "--by", "olga", "--note", "all fine")
      #expect(
        said.status == 0
          && said.output.contains("travel of traveller, up to 500: proposed → delegated (delegation:boss:1)"),
        "\(said)")
      #expect(await becomesTrue { (try? taken(scratch).last?.grant) != nil })
      let none = try await app(scratch, "topology", "revoke", file, "boss", "--data", data, "--kind", "other")
      #expect(
        none.status == 1 && none.errors.contains("nothing of that sort is delegated or proposed for 'boss'"),
        "\(none)")
      let revoked = try await app(scratch, "topology", "revoke", file, "boss", "--data", data, "--by", "olga")
      #expect(
        revoked.status == 0 && revoked.output.contains("delegated → watched (delegation:boss:2)"),
        "\(revoked)")
      let history = try await app(
        scratch, "topology", "delegations", file, "--data", data, "--history", "--json")
      #expect(
        history.output.contains("said by olga (all fine)") && history.output.contains("revoked by olga"),
        "\(history)")
      run.signal(SIGINT)
      #expect(await run.end().status == 130)
      // Nothing was granted behind the revocation that it does not name.
      let records = try LMDBLogReader(directory: scratch("data/a")).read(
        after: .start, limit: .max, byteLimit: .max
      )
      .map(\.record).filter { $0.agent == Self.desk }
      var grants: Set<String> = []
      for record in records {
        if record.type == DelegationChanged.eventType, let grant = try DelegationChanged.decode(record).grant
        {
          if try DelegationChanged.decode(record).to == .delegated {
            grants.insert(grant)
          } else {
            grants.remove(grant)
          }
        }
        guard record.type == DecisionTaken.eventType, let grant = try DecisionTaken.decode(record).grant
        else { continue }
        #expect(grants.contains(grant))
        #expect(record.header.authority == Authority(principal: Self.desk, grant: grant, policyVersion: 5))
      }
    }
  }
}
