import HyphaCore
import HyphaFormats
import HyphaTopology
import Testing

/// The standby of a supervisor in a topology file.
@Suite struct `A supervisor's standby in a file` {
  private func text(_ agents: String) -> String {
    "hypha: 1\nname: n\nnodes: {hq: {}, ops: {}, lab: {}}\nagents:\n"
      + "  root: {kind: k, node: hq, standby: sl}\n" + agents
  }

  @Test func `is read and written`() throws {
    let yaml = text(
      """
        sl: {kind: k, node: ops, reports-to: root, standby: sr}
        sr: {kind: k, node: lab, reports-to: root, standby: g}
        a: {kind: k, node: ops, reports-to: sl}
        g: {kind: k, node: hq, reports-to: sr}
      """)
    let topology = try TopologyFile.read(yaml: yaml, file: "f").topology
    #expect(topology.agents.map(\.standby) == ["sl", "sr", "g", nil, nil])
    let written = try TopologyWriter.text(topology)
    #expect(written.contains("sl: {kind: k, node: ops, reports-to: root, standby: sr}"), "\(written)")
    #expect(try TopologyFile.read(yaml: written, file: "f").topology == topology)
    let without = try topology.replacing(
      agents: topology.agents.map { agent in
        var agent = agent
        agent.standby = nil
        return agent
      })
    #expect(without.hash == topology.hash, "a log of the one may be used under the other")
  }

  @Test(
    arguments: [
      (
        "  sl: {kind: k, node: ops, reports-to: root, standby: srr}\n  sr: {kind: k, node: lab, reports-to: root}\n"
          + "  a: {kind: k, node: ops, reports-to: sl}",
        "f:6:55: agent 'sl' has the standby 'srr', which does not exist; did you mean 'sr'?"
      ),
      (
        "  sl: {kind: k, node: ops, reports-to: root, standby: sl}\n  a: {kind: k, node: ops, reports-to: sl}",
        "f:6:55: agent 'sl' is its own standby; name another agent"
      ),
      (
        "  sl: {kind: k, node: ops, reports-to: root, standby: sr}\n  sr: {kind: k, node: lab, reports-to: root}",
        "f:6:55: agent 'sl' has the standby 'sr', and nobody reports to 'sl'; remove it: a standby is a supervisor's"
      ),
      (
        "  sl: {kind: k, node: ops, reports-to: root, standby: b}\n  sr: {kind: k, node: lab, reports-to: root}\n"
          + "  a: {kind: k, node: ops, reports-to: sl}\n  b: {kind: k, node: lab, reports-to: sr}",
        "f:6:55: agent 'sl' has the standby 'b', which stands neither beside it nor directly below it; "
          + "name one that reports to 'sl', or to 'root'"
      ),
      (
        "  sl: {kind: k, node: ops, reports-to: root, standby: a}\n  a: {kind: k, node: ops, reports-to: sl}",
        "f:6:55: agent 'sl' and its standby 'a' are on one node, 'ops'; "
          + "place the standby on another node, which is there when that one is not"
      ),
    ] as [(String, String)]) func `says at its place what is wrong`(agents: String, expected: String)
  {
    #expect(problems(text(agents)) == [expected])
  }
}
