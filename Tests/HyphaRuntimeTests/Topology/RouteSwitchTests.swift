import HyphaCore
import HyphaTopology
import Testing

@testable import HyphaRuntime

/// When a node changes from one version of the routes to the next.
@Suite struct RouteSwitchTests {
  private let places: [AgentID: NodeID] = ["a": "x", "b": "y", "c": "z"]
  private let ab = DirectLink("a", "b")
  private let bc = DirectLink("b", "c")

  private func time(_ milliseconds: Int) -> Timestamp {
    Timestamp.zero.adding(UInt64(milliseconds) * 1000 + 1_000_000)
  }

  /// A switch that a test's expectations may change.
  private final class Node {
    var machine: RouteSwitch

    init(_ machine: RouteSwitch) { self.machine = machine }

    func learn(_ version: UInt32, links: Set<DirectLink>, away: Set<NodeID> = []) -> Bool {
      machine.learn(version, links: links, away: away)
    }

    /// What has changed: `switched`, `forgot`.
    func tick(now: Timestamp) -> [String] {
      let (isSwitched, isForgotten) = machine.tick(now: now)
      return (isSwitched ? ["switched"] : []) + (isForgotten ? ["forgot"] : [])
    }

    func linksChanged(through version: UInt32, missing: Set<AgentID>) {
      machine.linksChanged(through: version, missing: missing)
    }

    func heard(_ node: NodeID, _ progress: RouteSwitch.Progress, now: Timestamp) {
      machine.heard(node, progress, now: now)
    }

    func progress(now: Timestamp) -> RouteSwitch.Progress { machine.progress(now: now) }
    var sending: UInt32 { machine.sending }
    var newest: UInt32 { machine.newest }
    var known: [UInt32] { machine.known }
    var links: Set<DirectLink> { machine.links }
  }

  /// Node x, which has heard y and z at the beginning, and whose plan has what it knows.
  private func machine() -> Node {
    let node = Node(RouteSwitch(of: "x", version: 1, links: []) { [places] in places[$0] })
    node.linksChanged(through: 1, missing: [])
    for other in ["y", "z"] as [NodeID] { node.heard(other, .init(ready: 1, sending: 1), now: time(0)) }
    _ = node.tick(now: time(0))
    return node
  }

  @Test func `a node that starts anew while a version leads around it takes nobody back to the tree`() {
    for away in [[], ["z"]] as [Set<NodeID>] {
      let machine = machine()
      #expect(machine.learn(2, links: [ab], away: away))
      machine.linksChanged(through: 2, missing: [])
      machine.heard("y", .init(ready: 2, sending: 1), now: time(1))
      // One that knows the version before is waited for, wherever the newest leads.
      _ = machine.tick(now: time(1))
      #expect(machine.sending == 1)
      machine.heard("z", .init(ready: 0, sending: 0), now: time(2))
      _ = machine.tick(now: time(2))
      #expect(machine.sending == (away.isEmpty ? RouteSwitch.tree : 2))
    }
  }

  @Test func `a version is sent by once its links are open and everybody is ready for it`() {
    let machine = machine()
    #expect(machine.sending == 1)
    #expect(machine.learn(2, links: [ab]))
    #expect(!machine.learn(2, links: []), "a version is what it was first")
    #expect(machine.tick(now: time(1)) == [])
    // The transport has the plan, and y does not subscribe yet.
    machine.linksChanged(through: 2, missing: ["b"])
    for node in ["y", "z"] as [NodeID] { machine.heard(node, .init(ready: 2, sending: 1), now: time(2)) }
    #expect(machine.tick(now: time(2)) == [] && machine.progress(now: time(2)).ready == 1)
    machine.linksChanged(through: 2, missing: [])
    #expect(machine.progress(now: time(3)) == .init(ready: 2, sending: 1))
    #expect(machine.tick(now: time(3)) == ["switched"])
    #expect(machine.sending == 2)
  }

