import HyphaCore
import HyphaTransport

/// One run of a lane, all of it from one seed: an origin, a receiver, and a second node that takes the lane, too, and may
/// serve it, over a network that loses, doubles, delays and reorders, with partitions, changes of route and crashes of
/// all three. Where anything breaks, the run ends and says which invariant.
struct LaneSimulation {
  private enum Message {
    case live([Record])
    case heads(LanePoint, from: NodeID)
    case fetch(after: LanePoint, from: NodeID)
    case answer([Record], after: LanePoint, from: NodeID)
    /// What no origin has stated.
    case forged(isEarly: Bool)
  }

  /// The run's weather, drawn once.
  private struct Weather {
    let loss: Double
    let duplication: Double
    let delayMax: UInt64
    let crash: Double
    let cut: Double
    let reroute: Double
    let refusal: Double
    let forgery: Double
    /// The origin ends for good, before the network heals.
    let originDies: Bool

    init(_ random: inout SeededGenerator) {
      loss = Double(random.next() % 31) / 100
      duplication = Double(random.next() % 31) / 100
      delayMax = random.next() % 4 == 0 ? 0 : random.next() % 150
      crash = random.next() % 2 == 0 ? 0 : Double(random.next() % 6) / 100
      cut = random.next() % 2 == 0 ? 0 : 0.06
      reroute = random.next() % 2 == 0 ? 0 : 0.15
      refusal = random.next() % 4 == 0 ? 0.03 : 0
      originDies = random.next() % 4 == 0
      forgery = !originDies && random.next() % 4 == 0 ? 0.05 : 0
    }
  }

  private(set) var origin: OriginModel
  private(set) var nodes: [ReceiverModel]
  private(set) var rerouteCount = 0
  private var random: SeededGenerator
  private let weather: Weather
  private var isHealed = false
  private var isForged = false
  private var milliseconds: UInt64 = 0
  private var inFlight: [(due: UInt64, to: NodeID, message: Message)] = []
  /// Which of two routes live events take: each, or both while one is made before the other is broken.
  private var routes: ClosedRange<UInt64> = 0...0
  private var cut: Set<Set<NodeID>> = []

