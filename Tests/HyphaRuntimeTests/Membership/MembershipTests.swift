import HyphaCore
import HyphaLog
import HyphaTopology
import HyphaTransport
import Testing

@testable import HyphaKinds
@testable import HyphaRuntime

/// Membership of whole nodes in a simulated deployment: what stands in the logs, and who takes it.
struct MembershipTests {
  private struct Place {
    let deployment: SimulatedDeployment

    init(for span: Duration = .seconds(5), delay: Duration = .zero) throws {
      let topology = try Topology(
        name: "three", nodes: [NodeSpec(id: "a"), NodeSpec(id: "b"), NodeSpec(id: "c")],
        agents: [
          AgentSpec(id: "root", kind: "supervisor", node: "a"),
          AgentSpec(
            id: "watch", kind: "recorder", node: "a", reportsTo: "root",
            subscribes: [Subscription(type: "hypha.NodeDown"), Subscription(type: "hypha.NodeReturned")]),
          AgentSpec(
            id: "other", kind: "recorder", node: "b", reportsTo: "root",
            subscribes: [Subscription(type: "hypha.NodeDown")]),
          AgentSpec(
            id: "load", kind: "generator", node: "c", reportsTo: "root",
            settings: .object(["event": .string("entry"), "count": .integer(3), "every": .integer(1)])),
        ])
      deployment = SimulatedDeployment(
        topology, kinds: try KindRegistry(BuiltInKinds.all), seed: 7,
        faults: delay == .zero ? .none : MemoryNetwork.Faults(delay: delay...delay))
      // A start returns when all have answered; what is before that counts, too.
      for node in topology.nodes { _ = try deployment.begin(node.id) }
      deployment.run(for: span)
    }

    /// The membership events in a node's log, as text.
    func events(of node: NodeID) throws -> [String] {
      var events: [String] = []
      try deployment.reader(of: node).scan { entry in
        let header = entry.record.header
        guard header.agent.text.hasPrefix("hypha.node.") else { return true }
        #expect(header.agent.text == "hypha.node.\(node)" && entry.source == .stated)
        let type = header.type.text.dropFirst("hypha.Node".count)
        if header.type == NodeDown.eventType {
          let event = try NodeDown.decode(entry.record)
          events.append("\(type) \(event.node) \(event.reason)")
        } else if header.type == NodeReturned.eventType {
          let event = try NodeReturned.decode(entry.record)
          events.append("\(type) \(event.node) \(event.was) \(event.reason)")
        } else {
          events.append("\(type) \(header.subject.text.dropFirst("hypha.node.".count))")
        }
        return true
      }
      return events
    }

    func recorded(_ agent: AgentID, on node: NodeID) throws -> Int64? {
      try deployment.reader(of: node).snapshot(of: agent).map {
        try JSON.decode(Recorder.State.self, from: $0).count
      }
    }
  }

  @Test func `a killed node is missed, told of by every other one, and back when it starts again`() throws {
    let place = try Place()
    #expect(try place.events(of: "a") == ["Up b", "Up c"])
    place.deployment.kill("c")
    place.deployment.run(for: .seconds(20))
    #expect(try place.events(of: "a") == ["Up b", "Up c", "Suspected c", "Down c silent"])
    #expect(try place.events(of: "b").suffix(2) == ["Suspected c", "Down c silent"])
    let missed = place.deployment.summary().missed
    #expect(missed.map(\.node) == ["c"] && missed.first?.missedNowBy == ["a", "b"])
    try place.deployment.start("c")
    place.deployment.run(for: .seconds(5))
    #expect(
      try place.events(of: "a").suffix(2) == ["Returned c down heardAgain", "Returned c up startedAgain"])
    #expect(place.deployment.summary().missed.first?.missedNowBy == [])
    // Each node's events are for its own agents, and these take them.
    #expect(try place.recorded("watch", on: "a") == 3)
    #expect(try place.recorded("other", on: "b") == 1)
    #expect(place.deployment.runToEnd(limit: .seconds(10)))
    for node in ["a", "b", "c"] as [NodeID] {
      #expect(try place.deployment.reader(of: node).verify().isSound)
    }
  }

  @Test func `a node that stops in order has left, is not missed, and is back when it starts again`() throws {
    let place = try Place()
    try place.deployment.stop("c")
    place.deployment.run(for: .seconds(40))
    for node in ["a", "b"] as [NodeID] { #expect(try place.events(of: node).suffix(1) == ["Left c"]) }
    #expect(place.deployment.summary().missed.isEmpty)
    try place.deployment.start("c")
    place.deployment.run(for: .seconds(5))
    let back = try place.events(of: "a").dropFirst(3)
    #expect(back.first?.hasPrefix("Returned c left") ?? false, "\(back)")
    #expect(place.deployment.node("a")?.status().peers["c"]?.standing == "up")
  }

  @Test func `a node that is started again before it is missed is told of`() throws {
    let place = try Place()
    place.deployment.kill("c")
    place.deployment.run(for: .milliseconds(500))
    try place.deployment.start("c")
    place.deployment.run(for: .seconds(20))
    #expect(try place.events(of: "a") == ["Up b", "Up c", "Returned c up startedAgain"])
    // Its own stream goes on in a new epoch.
    #expect(try place.events(of: "c").sorted() == ["Up a", "Up a", "Up b", "Up b"])
    let streams = try place.deployment.reader(of: "c").streamHeads().keys.filter {
      $0.agent == "hypha.node.c"
    }
    #expect(Set(streams.map(\.epoch)).count == 2)
  }

  @Test func `whoever was met is told of when it starts again, however soon that is`() throws {
    var metCount = 0
    // In steps that are shorter than a message is under way.
    for step in 1...60 {
      let span = Duration.milliseconds(step)
      let place = try Place(for: span, delay: .milliseconds(4))
      let judges = try (["a", "b"] as [NodeID]).filter { try place.events(of: $0).contains("Up c") }
      metCount += judges.count
      place.deployment.kill("c")
      place.deployment.run(for: .milliseconds(100))
      try place.deployment.start("c")
      place.deployment.run(for: .seconds(3))
      for judge in judges {
        let events = try place.events(of: judge)
        #expect(events.contains("Returned c up startedAgain"), "\(judge) after \(span): \(events)")
      }
    }
    #expect(metCount > 20)
  }

  @Test func `a node that is cut off misses all, and is missed by all`() throws {
    let place = try Place()
    for other in ["a", "b"] as [NodeID] { place.deployment.network.setCut(true, between: "c", and: other) }
    place.deployment.run(for: .seconds(20))
    #expect(try place.events(of: "c").suffix(2) == ["Down a allSilent", "Down b allSilent"])
    #expect(try place.events(of: "a").suffix(1) == ["Down c silent"])
  }

  @Test func `what a full log refuses of membership is stated once it has room`() throws {
    let place = try Place()
    place.deployment.stores["a"]?.setFull(true)
    place.deployment.kill("c")
    place.deployment.run(for: .seconds(20))
    #expect(try place.events(of: "a") == ["Up b", "Up c"])
    place.deployment.stores["a"]?.setFull(false)
    place.deployment.run(for: .seconds(3))
    #expect(try place.events(of: "a") == ["Up b", "Up c", "Suspected c", "Down c silent"])
    #expect(try place.deployment.reader(of: "a").verify().isSound)
  }
}
