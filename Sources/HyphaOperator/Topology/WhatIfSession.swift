import HyphaCore
import HyphaLog
import HyphaReplay
import HyphaRuntime
import HyphaTopology

/// Reads a deployment's recorded traffic into a ``WhatIf``: what nodes have reported to the observer, from the log of its seat, or,
/// where nobody has observed, what all logs together have.
struct WhatIfSession {
  private(set) var whatIf: WhatIf
  /// Where the traffic is from.
  let source: Source
  /// The position up to which the seat's log was pruned of reports, and whether the other side could begin there too.
  private(set) var beginning: (position: Position, isShared: Bool)?
  /// The first and the last report.
  private(set) var times: ClosedRange<Timestamp>?

  private var parts = EventParts()
  private let recorded: Topology
  private let logs: [any LogReader]
  private let authors: Set<AgentID>

  enum Source {
    case reports, events
  }

  /// - Throws: ``HyphaError/Code/fileUnavailable`` where an observer has sat at a node whose log is not here.
  init(_ recorded: Topology, _ other: Topology, logs: [any LogReader], directory: String) throws {
    var recorded = recorded
    if let node = recorded.observer.node {
      guard let log = logs.first(where: { $0.identity.node == node }) else {
        throw HyphaError(
          .fileUnavailable, "\(directory) has no log of node '\(node)', where the observer's seat is",
          remedy: "give the directory that has it: nodes report their traffic there")
      }
      (source, self.logs) = (.reports, [log])
    } else {
      // Nobody has decided anything.
      var policy = recorded.observer
      policy.mode = .off
      recorded = try recorded.replacing(observer: policy)
      (source, self.logs) = (.events, logs)
    }
    self.recorded = recorded
    authors = Set(recorded.nodes.map(\.id.author))
    whatIf = try WhatIf(recorded: recorded, other: other)
  }

  /// Reads all.
  mutating func read(_ stop: StopSignal, _ region: LiveRegion) throws {
    var filter = EntryFilter()
    var range = ReplayRange.all
    if source == .reports {
      filter.types = TopologyEvents.all
      if let known = try TopologyReading.beginning(of: logs[0]) {
        let isShared = try whatIf.resume(known.seat, at: known.through.rawValue)
        (beginning, parts) = ((known.through, isShared), known.parts)
        range.from = .position(known.through.next)
      }
    }
    var replay = try Replay(of: logs, filter: filter, range: range)
    try replay.look()
    let bar = ExportProgress(region, "traffic", total: replay.leftCount)
    var flows = RecordedFlows(recorded)
    var last: RecordHeader?
    var isDone = false
    while !isDone {
      var left = 16_384
      isDone = try replay.visit { replayed in
        switch source {
        case .reports: try take(replayed)
        case .events:
          let record = replayed.entry.record
          guard record.time > .zero else { break }
          last = try Record(record).header
          try flows.count(replayed) { take($0, $1, at: nil) }
        }
        left -= 1
        return left > 0
      }
      try bar.draw(left: replay.leftCount)
      if let signal = stop.signalNumber {
        try region.draw([])
        try Output.standardError.writeLine("stopped after \(Human.count(whatIf.eventCount)) events")
        throw ExitStatus.stopped(by: signal)
      }
    }
    if let last { flows.finish(last) { take($0, $1, at: nil) } }
  }

  private mutating func take(_ report: FlowReported, _ header: RecordHeader, at position: UInt64?) {
    let time = header.time
    times = min(times?.lowerBound ?? time, time)...max(times?.upperBound ?? time, time)
    whatIf.take(report, header, at: position)
  }

  /// What does not decode was passed over by the nodes, too.
  private mutating func take(_ replayed: ReplayedEntry) throws {
    let stated = try Record(replayed.entry.record)
    guard authors.contains(stated.agent), let record = parts.take(stated) else { return }
    let (header, position) = (record.header, replayed.entry.position.rawValue)
    switch header.type {
    case FlowReported.eventType:
      if let report = try? FlowReported.decode(record) { take(report, header, at: position) }
    case RuleAsked.eventType:
      if let asked = try? RuleAsked.decode(record) { whatIf.take(asked, header, at: position) }
    case LinksChanged.eventType:
      if let changed = try? LinksChanged.decode(record) { whatIf.confirm(changed, header, at: position) }
    case LinksSuggested.eventType: whatIf.confirmUnchanged(header, isRefusal: false)
    case RuleRefused.eventType: whatIf.confirmUnchanged(header, isRefusal: true)
    default: break
    }
  }
}
