import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// The re-run of a deployment, one node's log after the other, and what it has come to so far.
struct RerunSession {
  private let topology: Topology
  private let kinds: KindRegistry
  private let agents: Set<AgentID>?
  let isVerifying: Bool
  let shownCountMax: Int
  var writers: RerunWriters?

  /// What the newest time came to, log by log.
  private(set) var summaries: [RerunSummary] = []
  /// How many calls were made the times before, and which time this is.
  private(set) var earlierCallCount = 0
  private(set) var round = 1
  private(set) var differenceCount = 0
  private(set) var shownCount = 0
  /// How often events of a type are other ones, missing, or more.
  private(set) var byType: [EventTypeName: (changed: Int, missing: Int, added: Int)] = [:]
  /// How long the run took, and how long what was recorded did, on the node that was busy longest.
  private(set) var took = Duration.zero
  private(set) var recorded = RecordedTime()

  init(
    _ topology: Topology, kinds: KindRegistry, agents: Set<AgentID>?, isVerifying: Bool, shownCountMax: Int
  ) {
    self.topology = topology
    self.kinds = kinds
    self.agents = agents
    self.isVerifying = isVerifying
    self.shownCountMax = shownCountMax
  }

  /// Begins another time.
  mutating func begin(_ round: Int) {
    guard !isOver else { return }
    self.round = round
    earlierCallCount += summaries.reduce(0) { $0 + $1.callCount }
    summaries = []
  }

  /// The agents that were not run again, and why.
  var notRun: [(agent: AgentID, reason: String)] { summaries.flatMap(\.notRun) }

  /// What keeps the comparison from being one of all that was asked for.
  var unverified: HyphaError? {
    guard let first = notRun.first else { return nil }
    let others = notRun.count > 1 ? ", and \(notRun.count - 1) more" : ""
    return HyphaError(
      .failed, "not all was verified: '\(first.agent)' was not run again, since \(first.reason)\(others)",
      remedy: "leave out with --except whom the logs do not have enough of")
  }

  /// Whether nothing more is to be found out, once a time is through.
  var isOver: Bool { isVerifying && differenceCount > 0 }

  /// Of what is not as it was, the first; where that alone is wanted.
  private(set) var first = FirstDifference()

  /// Runs the agents of a log again.
  ///
  /// - Parameters:
  ///   - draw: shows how far it is.
  ///   - show: shows what is not as it was, up to ``shownCountMax`` times.
  mutating func run(
    _ log: any LogReader, _ stop: StopSignal, draw: (String) throws -> Void,
    show: (RerunOutcome, NodeID) throws -> Void
  ) async throws {
    let node = log.identity.node
    let began = ContinuousClock.now
    var callCount = 0
    let rerun = try Rerun(topology, kinds: kinds, log: log, agents: agents)
    // The closures write into these, and the session is whole again afterwards.
    var session = self
    let summary = try await rerun.run { read, end in
      let share = end == .start ? 100 : Int(read.rawValue * 100 / end.rawValue)
      try draw("\(node): \(share) %, \(Human.count(callCount)) calls made again")
      try Self.heed(stop, callCount)
    } _: { outcome in
      callCount += 1
      try Self.heed(stop, callCount)
      try session.writers?.add(outcome.stated, of: node)
      guard !outcome.differences.isEmpty else { return true }
      session.note(outcome.differences)
      if session.isVerifying {
        session.first.take(outcome, on: node)
      } else if session.shownCount < session.shownCountMax {
        session.shownCount += 1
        try show(outcome, node)
      }
      return true
    }
    session.summaries.append(summary)
    session.took += began.duration(to: .now)
    if summary.recorded.worked > session.recorded.worked { session.recorded = summary.recorded }
    self = session
  }

  private mutating func note(_ differences: [RerunDifference]) {
    differenceCount += differences.count
    for difference in differences {
      guard let type = difference.type else { continue }
      switch difference {
      case .added: byType[type, default: (0, 0, 0)].added += 1
      case .missing, .timerFired: byType[type, default: (0, 0, 0)].missing += 1
      default: byType[type, default: (0, 0, 0)].changed += 1
      }
    }
  }

  private static func heed(_ stop: StopSignal, _ callCount: Int) throws {
    guard let signal = stop.signalNumber else { return }
    try Output.standardError.writeLine("stopped after \(Human.count(callCount)) calls of a node's agents")
    throw ExitStatus.stopped(by: signal)
  }
}
