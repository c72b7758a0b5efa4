import Foundation
import HyphaCore
import HyphaKinds
import HyphaLog
import HyphaTopology
import HyphaTransport
import Synchronization

@testable import HyphaRuntime

/// A deployment in which everything meets: its file changes again and again, nodes among its nodes, while nodes crash, stop and are cut
/// off, also those of the observer's seat, its standby and supervisors, and for long; operators rule about links and delegations and
/// move agents; and agents send persistent, alert and realtime events past supervisors who oversee some of them, ask for decisions and
/// ask each other. All of it follows from a seed.
final class MixedScenario {
  let deployment: SimulatedDeployment
  let first: Topology
  let run: String
  let witness: Witness
  private(set) var file: MixedFile
  /// What each text says that operators have wanted, and each policy of the desk that there was.
  private var files: [String: MixedFile]
  private(set) var policies: [DeskPolicy]
  private(set) var violations: [String] = []
  /// The file that each node which was added began with: until it hears of its revision it runs under that.
  private(set) var added: [NodeID: Topology] = [:]
  /// The nodes that were killed while they ran, and what has happened, for people.
  private(set) var killed: Set<NodeID> = []
  private(set) var diary: [String] = []
  private let texts = TopologyTexts()
  private var random: SeededGenerator
  private let faults: MemoryNetwork.Faults
  /// What comes to an end, and when, by the loop's clock.
  private var due: [(at: UInt64, end: End)] = []

  private enum End {
    case absence(NodeID)
    case cut(NodeID, NodeID)
  }

