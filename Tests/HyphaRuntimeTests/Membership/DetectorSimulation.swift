import HyphaCore
import HyphaTopology
import HyphaTransport

@testable import HyphaRuntime

/// Nodes that watch each other on a bad day: a virtual clock, messages that are late or lost, processes that are
/// stopped, starved, killed and started again, links that are cut, clocks that are set. All of it from one seed.
///
/// What is true is kept apart from what the detectors believe, and each change that they tell is held against it.
struct DetectorSimulation {
  enum Weather { case busy, stormy }

  struct Broken: Error, CustomStringConvertible {
    let promise: String
    let detail: String
    var description: String { "\(promise): \(detail)" }
  }

  private struct Message {
    let due: UInt64
    let from: Int
    let isHeartbeat: Bool
    let life: Int
  }

  private struct Node {
    var detector: FailureDetector
    var life = 1
    /// The lives of others that it has met.
    var met: [Int: Int] = [:]
    var isRunning = true
    var sleepsUntil: UInt64 = 0
    var startsAt: UInt64 = 0
    /// How far its clock is off.
    var clockOffset: UInt64 = 1_000_000_000
    var inbox: [Message] = []
    var nextBeatAt: UInt64 = 0
    var lastStepAt: UInt64 = 0
    /// Of each other node: when it was last heard, how long this one has slept since, and how often it slept or
    /// had its clock set.
    var truth: [Int: (heardAt: UInt64, slept: UInt64, breaks: UInt64)] = [:]
    var standing: [NodeID: FailureDetector.Standing] = [:]
    /// The share of steps that it is kept from taking.
    var starvation = 0.0
  }

  let settings: MembershipSettings
  private var random: SeededGenerator
  private let names: [NodeID]
  private var nodes: [Node] = []
  private var now: UInt64 = 0
  private var cut: Set<[Int]> = []
  private var cutEnds: [(at: UInt64, pair: [Int])] = []
  private let loss: Double
  private let delayMax: UInt64
  private(set) var suspicionCount = 0
  private(set) var downCount = 0

  /// The length of a step in microseconds; a node that is not starved looks once in each.
  static let step: UInt64 = 50_000
  /// The most that a starved node is kept waiting.
  static let starvationMax: UInt64 = 1_000_000

  init(seed: UInt64, weather: Weather) {
    random = SeededGenerator(seed: seed, name: "detectors")
    settings = MembershipSettings(
      suspicion: random.next() % 3 == 0
        ? .fixed(after: .seconds(4)) : .phi(level: 6 + Int(random.next() % 8), pause: .seconds(2)),
      downAfter: .seconds(10))
    loss = weather == .busy ? Double(random.next() % 11) / 100 : Double(random.next() % 31) / 100
    delayMax = random.next() % 300_000
    names = (0..<2 + Int(random.next() % 3)).map { NodeID(unchecked: "n\($0)") }
    for index in names.indices { nodes.append(Node(detector: detector(of: index, start: 1_000_000_000))) }
    for index in names.indices { forgetTruth(index) }
    if weather == .busy {
      for index in names.indices where random.chance(0.7) {
        nodes[index].starvation = Double(random.next() % 85) / 100
      }
    }
  }

  private func detector(of index: Int, start: UInt64) -> FailureDetector {
    FailureDetector(names.filter { $0 != names[index] }, settings: settings, start: start)
  }

  private mutating func forgetTruth(_ index: Int) {
    for other in names.indices where other != index { nodes[index].truth[other] = (now, 0, 0) }
    nodes[index].standing = [:]
    nodes[index].lastStepAt = now
  }

  // MARK: The days

  /// Everyone is up and busy, and stays so.
  mutating func runBusy(seconds: UInt64) throws {
    let end = now + seconds * 1_000_000
    while now < end {
      // A second or less in which all is stopped, as when the machine is suspended.
      if random.chance(0.002) {
        sleep(Int(random.next() % UInt64(nodes.count)), for: random.next() % 1_000_000)
      }
      try pass()
    }
    guard suspicionCount == 0 else {
      throw Broken(promise: "no-false-alarm", detail: "\(suspicionCount) suspicions while all were up")
    }
  }

  /// Anything may happen.
  mutating func runStorm(seconds: UInt64) throws {
    let end = now + seconds * 1_000_000
    while now < end {
      strike()
      try pass()
    }
  }

  /// All come back, and are known to be up by all; then one ends for good, and that is known, too.
  mutating func heal() throws {
    cut = []
    cutEnds = []
    for index in nodes.indices {
      nodes[index].starvation = 0
      nodes[index].sleepsUntil = min(nodes[index].sleepsUntil, now)
      nodes[index].startsAt = min(nodes[index].startsAt, now)
    }
    try run(seconds: 8)
    for (index, node) in nodes.enumerated() {
      for (other, peer) in node.detector.peers where peer.standing != .up {
        throw Broken(promise: "node-returns", detail: "n\(index) takes \(other) for \(peer.standing)")
      }
    }
    let victim = Int(random.next() % UInt64(nodes.count))
    nodes[victim].isRunning = false
    nodes[victim].startsAt = .max
    try run(seconds: 12)
    for (index, node) in nodes.enumerated() where index != victim {
      guard node.detector.peers[names[victim]]?.standing == .down else {
        throw Broken(promise: "node-down-noticed", detail: "n\(index) does not take n\(victim) for down")
      }
    }
  }

  private mutating func run(seconds: UInt64) throws {
    let end = now + seconds * 1_000_000
    while now < end { try pass() }
  }

