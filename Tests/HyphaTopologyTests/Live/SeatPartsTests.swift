import HyphaCore
import Testing

@testable import HyphaTopology

/// Terms of the observer's seat that no record has room for.
@Suite struct SeatPartsTests {
  /// The seat on x, its standby on y, and agents on z, with links between as many pairs of them as are wanted.
  private func topology(linkCount: Int, agentCount: Int = 145) throws -> Topology {
    let leaves = (0..<agentCount).map { AgentID(unchecked: "some-agent-\($0)") }
    var policy = ObserverPolicy()
    (policy.node, policy.standby, policy.agentLinks, policy.memory) = ("x", "y", 255, 65_536)
    var pins: [DirectLink] = []
    for (place, one) in leaves.enumerated() {
      for other in leaves[(place + 1)...] where pins.count < linkCount { pins.append(DirectLink(one, other)) }
    }
    policy.pins = pins
    return try Topology(
      name: "t", nodes: ["x", "y", "z"].map { NodeSpec(id: $0) },
      agents: [AgentSpec(id: "root", kind: "k", node: "x")]
        + leaves.map { AgentSpec(id: $0, kind: "k", node: "z", reportsTo: "root") }, observer: policy)
  }

  /// A node of the seat: its log, and what it knows of that.
  private struct Place {
    let topology: Topology
    let node: NodeID
    var seat: ObserverSeat
    var parts = EventParts()
    var live: LiveTopology
    var log: [Record] = []
    var epoch: UInt64 = 1
    var sequence: UInt64 = 0
    /// What it is about to state, part by part.
    var waiting: [Record] = []
    /// The links of each version that it has come to know.
    var known: [UInt32: Set<DirectLink>] = [:]

    init(_ topology: Topology, _ node: NodeID) throws {
      (self.topology, self.node, live) = (topology, node, LiveTopology(topology))
      seat = try ObserverSeat(topology, at: node)
    }

    mutating func take(_ record: Record) throws {
      log.append(record)
      try give(record)
    }

    private mutating func give(_ record: Record) throws {
      guard let record = parts.take(record) else { return }
      let header = record.header
      switch header.type {
      case LinksChanged.eventType:
        let event = try LinksChanged.decode(record)
        seat.confirm(
          event, cause: header.causation, id: header.id, correlation: header.correlation, at: header.time)
        if live.apply(event, at: header.time) { known[live.version] = Set(live.links.keys) }
      case SeatSuperseded.eventType:
        seat.confirm(try SeatSuperseded.decode(record), cause: header.causation)
      case RuleRefused.eventType:
        seat.confirmUnchanged(cause: header.causation, term: try RuleRefused.decode(record).term)
      case RuleAsked.eventType:
        seat.take(
          try RuleAsked.decode(record), header.id, correlation: header.correlation,
          at: (header.agent, record.point))
      default: Issue.record("\(header.type)")
      }
    }

    mutating func record(_ payload: [UInt8], _ type: EventTypeName, cause: EventID) throws -> Record {
      sequence += 1
      let id = EventID(high: node == "x" ? 1 : node == "y" ? 2 : 3, low: epoch << 32 + sequence)
      return try Record(
        RecordHeader(
          id: id, time: Timestamp(microseconds: epoch * 1000 + sequence), channel: .persistent,
          agent: AgentID(unchecked: "hypha.node.\(node)"), epoch: epoch, sequence: sequence, previous: .start,
          addressee: nil, type: type, subject: "s", causation: cause, correlation: id,
          authority: Authority(principal: "x", grant: "topology")), payload: payload)
    }

