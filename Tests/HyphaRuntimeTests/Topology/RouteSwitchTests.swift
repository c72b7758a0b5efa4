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

  /// Node x, which has heard y and z at the beginning, and whose plan has what it knows.
  private func machine() -> RouteSwitch {
    var machine = RouteSwitch(of: "x", version: 1, links: []) { [places] in places[$0] }
    machine.linksChanged(through: 1, missing: [])
    for node in ["y", "z"] as [NodeID] { machine.heard(node, .init(ready: 1, sending: 1), now: time(0)) }
    _ = machine.tick(now: time(0))
    return machine
  }

  @Test func `a version is sent by once its links are open and everybody is ready for it`() {
    var machine = machine()
    #expect(machine.sending == 1)
    #expect(machine.learn(2, links: [ab]))
    #expect(!machine.learn(2, links: []), "a version is what it was first")
    #expect(machine.tick(now: time(1)) == (false, false))
    // The transport has the plan, and y does not subscribe yet.
    machine.linksChanged(through: 2, missing: ["b"])
    for node in ["y", "z"] as [NodeID] { machine.heard(node, .init(ready: 2, sending: 1), now: time(2)) }
    #expect(machine.tick(now: time(2)) == (false, false) && machine.progress(now: time(2)).ready == 1)
    machine.linksChanged(through: 2, missing: [])
    #expect(machine.progress(now: time(3)) == .init(ready: 2, sending: 1))
    #expect(machine.tick(now: time(3)) == (true, false))
    #expect(machine.sending == 2)
  }

  @Test func `nobody switches before the last one is ready`() {
    var machine = machine()
    _ = machine.learn(2, links: [bc])
    machine.linksChanged(through: 2, missing: [])
    machine.heard("y", .init(ready: 2, sending: 1), now: time(1))
    machine.heard("z", .init(ready: 1, sending: 1), now: time(1))
    #expect(machine.tick(now: time(1)) == (false, false) && machine.sending == 1)
    machine.heard("z", .init(ready: 2, sending: 1), now: time(2))
    #expect(machine.tick(now: time(2)) == (true, false) && machine.sending == 2)
  }

  @Test func `a link that fails sends everybody back, and it is taken up again`() {
    var machine = machine()
    _ = machine.learn(2, links: [ab])
    machine.linksChanged(through: 2, missing: [])
    for node in ["y", "z"] as [NodeID] { machine.heard(node, .init(ready: 2, sending: 2), now: time(1)) }
    _ = machine.tick(now: time(1))
    #expect(machine.sending == 2)
    machine.linksChanged(through: 2, missing: ["b"])
    #expect(machine.tick(now: time(2)).isSwitched && machine.sending == 1)
    #expect(machine.progress(now: time(2)).ready == 1, "which tells the others")
    machine.linksChanged(through: 2, missing: [])
    #expect(machine.tick(now: time(3)).isSwitched && machine.sending == 2)
    // The other end sees it first.
    machine.heard("y", .init(ready: RouteSwitch.tree, sending: RouteSwitch.tree), now: time(4))
    #expect(machine.tick(now: time(4)).isSwitched && machine.sending == RouteSwitch.tree)
  }

  @Test func `whoever is silent is not waited for, and its links need not be open`() {
    var machine = machine()
    _ = machine.learn(2, links: [ab])
    machine.linksChanged(through: 2, missing: ["b"])
    machine.heard("z", .init(ready: 2, sending: 1), now: time(1990))
    #expect(machine.tick(now: time(1990)) == (false, false))
    #expect(machine.tick(now: time(2000)) == (true, false) && machine.sending == 2)
    machine.heard("y", .init(ready: 1, sending: 1), now: time(2001))
    #expect(machine.tick(now: time(2001)).isSwitched && machine.sending == 1, "it is back, and knows less")
  }

  @Test func `an old version is known until nobody sends by it and what was sent has arrived`() {
    var machine = machine()
    _ = machine.learn(2, links: [ab])
    machine.linksChanged(through: 2, missing: [])
    machine.heard("y", .init(ready: 2, sending: 2), now: time(1))
    machine.heard("z", .init(ready: 2, sending: 1), now: time(1))
    #expect(machine.tick(now: time(1)) == (true, false))
    var now = 1
    while now < 8000 {
      now += 1000
      machine.heard("y", .init(ready: 2, sending: 2), now: time(now))
      machine.heard("z", .init(ready: 2, sending: 1), now: time(now))
      #expect(machine.tick(now: time(now)) == (false, false))
    }
    #expect(machine.known == [1, 2], "z still sends by it")
    machine.heard("z", .init(ready: 2, sending: 2), now: time(now))
    #expect(machine.tick(now: time(now)) == (false, false))
    #expect(machine.tick(now: time(now + 4999)) == (false, false) && machine.known == [1, 2])
    #expect(machine.tick(now: time(now + 5000)) == (false, true) && machine.known == [2])
    #expect(machine.links == [ab])
  }

  @Test func `many versions at once are bounded, and the newest counts`() {
    var machine = machine()
    for version in 2...UInt32(200) {
      _ = machine.learn(version, links: version.isMultiple(of: 2) ? [ab] : [bc])
    }
    #expect(machine.known.count == RouteSwitch.keptCountMax && machine.newest == 200)
    machine.linksChanged(through: 200, missing: [])
    for node in ["y", "z"] as [NodeID] { machine.heard(node, .init(ready: 200, sending: 1), now: time(1)) }
    #expect(machine.tick(now: time(1)).isSwitched && machine.sending == 200)
  }
}