  private mutating func strike() {
    guard random.chance(0.03) else { return }
    let index = Int(random.next() % UInt64(nodes.count))
    let span = random.next() % 16_000_000
    switch random.next() % 6 {
    case 0, 1: sleep(index, for: span)
    case 2:
      nodes[index].isRunning = false
      nodes[index].startsAt = now + span
    case 3:
      let pair = [index, (index + 1) % nodes.count].sorted()
      cut.insert(pair)
      cutEnds.append((now + span, pair))
    case 4: nodes[index].starvation = Double(random.next() % 90) / 100
    default:
      let offset = random.next() % 60_000_000
      nodes[index].clockOffset = random.chance(0.5) ? nodes[index].clockOffset + offset : 900_000_000 + offset
      for other in nodes[index].truth.keys { nodes[index].truth[other]?.breaks += 1 }
    }
  }

  private mutating func sleep(_ index: Int, for span: UInt64) {
    nodes[index].sleepsUntil = max(nodes[index].sleepsUntil, now + span)
  }

  // MARK: One step

  private mutating func pass() throws {
    now += Self.step
    for (at, pair) in cutEnds where at <= now { cut.remove(pair) }
    cutEnds.removeAll { $0.at <= now }
    for index in nodes.indices {
      if !nodes[index].isRunning {
        guard nodes[index].startsAt <= now else { continue }
        start(index)
      }
      let isStarved =
        random.chance(nodes[index].starvation) && now - nodes[index].lastStepAt < Self.starvationMax
      guard nodes[index].sleepsUntil <= now, !isStarved else {
        for other in nodes[index].truth.keys { nodes[index].truth[other]?.slept += Self.step }
        continue
      }
      try act(index)
    }
  }

  private mutating func start(_ index: Int) {
    nodes[index].isRunning = true
    nodes[index].life += 1
    nodes[index].met = [:]
    nodes[index].inbox = []
    nodes[index].nextBeatAt = now
    nodes[index].detector = detector(of: index, start: now + nodes[index].clockOffset)
    forgetTruth(index)
  }

  private mutating func act(_ index: Int) throws {
    if now - nodes[index].lastStepAt > Self.step {
      for other in nodes[index].truth.keys { nodes[index].truth[other]?.breaks += 1 }
    }
    nodes[index].lastStepAt = now
    // After a pause the tick may come before what has arrived meanwhile.
    let ticksFirst = random.chance(0.5)
    if ticksFirst { try tick(index) }
    try receive(index)
    if !ticksFirst { try tick(index) }
    guard now >= nodes[index].nextBeatAt else { return }
    nodes[index].nextBeatAt = now + settings.heartbeat.wholeMicroseconds
    for other in nodes.indices where other != index { send(from: index, to: other, isHeartbeat: true) }
  }

  private mutating func tick(_ index: Int) throws {
    for change in nodes[index].detector.tick(at: now + nodes[index].clockOffset) {
      try check(change, at: index)
    }
  }

  private mutating func receive(_ index: Int) throws {
    let due = nodes[index].inbox.filter { $0.due <= now }
    nodes[index].inbox.removeAll { $0.due <= now }
    for message in due {
      let machine = now + nodes[index].clockOffset
      let other = names[message.from]
      if let known = nodes[index].met[message.from], known < message.life {
        if let change = nodes[index].detector.restarted(other, at: machine) { try check(change, at: index) }
      }
      nodes[index].met[message.from] = message.life
      let change = nodes[index].detector.heard(other, isHeartbeat: message.isHeartbeat, at: machine)
      nodes[index].truth[message.from] = (now, 0, 0)
      if let change { try check(change, at: index) }
      if message.isHeartbeat { send(from: index, to: message.from, isHeartbeat: false) }
      guard nodes[index].detector.peers[other]?.standing == .up else {
        throw Broken(
          promise: "node-returns", detail: "n\(index) has heard \(other) and does not take it for up")
      }
    }
  }

  private mutating func send(from index: Int, to other: Int, isHeartbeat: Bool) {
    guard nodes[other].isRunning, !cut.contains([index, other].sorted()), !random.chance(loss) else { return }
    let due = now + random.next() % (delayMax + 1)
    nodes[other].inbox.append(
      Message(due: due, from: index, isHeartbeat: isHeartbeat, life: nodes[index].life))
  }

  // MARK: The truth

  private mutating func check(_ change: FailureDetector.Change, at index: Int) throws {
    let told = nodes[index].standing[change.node] ?? .unknown
    guard change.from == told else {
      throw Broken(promise: "told-once", detail: "n\(index) goes from \(told) on with \(change)")
    }
    nodes[index].standing[change.node] = change.to
    guard change.to == .suspected || change.to == .down else { return }
    if change.to == .suspected { suspicionCount += 1 } else { downCount += 1 }
    let other = names.firstIndex(of: change.node) ?? 0
    guard let truth = nodes[index].truth[other] else { return }
    // Of each break in its own looking a node may take one heartbeat for somebody's silence.
    let awake = now - truth.heardAt - truth.slept + truth.breaks * settings.heartbeat.wholeMicroseconds
    let least: UInt64 =
      switch settings.suspicion {
      case _ where change.to == .down: settings.downAfter.wholeMicroseconds
      case .fixed(let after): after.wholeMicroseconds
      case .phi(_, let pause): pause.wholeMicroseconds + settings.heartbeat.wholeMicroseconds
      }
    guard awake >= least else {
      throw Broken(
        promise: "no-false-alarm",
        detail: "n\(index) tells \(change), has been awake for \(awake) µs since it heard of it")
    }
  }
}
