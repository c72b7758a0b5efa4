import HyphaCore
import HyphaFormats
import Testing

@testable import HyphaTopology

/// What the observer may do, as policy and topology files say it.
@Suite struct PolicyFileTests {
  private func read(_ text: String) throws -> ObserverPolicy {
    try ObserverPolicy.read(yaml: Array(text.utf8), file: "p")
  }

  private func problems(_ text: String) -> [String] {
    do {
      _ = try read(text)
      return []
    } catch let error as TopologyDiagnostics {
      return error.diagnostics.map(\.description)
    } catch {
      return ["\(error)"]
    }
  }

  @Test func `a policy file says everything`() throws {
    let policy = try read(
      """
      observer:
        node: hq
        standby: lab
        standby-after: 30s
        mode: suggest
        version: 3
        charge: 4
        overdraft: 20
        half-life: 64
        memory: 1024
        agent-links: 1
        supervisor-links: 2
        root-links: 0
        kinds: [agent-agent, supervisor-supervisor]
        must-pass: [legal]
        pins: [[b, a]]
        forbids: [[c, d], [a, d]]
      """)
    var wanted = ObserverPolicy()
    wanted.mode = .suggest
    wanted.node = "hq"
    (wanted.standby, wanted.standbyAfter) = ("lab", .seconds(30))
    wanted.version = 3
    (wanted.charge, wanted.overdraft, wanted.halfLife, wanted.memory) = (4, 20, 64, 1024)
    (wanted.agentLinks, wanted.supervisorLinks, wanted.rootLinks) = (1, 2, 0)
    wanted.kinds = [.agents, .supervisors]
    wanted.mustPass = ["legal"]
    wanted.pins = [.init("a", "b")]
    wanted.forbids = [.init("c", "d"), .init("a", "d")]
    #expect(policy == wanted)
    #expect(try read("observer: {}") == ObserverPolicy())
  }

  @Test(
    arguments: [
      ("{}", "p:1:1: 'observer' is missing; write 'observer: {mode: auto}'"),
      (
        "observer: {mode: on}",
        "p:1:18: mode of observer must be one of auto, suggest, off, not 'on'; write 'mode: auto'"
      ),
      (
        "observer: {charge: 0}",
        "p:1:20: charge of observer must be a whole number; write a number from 1 to 10000, without quotes"
      ),
      ("observer: {chrage: 1}", "p:1:12: observer has an unknown key, 'chrage'; did you mean 'charge'?"),
      (
        "observer: {kinds: [agent-agnet]}",
        "p:1:20: 'agent-agnet' is no kind of link; did you mean 'agent-agent'?"
      ),
      ("observer: {pins: [[a]]}", "p:1:19: a link in pins of observer has 1 ends; write [A, B]"),
      (
        "observer: {pins: [[a, a]]}",
        "p:1:19: a link in pins of observer joins 'a' with itself; name two agents"
      ),
      (
        "observer: {pins: [[a, b]], forbids: [[b, a]]}",
        "p:1:37: the link of 'a' and 'b' is both pinned and forbidden; remove it from one of pins and forbids"
      ),
      (
        "observer: {standby: lab}",
        "p:1:12: observer has a standby, and no node with its seat; write 'observer: {node: NAME, standby: lab}'"
      ),
      (
        "observer: {node: hq, standby: hq}",
        "p:1:31: standby of observer is 'hq', the node with its seat; name another node"
      ),
      (
        "observer: {node: hq, standby: lab, standby-after: 1ms}",
        "p:1:51: standby-after '1ms' is out of range; use a duration from 200ms to 1h"
      ),
      (
        "observer: {must-pass: legal}",
        "p:1:23: must-pass of observer must be a list, not a single value; write [legal]"
      ),
    ])
  func `what is wrong in a policy file is said with its place`(_ text: String, _ problem: String) {
    #expect(problems(text) == [problem])
  }

  private func topology(_ observer: String) throws -> Topology {
    try TopologyFile.read(
      yaml: """
        hypha: 1
        name: n
        observer: \(observer)
        nodes: {hq: {}, lab: {}}
        agents:
          boss: {kind: k, node: hq}
          ana: {kind: k, reports-to: boss}
          bo: {kind: k, reports-to: boss}
        """, file: "f"
    ).topology
  }

  @Test func `a topology file has the same section, and it is written back`() throws {
    let made = try topology(
      "{node: hq, standby: lab, standby-after: 20s, mode: suggest, charge: 12, kinds: [agent-agent], must-pass: [boss], pins: [[ana, bo]]}"
    )
    #expect(made.observer.charge == 12 && made.observer.mustPass == ["boss"])
    let text = try TopologyWriter.text(made)
    #expect(try TopologyFile.read(yaml: text, file: "g").topology == made, "\(text)")
    #expect(try !TopologyWriter.text(topology("{}")).contains("observer"))
    #expect(try AgentTree(made).gates == [0])
  }

  @Test func `a standby is a node of the file, and makes it another topology`() throws {
    #expect { try topology("{node: hq, standby: lap}") } throws: {
      "\($0)" == "f:3:31: standby of observer is 'lap', which does not exist; did you mean 'lab'?"
    }
    let (one, other) = (try topology("{node: hq}"), try topology("{node: hq, standby: lab}"))
    let (swapped, bare) = (try topology("{node: lab, standby: hq}"), try topology("{}"))
    #expect(one.hash != other.hash && other.hash != swapped.hash && one.hash == bare.hash)
    #expect { try other.replacing(nodes: [NodeSpec(id: "hq")]) } throws: {
      "\($0)" == "invalidTopology: the observer's standby is node 'lab', which does not exist; "
        + "add it under nodes:, or name one of them"
    }
  }

  @Test func `a topology file may name only its own agents`() throws {
    #expect { try topology("{pins: [[ana, bob]]}") } throws: {
      "\($0)" == "f:3:25: pins of observer names agent 'bob', which does not exist; did you mean 'bo'?"
    }
  }
}