    /// Puts the next thing that it has to state into its log, or the next part of it; nil where there is none.
    mutating func step(limit: Int) throws -> Record? {
      if waiting.isEmpty, let answer = seat.pending.first {
        let (event, type): (any Event, EventTypeName) =
          switch answer.content {
          case .changed(let event): (event, LinksChanged.eventType)
          case .suggested(let event): (event, LinksSuggested.eventType)
          case .refused(let event): (event, RuleRefused.eventType)
          case .superseded(let event): (event, SeatSuperseded.eventType)
          }
        let payload = Array(try JSON.encode(event))
        let payloads =
          payload.count > limit ? try EventParts.divide(payload, of: type, limit: limit) : [payload]
        waiting = try payloads.map { try record($0, type, cause: answer.cause) }
      }
      guard !waiting.isEmpty else { return nil }
      let next = waiting.removeFirst()
      try take(next)
      return next
    }

    /// Dies, and knows what the log has, from its beginning or behind what was kept when it had `kept` entries.
    mutating func restart(
      _ snapshot: (kept: Int, seat: ObserverSeat.Snapshot, live: LiveTopology, EventParts)?
    )
      throws
    {
      (waiting, epoch, sequence) = ([], epoch + 1, 0)
      (seat, live, parts) = (try ObserverSeat(topology, at: node), LiveTopology(topology), EventParts())
      if let snapshot {
        try seat.resume(JSON.decode(ObserverSeat.Snapshot.self, from: JSON.encode(snapshot.seat)))
        live = snapshot.live
        parts = try JSON.decode(EventParts.self, from: JSON.encode(snapshot.3))
      }
      for record in log[(snapshot?.kept ?? 0)...] { try give(record) }
    }
  }

  @Test func `10,000 links go with the seat to its standby, and back`() throws {
    let topology = try topology(linkCount: 10_000)
    var (first, standby, other) = (
      try Place(topology, "x"), try Place(topology, "y"), try Place(topology, "z")
    )
    (first.seat.isOtherThere, standby.seat.isOtherThere) = (true, true)
    let limit = WireLimits.standard.payloadByteCountMax
    var partCount = 0
    func settle() throws {
      var isDone = false
      while !isDone {
        isDone = true
        if let record = try first.step(limit: limit) {
          for take in [{ try standby.take(record) }, { try other.take(record) }] { try take() }
          isDone = false
        }
        if let record = try standby.step(limit: limit) {
          partCount += record.type == LinksChanged.eventType ? 1 : 0
          for take in [{ try first.take(record) }, { try other.take(record) }] { try take() }
          isDone = false
        }
        if standby.seat.takeHandedOver(at: .zero) { isDone = false }
        if first.seat.takeHandedOver(at: .zero) { isDone = false }
      }
    }
    func ask(_ rule: LinkRule) throws {
      let payload = Array(try JSON.encode(RuleAsked(rule: rule)))
      let asked = try other.record(payload, RuleAsked.eventType, cause: .none)
      for take in [{ try first.take(asked) }, { try standby.take(asked) }, { try other.take(asked) }] {
        try take()
      }
      try settle()
    }
    let gone = DirectLink("some-agent-0", "some-agent-1")
    try ask(.unpin(gone))
    try ask(.handOver)
    #expect(standby.seat.isActive && standby.live.holder == "y" && SeatTerm.of(standby.live.version) == 2)
    #expect(partCount > 2 && other.live.links.count == 10_000)
    try ask(.retire(gone))
    try ask(.handOver)
    #expect(first.seat.isActive && !standby.seat.isActive && SeatTerm.of(first.live.version) == 3)
    for place in [first, standby, other] {
      #expect(place.live == first.live && place.live.links.count == 9999 && place.live.links[gone] == nil)
      #expect(place.live.links.values.count(where: \.isPinned) == 9999)
    }
    #expect(first.seat.observer.topologyHash == standby.seat.observer.topologyHash)
    #expect(first.seat.observer.links.count == 9999)
  }

  @Test func `a seat that dies between the parts of what begins its term has begun none`() throws {
    var counts = (parts: 0, own: 0, others: 0)
    for seed in UInt64(1)...40 {
      let run = try run(seed)
      counts = (counts.parts + run.parts, counts.own + run.own, counts.others + run.others)
    }
    #expect(counts.parts > 400 && counts.own > 20 && counts.others > 20, "\(counts)")
  }