  @Test func `a node that starts is ready for the tree alone until its links were open once`() {
    let node = Node(RouteSwitch(of: "x", version: 1, links: []) { [places] in places[$0] })
    for other in ["y", "z"] as [NodeID] { node.heard(other, .init(ready: 1, sending: 0), now: time(0)) }
    #expect(
      node.tick(now: time(0)) == [] && node.sending == RouteSwitch.tree, "nothing is known of the links")
    // An edge of the tree: no version has it as a link, and all need it.
    node.linksChanged(through: 1, missing: ["b"])
    #expect(node.tick(now: time(1)) == [] && node.progress(now: time(1)).ready == RouteSwitch.tree)
    node.linksChanged(through: 1, missing: [])
    #expect(node.tick(now: time(2)) == ["switched"] && node.sending == 1)
    node.linksChanged(through: 1, missing: ["b"])
    #expect(node.tick(now: time(3)) == [] && node.sending == 1, "the tree has no way around it")
  }

  @Test func `nobody switches before the last one is ready`() {
    let machine = machine()
    _ = machine.learn(2, links: [bc])
    machine.linksChanged(through: 2, missing: [])
    machine.heard("y", .init(ready: 2, sending: 1), now: time(1))
    machine.heard("z", .init(ready: 1, sending: 1), now: time(1))
    #expect(machine.tick(now: time(1)) == [] && machine.sending == 1)
    machine.heard("z", .init(ready: 2, sending: 1), now: time(2))
    #expect(machine.tick(now: time(2)) == ["switched"] && machine.sending == 2)
  }

  @Test func `a link that fails sends everybody back, and it is taken up again`() {
    let machine = machine()
    _ = machine.learn(2, links: [ab])
    machine.linksChanged(through: 2, missing: [])
    for node in ["y", "z"] as [NodeID] { machine.heard(node, .init(ready: 2, sending: 2), now: time(1)) }
    _ = machine.tick(now: time(1))
    #expect(machine.sending == 2)
    machine.linksChanged(through: 2, missing: ["b"])
    #expect(machine.tick(now: time(2)) == ["switched"] && machine.sending == 1)
    #expect(machine.progress(now: time(2)).ready == 1, "which tells the others")
    machine.linksChanged(through: 2, missing: [])
    #expect(machine.tick(now: time(3)) == ["switched"] && machine.sending == 2)
    // The other end sees it first.
    machine.heard("y", .init(ready: RouteSwitch.tree, sending: RouteSwitch.tree), now: time(4))
    #expect(machine.tick(now: time(4)) == ["switched"] && machine.sending == RouteSwitch.tree)
  }

  @Test func `whoever is silent is not waited for, and its links need not be open`() {
    let machine = machine()
    _ = machine.learn(2, links: [ab])
    machine.linksChanged(through: 2, missing: ["b"])
    machine.heard("z", .init(ready: 2, sending: 1), now: time(1990))
    #expect(machine.tick(now: time(1990)) == [])
    #expect(machine.tick(now: time(2000)) == ["switched"] && machine.sending == 2)
    machine.heard("y", .init(ready: 1, sending: 1), now: time(2001))
    #expect(
      machine.tick(now: time(2001)) == ["switched"] && machine.sending == 1, "it is back, and knows less")
  }

  @Test func `an old version is known until nobody sends by it and what was sent has arrived`() {
    let machine = machine()
    _ = machine.learn(2, links: [ab])
    machine.linksChanged(through: 2, missing: [])
    machine.heard("y", .init(ready: 2, sending: 2), now: time(1))
    machine.heard("z", .init(ready: 2, sending: 1), now: time(1))
    #expect(machine.tick(now: time(1)) == ["switched"])
    var now = 1
    while now < 8000 {
      now += 1000
      machine.heard("y", .init(ready: 2, sending: 2), now: time(now))
      machine.heard("z", .init(ready: 2, sending: 1), now: time(now))
      #expect(machine.tick(now: time(now)) == [])
    }
    #expect(machine.known == [1, 2], "z still sends by it")
    machine.heard("z", .init(ready: 2, sending: 2), now: time(now))
    #expect(machine.tick(now: time(now)) == [])
    #expect(machine.tick(now: time(now + 4999)) == [] && machine.known == [1, 2])
    #expect(machine.tick(now: time(now + 5000)) == ["forgot"] && machine.known == [2])
    #expect(machine.links == [ab])
  }

  @Test
  func `versions of different terms are not compared: all send by the tree until they know of the later one`()
  {
    let machine = machine()
    let first = SeatTerm.firstVersion(of: 2)
    // z has heard of the later term.
    machine.heard("z", .init(ready: first, sending: first), now: time(1))
    #expect(machine.tick(now: time(1)) == ["switched"] && machine.sending == RouteSwitch.tree)
    // So has this node, and y has not, which knows no version of it.
    _ = machine.learn(first, links: [ab])
    machine.linksChanged(through: first, missing: [])
    machine.heard("y", .init(ready: 7, sending: 7), now: time(2))
    #expect(machine.tick(now: time(2)) == [] && machine.sending == RouteSwitch.tree)
    machine.heard("y", .init(ready: first, sending: RouteSwitch.tree), now: time(3))
    #expect(machine.tick(now: time(3)) == ["switched"] && machine.sending == first)
    #expect(!machine.learn(8, links: [bc]), "what the older term still decides is not taken")
  }

  @Test func `many versions at once are bounded, and the newest counts`() {
    let machine = machine()
    for version in 2...UInt32(200) {
      _ = machine.learn(version, links: version.isMultiple(of: 2) ? [ab] : [bc])
    }
    #expect(machine.known.count == RouteSwitch.keptCountMax && machine.newest == 200)
    machine.linksChanged(through: 200, missing: [])
    for node in ["y", "z"] as [NodeID] { machine.heard(node, .init(ready: 200, sending: 1), now: time(1)) }
    #expect(machine.tick(now: time(1)) == ["switched"] && machine.sending == 200)
  }
}
