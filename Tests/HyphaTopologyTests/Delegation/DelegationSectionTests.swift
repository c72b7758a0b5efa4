import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

@Suite struct DelegationSectionTests {
  private func read(_ section: String) throws -> TopologyFile {
    try TopologyFile.read(
      yaml: """
        hypha: 1
        name: n
        nodes: {m: {}, o: {}}
        delegation: \(section)
        agents:
          root: {kind: k, node: m}
          boss: {kind: k, node: o, reports-to: root}
          ana: {kind: k, reports-to: boss}
        """, file: "f")
  }

  private func policy(_ topology: Topology, of approver: AgentID) throws -> DeskPolicy {
    let desk = try #require(topology.agent(DeskPolicy.desk(of: approver)))
    return try JSON.decode(DeskPolicy.self, from: JSON.encode(desk.settings))
  }

  @Test func `gives each approver a desk, on its node and below it, with nothing delegated`() throws {
    let topology = try read("{approvers: [boss]}").topology
    let desk = try #require(topology.desks.first)
    #expect(desk.id == "hypha.desk.boss" && desk.node == "o" && desk.reportsTo == "boss")
    #expect(try policy(topology, of: "boss") == DeskPolicy(approver: "boss"))
    #expect(DeskPolicy(approver: "boss").delegation.mode == .off)
    #expect(topology.approver(above: "ana") == "boss" && topology.approver(above: "boss") == nil)
    #expect(try TopologyFile.read(yaml: TopologyWriter.text(topology), file: "f").topology == topology)
  }

  @Test func `says what may be delegated, for some approvers one and for others another`() throws {
    let topology = try read(
      """

        - {approvers: [boss], mode: auto, version: 4, risk: 0.5%, audit: 12.5%, audit-within: 2h, shadowed: 9, decisions: 99,
           strata: 7, amounts: [10, 200], copies: after, every: 5m}
        - {approvers: [root], mode: suggest, risk: 50%}
      """
    ).topology
    var expected = DeskPolicy(approver: "boss")
    expected.version = 4
    expected.delegation.mode = .auto
    (expected.delegation.risk, expected.delegation.audit) = (50, 125)
    (expected.delegation.shadowed, expected.delegation.decisions, expected.delegation.strataMax) = (9, 99, 7)
    (expected.auditWithin, expected.amounts) = (.seconds(7200), [10, 200])
    (expected.copies, expected.every) = (.after, .seconds(300))
    #expect(try policy(topology, of: "boss") == expected)
    #expect(try policy(topology, of: "root").delegation.risk == 5000)
    #expect(topology.desks.map(\.id) == ["hypha.desk.boss", "hypha.desk.root"])
    let stratum = expected.stratum(kind: "trip", role: "r", amount: 200)
    #expect(stratum.over == 10 && stratum.upTo == 200)
    #expect(expected.stratum(kind: "trip", role: "r", amount: 201).over == 200)
    #expect(try TopologyFile.read(yaml: TopologyWriter.text(topology), file: "f").topology == topology)
  }

  @Test(
    arguments: [
      (
        "{}",
        "f:4:13: delegation names no approvers; write 'delegation: {approvers: [AGENT]}': the agents that take decisions"
      ),
      ("{approvers: [bos]}", "f:4:26: delegation names 'bos', which does not exist; did you mean 'boss'?"),
      (
        "{approvers: [boss, boss]}",
        "delegation names 'boss' twice; remove it from one of the lists of approvers"
      ),
      (
        "{approvers: [boss], mode: on}",
        "mode of delegation must be one of auto, suggest, off, not 'on'; write 'mode: auto'"
      ),
      ("{approvers: [boss], risk: 2}", "risk of delegation is '2'; use 0.01% to 50%, such as 'risk: 2%'"),
      ("{approvers: [boss], risk: 51%}", "risk of delegation is '51%'; use 0.01% to 50%, such as 'risk: 2%'"),
      (
        "{approvers: [boss], audit: 0%}", "audit of delegation is '0%'; use 0.1% to 100%, such as 'audit: 2%'"
      ),
      (
        "{approvers: [boss], audit: 1.25%}",
        "audit of delegation is '1.25%'; use 0.1% to 100%, such as 'audit: 2%'"
      ),
      (
        "{approvers: [boss], amounts: [2, 1]}",
        "delegation: the amounts do not ascend, or are more than 64; write them in order, such as [100, 1000]"
      ),
      (
        "{approvers: [boss], copies: in}",
        "copies of delegation must be one of parallel, after, not 'in'; write 'copies: parallel'"
      ),
      (
        "{approvers: [boss], every: 1m}",
        "every is for digests, which 'copies: parallel' has not; remove it, or write 'copies: after'"
      ),
      (
        "{approvers: [boss], shadowed: some}",
        "shadowed of delegation must be a whole number; write a number from 0 to 1000000"
      ),
      (
        "{approvers: [boss], audit-within: 1ms}",
        "audit-within '1ms' is out of range; use a duration from 1s to 365d"
      ),
      ("{approver: boss}", "delegation has an unknown key, 'approver'; did you mean 'approvers'?"),
    ])
  func `is refused where it cannot be, by line`(_ section: String, _ problem: String) {
    let error = #expect(throws: TopologyDiagnostics.self) { try read(section) }
    let found = error?.diagnostics.map(\.description) ?? []
    #expect(found.contains { $0.contains(problem) }, "\(found)")
  }

  @Test func `is refused where an approver's kind takes no decisions`() throws {
    func problems(_ mode: String, _ declared: KindDeclaration) throws -> [String] {
      try read("{approvers: [boss], mode: \(mode)}").problems(kindNames: ["k"]) { _ in declared }.map(
        \.description)
    }
    #expect(
      try problems("auto", KindDeclaration()) == [
        "f:4:26: 'boss' is to take decisions, but its kind 'k' does not handle hypha.DecisionReferred; "
          + "let that kind handle it, or give 'boss' another kind",
        "f:4:26: 'boss' is to take decisions, but its kind 'k' does not handle hypha.DecisionsDelegated; "
          + "let that kind handle it, or give 'boss' another kind",
        "f:4:26: 'boss' is to take decisions, but its kind 'k' does not publish hypha.DecisionAnswered; "
          + "add it to the kind's publishes, or give 'boss' another kind",
      ])
    let able = KindDeclaration(publishes: ["hypha.DecisionAnswered"], handles: ["hypha.DecisionReferred"])
    #expect(try problems("off", able) == [])
  }
}