  init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
    weather = Weather(&random)
    origin = OriginModel(sendsBeforeCommit: random.next() % 2 == 0)
    let limits = LaneLimits(
      parkedCountMax: 1 + Int(random.next() % 8), parkedByteCountMax: random.next() % 4 == 0 ? 500 : 4 << 20)
    nodes = [ReceiverModel("receiver", limits: limits), ReceiverModel("copy", limits: limits)]
    // A late joiner.
    if random.next() % 4 == 0 { nodes[0].crash() }
  }

  /// Whether the origin ended for good.
  var originDies: Bool { weather.originDies }

  mutating func run() throws {
    for _ in 0..<(20 + Int(random.next() % 40)) {
      actAtOrigin()
      mishap()
      try pass(milliseconds: 5)
    }
    try heal()
    if weather.originDies {
      try checkWithoutOrigin()
    } else {
      for node in nodes { try node.checkEnd(origin) }
    }
    guard isForged || nodes.allSatisfy({ $0.counts.contradictionCount == 0 }) else {
      throw Broken("lane-forks-told", "an honest lane counts as contradicted")
    }
  }

  // MARK: Acting

  private mutating func actAtOrigin() {
    guard origin.isUp else { return }
    if random.chance(0.6) {
      let records = (0...(random.next() % 3)).map { _ in origin.publish(skipping: random.next() % 3) }
      if origin.sendsBeforeCommit { sendLive(records) }
    }
    if random.chance(0.5) {
      let committed = origin.commit(Int(random.next() % 4))
      if !origin.sendsBeforeCommit, !committed.isEmpty { sendLive(committed) }
    }
    if random.chance(weather.forgery) {
      isForged = true
      send(.forged(isEarly: random.chance(0.5)), from: "origin", to: nodes[Int(random.next() % 2)].name)
    }
  }

  private mutating func mishap() {
    if random.chance(weather.crash) { origin.crash() } else if random.chance(0.3) { origin.restart() }
    for index in nodes.indices {
      if random.chance(weather.crash) {
        nodes[index].crash()
      } else if random.chance(0.2) {
        nodes[index].restart()
      }
      if random.chance(weather.refusal) { nodes[index].refuseAppends(now: time(milliseconds: milliseconds)) }
    }
    if random.chance(weather.cut) {
      let pairs: [Set<NodeID>] = [["origin", "receiver"], ["origin", "copy"], ["copy", "receiver"]]
      cut.formSymmetricDifference([pairs[Int(random.next() % 3)]])
    }
    if random.chance(weather.reroute) {
      rerouteCount += 1
      let isMakeBeforeBreak = routes == 0...1 || random.chance(0.3)
      routes = isMakeBeforeBreak && routes != 0...1 ? 0...1 : random.chance(0.5) ? 0...0 : 1...1
    }
  }

  private mutating func heal() throws {
    if weather.originDies { origin.crash() } else { origin.restart() }
    isHealed = true
    cut = []
    for index in nodes.indices { nodes[index].restart() }
    if origin.isUp {
      _ = origin.commit(.max)
      // What an alert lane's origin has lost is known only by what comes next; of others the heads alone may tell the end.
      if origin.sendsBeforeCommit || random.chance(0.5) {
        let last = origin.publish(skipping: 0)
        _ = origin.commit(.max)
        sendLive([last])
      }
    }
    // The longest wait for an answer that was lost is 8 s.
    for _ in 0..<1500 {
      if isSettled { break }
      try pass(milliseconds: 20)
    }
    try pass(milliseconds: 500)
  }

  private var isSettled: Bool {
    let end = origin.isUp ? origin.logEnd : nodes.map(\.logEnd).max() ?? .start
    return inFlight.isEmpty
      && nodes.allSatisfy { $0.logEnd == end && !$0.isCommitting && !(origin.isUp && $0.receiver.isBehind) }
  }

  // MARK: The network

  private mutating func sendLive(_ records: [Record]) {
    for route in routes {
      // The second route takes longer.
      for node in nodes { send(.live(records), from: "origin", to: node.name, delay: route * 40) }
    }
  }

  private mutating func send(_ message: Message, from sender: NodeID, to node: NodeID, delay: UInt64 = 0) {
    for _ in 0..<(!isHealed && random.chance(weather.duplication) ? 2 : 1)
    where isHealed || !random.chance(weather.loss) {
      guard !cut.contains([sender, node]) else { continue }
      let wait = delay + (weather.delayMax == 0 ? 0 : random.next() % (weather.delayMax + 1))
      inFlight.append((milliseconds + wait, node, message))
    }
  }

  private mutating func pass(milliseconds step: UInt64) throws {
    milliseconds += step
    for index in nodes.indices where nodes[index].isUp { nodes[index].commit(upTo: milliseconds) }
    if inFlight.contains(where: { $0.due <= milliseconds }) {
      let due = inFlight.filter { $0.due <= milliseconds }
      inFlight.removeAll { $0.due <= milliseconds }
      for (_, node, message) in due { try arrive(message, at: node) }
    }
    if isHealed ? milliseconds % 200 < step : random.chance(0.15) { sendHeads() }
    for index in nodes.indices {
      let copy = nodes[1 - index].name
      if let (node, after) = nodes[index].fetchDue(copy: copy, at: milliseconds) {
        send(.fetch(after: after, from: nodes[index].name), from: nodes[index].name, to: node)
      }
      try nodes[index].checkBounds()
    }
  }

  /// Who is up says how far its log goes.
  private mutating func sendHeads() {
    for node in nodes {
      if origin.isUp { send(.heads(origin.logEnd, from: "origin"), from: "origin", to: node.name) }
      for other in nodes where other.name != node.name && other.isUp {
        send(.heads(other.logEnd, from: other.name), from: other.name, to: node.name)
      }
    }
  }

  private mutating func arrive(_ message: Message, at node: NodeID) throws {
    let count = 1 + Int(random.next() % 5)
    if case .fetch(let after, let asker) = message {
      let log =
        node == "origin" ? (origin.isUp ? origin.log : nil) : nodes.first { $0.name == node && $0.isUp }?.log
      guard let log else { return }
      return send(
        .answer(log.answer(after: after, upTo: count), after: after, from: node), from: node, to: asker)
    }
    guard let index = nodes.firstIndex(where: { $0.name == node && $0.isUp }) else { return }
    let due = milliseconds + random.next() % 20
    switch message {
    case .live(let records): try nodes[index].receive(records, at: milliseconds, commitAt: due)
    case .heads(let end, let other):
      nodes[index].announce(end, by: other == "origin" ? .origin : .copy, other, at: milliseconds)
    case .answer(let records, let after, let other):
      try nodes[index].receive(
        answer: records, after: after, from: other == "origin" ? .origin : .copy, other, at: milliseconds,
        commitAt: due)
    case .forged(let isEarly):
      let record = Self.forgery(isEarly: isEarly, against: nodes[index].receiver.head, random.next())
      try nodes[index].receive([record], at: milliseconds, commitAt: due)
    case .fetch: break
    }
  }

  /// An event with a place that the lane never has, in the epoch that a receiver is in: it follows what will never come,
  /// or what has gone by.
  private static func forgery(isEarly: Bool, against head: LanePoint, _ number: UInt64) -> Record {
    let epoch = max(1, head.epoch)
    let place = LanePoint(epoch: epoch, sequence: 1 << 40 + number % 100)
    let isContradiction = !isEarly && head.sequence > 1
    let previous = isContradiction ? LanePoint(epoch: epoch, sequence: head.sequence - 1) : place
    return Sample.record(LanePoint(epoch: epoch, sequence: place.sequence + 1), after: previous)
  }

  // MARK: The end

  /// What one of the two has, both have. They may go on waiting for what the origin has sent, and nobody took.
  private func checkWithoutOrigin() throws {
    guard nodes[0].logEnd == nodes[1].logEnd else {
      throw Broken(
        "lane-complete",
        "with the origin gone, one ends at \(nodes[0].logEnd), the other at \(nodes[1].logEnd)")
    }
    let committed = Set(origin.log)
    let (first, second) = (nodes[0].log.filter(committed.contains), nodes[1].log.filter(committed.contains))
    guard first == second else {
      throw Broken("lane-complete", "with the origin gone, the copies differ: \(first) and \(second)")
    }
  }
}