  init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed, name: "mixed")
    run = UUID().uuidString
    file = MixedFile(run: run, asks: random.chance(0.3), &random)
    first = try file.topology()
    policies = [file.desk]
    var maker = ScenarioMaker(seed: seed)
    faults = random.chance(0.6) ? maker.faults() : .none
    deployment = SimulatedDeployment(
      first,
      kinds: try KindRegistry(
        BuiltInKinds.all + [
          Beater.self, TickTaker.self, Chief.self, Judge.self, Asker.self, Beeper.self, Listener.self,
          Oracle.self, Curious.self,
        ]), seed: seed, faults: faults, notary: { TestNotary($0) })
    let text = try texts.file(first)
    deployment.file = text
    files = [text.text: file]
    witness = Witness(run, scheduler: deployment.loop)
  }

  deinit { Witness.remove(run) }

  /// Lets things happen, makes good in the end, and checks what is promised.
  func play(steps: Int = 24) throws -> MixedChecker {
    try deployment.start()
    for _ in 0..<steps {
      try pass(Int.random(in: 0...600, using: &random))
      try follow()
      try act()
    }
    for (_, end) in due.sorted(by: { $0.at < $1.at }) { try perform(end) }
    for node in deployment.stores.keys.sorted() where deployment.node(node) == nil {
      _ = try deployment.begin(node)
    }
    deployment.network.setFaults(.none)
    try settle()
    let checker = try MixedChecker(self)
    violations += checker.violations
    return checker
  }

  /// Waits until nothing is left to do and all is where the newest file has it.
  private func settle() throws {
    // Branches return, seats are given up, operators' last wishes are answered.
    deployment.run(for: .seconds(20))
    try follow(always: true)
    deployment.run(for: .seconds(10))
    witness.state.withLock { $0.isQuiet = true }
    guard !deployment.runToEnd(limit: .seconds(300)) else { return deployment.run(for: .seconds(2)) }
    let lines = deployment.summary().nodes.map { status in
      "\(status.node): \(status.channels.mapValues { [$0.statedPairCount, $0.handledPairCount] }) backlog "
        + "\(status.backlog) behind \(status.behindLaneCount) alerts \(status.openAlertCount) finished "
        + "\(status.finishedCount) of \(status.workerCount) \(status.notes.suffix(4))"
    }
    violations.append("finish-comes: \(lines)")
  }

  // MARK: What happens

  private var now: UInt64 { deployment.loop.microseconds() }

  /// Lets milliseconds pass, with what comes to its end meanwhile.
  private func pass(_ milliseconds: Int) throws {
    let end = now + UInt64(milliseconds) * 1000
    while let place = due.indices.min(by: { due[$0].at < due[$1].at }), due[place].at <= end {
      let (at, action) = due.remove(at: place)
      deployment.run(for: .microseconds(at - min(at, now)))
      try perform(action)
    }
    deployment.run(for: .microseconds(end - now))
  }

  private func perform(_ end: End) throws {
    switch end {
    case .absence(let node): if deployment.node(node) == nil { _ = try deployment.begin(node) }
    case .cut(let first, let second): deployment.network.setCut(false, between: first, and: second)
    }
  }

  /// The newest file that the node which orders them knows; nodes that it has and that are not there are started.
  private func follow(always: Bool = false) throws {
    guard let order = try MoveReading(deployment.reader(of: "hub")).revisions.newest else { return }
    let known = files[order.file]!
    if known.desk != file.desk { policies.append(known.desk) }
    file = known
    for node in file.nodes where deployment.stores[node] == nil && (always || random.chance(0.7)) {
      diary.append("\(node) is added")
      let text = TopologyText(order.file, read: deployment.file!.read)
      added[node] = try text.read(text.text)
      deployment.add(node, text)
      _ = try deployment.begin(node)
    }
  }

  private func one() -> NodeID { deployment.stores.keys.sorted().randomElement(using: &random)! }

  private func act() throws {
    let node = one()
    switch Int.random(in: 0...21, using: &random) {
    case 0...2: kill(node, for: Int.random(in: 0...500, using: &random))
    case 3:
      guard deployment.node(node) != nil else { return }
      diary.append("\(node) stops")
      try deployment.stop(node)
      due.append((now + UInt64.random(in: 0...2_000_000, using: &random), .absence(node)))
    case 4, 5: cut(node, from: [one()], for: Int.random(in: 10...2500, using: &random))
    case 6, 7:
      // The seat, or its standby, from all or from some.
      let seat = file.observer.seats.randomElement(using: &random)!
      let others = deployment.stores.keys.sorted().filter { _ in random.chance(0.7) }
      cut(seat, from: others, for: Int.random(in: 1000...6000, using: &random))
    case 8, 9:
      // The seat's node, a supervisor's.
      let long = (file.observer.seats + ["x", "y"]).randomElement(using: &random)!
      kill(long, for: Int.random(in: 2000...8000, using: &random))
    case 10...12: try rule(at: node)
    case 13:
      let agents = file.agents.filter { [Beater.kind, TickTaker.kind].contains($0.kind) && $0.id != "head" }
      let (agent, to) = (agents.randomElement(using: &random)!.id, one())
      diary.append("\(agent) is to move to \(to)")
      _ = try? deployment.node(node)?.move(agent, to: to, by: "operator", note: nil)
    case 14:
      diary.append("revoked at \(node)")
      _ = try? deployment.node(node)?.rule(DelegationRuled(.revoke), of: "boss", by: "operator")
    case 15...19: try apply(at: node)
    default: try pass(Int.random(in: 500...3000, using: &random))
    }
  }

  private func kill(_ node: NodeID, for milliseconds: Int) {
    guard let running = deployment.node(node) else { return }
    diary.append("\(node) is killed for \(milliseconds) ms")
    killed.insert(node)
    witness.state.withLock { state in
      for agent in running.topology.agents(on: node) { state.deaths[agent.id, default: 0] += 1 }
    }
    deployment.kill(node)
    due.append((now + UInt64(milliseconds) * 1000, .absence(node)))
  }

  private func cut(_ node: NodeID, from others: [NodeID], for milliseconds: Int) {
    diary.append("\(node) is cut off from \(others) for \(milliseconds) ms")
    for other in others where other != node {
      deployment.network.setCut(true, between: node, and: other)
      due.append((now + UInt64(milliseconds) * 1000, .cut(node, other)))
    }
  }

  private func rule(at node: NodeID) throws {
    let link = DirectLink(
      file.agents.randomElement(using: &random)!.id, file.agents.randomElement(using: &random)!.id)
    let rules: [LinkRule] = [
      .pin(link), .pin(link), .pin(link), .unpin(link), .forbid(link), .allow(link), .retire(link), .freeze,
      .thaw, .revert(version: 1, links: []),
    ]
    let rule = rules.randomElement(using: &random)!
    diary.append("\(rule) at \(node)")
    _ = try deployment.node(node)?.ask(rule, by: "operator", note: nil)
  }

  private func apply(at node: NodeID) throws {
    let reading = try MoveReading(deployment.reader(of: "hub"))
    let next = file.changed(reading.moves, &random)
    // Some cannot be: whoever writes the file sees that.
    guard let topology = try? next.topology() else { return }
    let text = try texts.text(topology)
    files[text] = next
    diary.append("a file after \(reading.revisions.number) is applied at \(node)")
    _ = try deployment.node(node)?.apply(text, after: reading.revisions.number, by: "ana", note: nil)
  }
}
