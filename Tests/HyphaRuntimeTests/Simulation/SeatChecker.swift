import HyphaCore
import HyphaLog
import HyphaTopology

@testable import HyphaRuntime

/// Checks the promises about the observer's seat and its standby, from what the nodes' logs have and the topology file says.
struct SeatChecker {
  private(set) var violations: [String] = []
  /// How many terms have begun by a takeover.
  private(set) var takeoverCount = 0

  private let run: LoggedTopology
  private let seats: [NodeID]
  private var asks: [(id: EventID, author: AgentID, point: LanePoint)] = []

  init(_ run: ScenarioRun) { self.init(LoggedTopology(run)) }

  init(_ run: LoggedTopology) {
    self.run = run
    seats = run.topology.observer.seats
    checkTerms()
    checkVersions()
    // What was still to be said then is never said.
    guard run.isNewest else { return }
    checkSuperseded()
    checkRules()
  }

  private mutating func fail(_ invariant: String, _ text: String) {
    violations.append("\(invariant): \(text)")
  }

  private static func term(_ version: UInt32) -> UInt32 { version / 4_194_304 + 1 }

  private func stated(on node: NodeID) -> [LogEntry] {
    run.logs[node]?.entries.filter { $0.source == .stated } ?? []
  }

  // MARK: seat-one-holder

  /// Each term is one node's, and each version is stated once.
  private mutating func checkTerms() {
    var holders: [UInt32: NodeID] = [:]
    var known: Set<UInt32> = []
    for node in run.logs.keys.sorted() {
      for event in stated(on: node).compactMap({ $0.record.said(LinksChanged.self) }) {
        let term = Self.term(event.version)
        if let other = holders.updateValue(node, forKey: term), other != node {
          fail("seat-one-holder", "\(other) and \(node) decide in term \(term)")
        }
        if seats[term.isMultiple(of: 2) ? 1 : 0] != node {
          fail("seat-one-holder", "\(node) decides in term \(term)")
        }
        if !known.insert(event.version).inserted {
          fail("seat-one-holder", "version \(event.version) is stated twice")
        }
        if event.begun != nil { takeoverCount += 1 }
      }
    }
  }

  // MARK: topology-agrees

  /// All who come to know a version know the same links for it.
  private mutating func checkVersions() {
    var known: [UInt32: (links: Set<DirectLink>, node: NodeID)] = [:]
    for (node, log) in run.logs.sorted(by: { $0.key < $1.key }) {
      var (version, links): (UInt32, Set<DirectLink>) = (
        run.topology.version, Set(run.topology.observer.pins)
      )
      for event in log.entries.compactMap({ $0.record.said(LinksChanged.self) }) {
        guard event.version > version else { continue }
        if let begun = event.begun { links = Set(begun.links.map(\.link)) }
        version = event.version
        for change in event.changes {
          links.subtract(change.retired.map(\.link))
          if let end = change.promoted { links.insert(end.link) }
        }
        if let other = known.updateValue((links, node), forKey: version), other.links != links {
          fail("topology-agrees", "\(node) and \(other.node) have other links for version \(version)")
        }
      }
    }
  }

  // MARK: seat-superseded-told

  /// Who had the seat and has heard of a later term has said so, once.
  private mutating func checkSuperseded() {
    for node in seats {
      var (holder, term) = (seats[0], Self.term(run.topology.version))
      var wanted: Set<EventID> = []
      for entry in run.logs[node]?.entries ?? [] {
        guard let event = entry.record.said(LinksChanged.self), let begun = event.begun, begun.term > term
        else { continue }
        if holder == node, begun.node != node { wanted.insert(entry.record.header.id) }
        (holder, term) = (begun.node, begun.term)
      }
      let told = stated(on: node).filter { $0.record.header.type == SeatSuperseded.eventType }.map(
        \.record.header.causation)
      if Set(told) != wanted || told.count != wanted.count {
        fail("seat-superseded-told", "\(node) has told of \(told.count) later terms, not \(wanted.count)")
      }
    }
  }

  // MARK: rules-answered

  /// Each rule has an answer that counts, and those of one node in order.
  private mutating func checkRules() {
    for node in run.logs.keys.sorted() {
      for entry in stated(on: node) where entry.record.header.type == RuleAsked.eventType {
        let header = entry.record.header
        asks.append((header.id, header.agent, entry.record.point))
      }
    }
    let changes = run.logs.values.flatMap(\.entries).filter { $0.source == .stated }.compactMap { entry in
      entry.record.said(LinksChanged.self).map { (entry.record.header.causation, $0) }
    }
    let last = changes.map { Self.term($0.1.version) }.max() ?? Self.term(run.topology.version)
    let begun = changes.compactMap(\.1.begun).first { $0.term == last }
    let before = Dictionary(
      (begun?.answered ?? []).map { ($0.author, LanePoint(epoch: $0.epoch, sequence: $0.sequence)) }
    ) { $1 }
    // In the order in which the last term's node has stated them.
    var places: [EventID: Int] = [:]
    for (place, entry) in stated(on: seats[last.isMultiple(of: 2) ? 1 : 0]).enumerated() {
      let header = entry.record.header
      switch header.type {
      case LinksChanged.eventType:
        guard let event = try? LinksChanged.decode(entry.record), Self.term(event.version) == last else {
          continue
        }
      case RuleRefused.eventType:
        guard let event = try? RuleRefused.decode(entry.record), event.term ?? 1 == last else { continue }
      default: continue
      }
      places[header.causation] = place
    }
    var newest: [AgentID: Int] = [:]
    for ask in asks.sorted(by: { ($0.author, $0.point) < ($1.author, $1.point) }) {
      guard ask.point > before[ask.author] ?? .start, !(begun?.answeredAhead.contains(ask.id) ?? false) else {
        if places[ask.id] != nil { fail("rules-answered", "a rule of \(ask.author) is answered twice") }
        continue
      }
      guard let place = places[ask.id] else {
        fail("rules-answered", "a rule of \(ask.author) has no answer in term \(last)")
        continue
      }
      if place < newest[ask.author] ?? -1 {
        fail("rules-answered", "rules of \(ask.author) are answered out of their order")
      }
      newest[ask.author] = place
    }
  }
}