  /// Has the seat taken over again and again while nodes die at any time.
  ///
  /// - Returns: how many parts there were, and how often a node died with the rest of its own still to be stated, or of another
  ///   one's still to come.
  private func run(_ seed: UInt64) throws -> (parts: Int, own: Int, others: Int) {
    var generator = SeededGenerator(seed: seed)
    let topology = try topology(linkCount: 10, agentCount: 6)
    let leaves = topology.agents.map(\.id).filter { $0 != "root" }
    var places = [try Place(topology, "x"), try Place(topology, "y"), try Place(topology, "z")]
    var kept: [Int: (kept: Int, seat: ObserverSeat.Snapshot, live: LiveTopology, EventParts)] = [:]
    // What each has still to get of each other's, in that one's order.
    var lanes: [[Int: [Record]]] = [[:], [:], [:]]
    var counts = (parts: 0, own: 0, others: 0)
    func tell(_ record: Record, _ author: Int) {
      for place in 0...2 where place != author { lanes[place][author, default: []].append(record) }
    }
    func give(_ place: Int, _ author: Int) throws {
      guard let next = lanes[place][author]?.first else { return }
      lanes[place][author]?.removeFirst()
      try places[place].take(next)
    }
    func begin(_ place: Int, _ step: UInt64) {
      let cause = EventID(high: 9, low: step)
      places[place].seat.begin(
        because: cause, correlation: cause, standing: "down", silentMicroseconds: 5, at: .zero)
    }
    for step in 0..<UInt64(500) {
      let place = Int.random(in: 0...2, using: &generator)
      switch Int.random(in: 0..<100, using: &generator) {
      case ..<6:
        let link = DirectLink(leaves[0], leaves.dropFirst().randomElement(using: &generator)!)
        let rules: [LinkRule] = [.pin(link), .unpin(link), .retire(link), .forbid(link), .allow(link)]
        let asked = RuleAsked(rule: rules.randomElement(using: &generator)!)
        let record = try places[2].record(Array(JSON.encode(asked)), RuleAsked.eventType, cause: .none)
        try places[2].take(record)
        tell(record, 2)
      case ..<9 where place < 2: begin(place, step)
      case ..<12 where place < 2:
        places[place].seat.heard(term: SeatTerm.of(places[1 - place].seat.live.version))
      case ..<17:
        // What was not stated is lost, and the rest of what was half stated.
        if !places[place].waiting.isEmpty {
          counts.own += 1
        } else if places[place].parts != EventParts() {
          counts.others += 1
        }
        try places[place].restart(Bool.random(using: &generator) ? kept[place] : nil)
      case ..<21:
        let at = places[place]
        kept[place] = (at.log.count, at.seat.snapshot, at.live, at.parts)
      case ..<60 where place < 2:
        if let record = try places[place].step(limit: 400) {
          if EventPart.read(record) != nil { counts.parts += 1 }
          tell(record, place)
        }
      default: try give(place, Int.random(in: 0...2, using: &generator))
      }
    }
    func settle() throws {
      for _ in 0..<60 {
        for place in 0...2 {
          for author in 0...2 { while lanes[place][author]?.isEmpty == false { try give(place, author) } }
          while place < 2, let record = try places[place].step(limit: 400) { tell(record, place) }
        }
      }
    }
    try settle()
    #expect(places[..<2].count(where: \.seat.isActive) == 1, "HYPHA_SEED=\(seed)")
    var known: [UInt32: Set<DirectLink>] = [:]
    for place in places {
      #expect(place.live == places[0].live, "HYPHA_SEED=\(seed): \(place.node)")
      #expect(place.seat.pending.isEmpty && place.seat.live == place.live, "HYPHA_SEED=\(seed)")
      for (version, links) in place.known {
        let other = known.updateValue(links, forKey: version)
        #expect(other == nil || other == links, "HYPHA_SEED=\(seed): version \(SeatTerm.text(version))")
      }
    }
    return counts
  }
}
