import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// When a node prunes its log by itself: when looking is due, and when what may go is worth it. Pure.
///
/// A prune is an event in the log, so it waits until there is something to it; but what may go does not stay for long.
struct RetentionPace: Sendable {
  /// What becomes of a look at the log.
  enum Decision: Equatable {
    /// Nothing is to be done now.
    case wait
    /// What the plan says is to be removed.
    case prune
  }

  /// How often it is looked; after a failure, and while somebody holds everything back, more and more seldom.
  static let interval = Duration.seconds(5)
  static let intervalMax = Duration.seconds(600)
  /// What is worth a prune at once: this share of the log's blocks, or so many bytes.
  static let shareMin: UInt64 = 16
  static let byteCountMin: UInt64 = 16 << 20
  /// How long less than that may wait.
  static let patience = Duration.seconds(3600)
  /// How long one and the same consumer may hold back what would be worth a prune, before that is told.
  static let heldPatience = Duration.seconds(600)

  private var nextAt: Timestamp
  private var pause = Self.interval
  private var waitsSince: Timestamp?
  private var held: (name: String, since: Timestamp)?

  /// A pace whose first look is due one interval after `start`.
  init(from start: Timestamp) {
    nextAt = Timestamp(microseconds: start.microseconds + Self.interval.wholeMicroseconds)
  }

  /// Whether it is time to look.
  func isDue(at now: Timestamp) -> Bool { now >= nextAt }

  /// Decides on what was planned when it was looked.
  mutating func decide(on plan: PrunePlan) -> Decision {
    let now = plan.now
    // Where what is handled goes, that something is not handled yet is no more than the limit.
    let holder = plan.policy.takesHandled ? nil : plan.heldBackBy?.name
    noteHolder(holder, at: now)
    guard plan.byteCount > 0 else {
      waitsSince = nil
      // Whoever holds back does so for a while, and to find out costs a look at all that is held.
      goOn(at: now, isLonger: holder != nil)
      return .wait
    }
    goOn(at: now, isLonger: false)
    let isMuch =
      plan.byteCount >= Self.byteCountMin || plan.byteCount >= plan.byteCountBefore / Self.shareMin
    let since = waitsSince ?? now
    waitsSince = since
    guard isMuch || now.since(since) >= Self.patience else { return .wait }
    waitsSince = nil
    return .prune
  }

  /// Looks again, later than usual.
  mutating func failed(at now: Timestamp) { goOn(at: now, isLonger: true) }

  /// Who has held back what may go for so long that somebody should be told.
  func holder(at now: Timestamp) -> String? {
    guard let held, now.since(held.since) >= Self.heldPatience else { return nil }
    return held.name
  }

  private mutating func noteHolder(_ name: String?, at now: Timestamp) {
    if held?.name != name { held = name.map { ($0, now) } }
  }

  private mutating func goOn(at now: Timestamp, isLonger: Bool) {
    pause = isLonger ? min(pause + pause, Self.intervalMax) : Self.interval
    nextAt = Timestamp(microseconds: now.microseconds + pause.wholeMicroseconds)
  }
}

/// Keeps a running node's log within the limits of its topology file.
///
/// What goes, and who wanted it, the log says itself: ``LogPruned`` names the node as the principal.
struct StandingRetention: Sendable {
  let policy: RetentionPolicy
  let node: NodeID
  let pruning: NodePruning

  /// Nil where the node keeps everything.
  init?(_ settings: RetentionSettings, node: NodeID, pruning: NodePruning) {
    guard !settings.keepsEverything else { return nil }
    policy = RetentionPolicy(
      ageMax: settings.ageMax, byteCountMax: settings.byteCountMax, entryCountMax: settings.entryCountMax,
      takesHandled: settings.keepsHandled == false)
    self.node = node
    self.pruning = pruning
  }

  /// Looks now and then, and prunes, until the task is cancelled.
  func run() async {
    var pace = RetentionPace(from: pruning.now)
    while !Task.isCancelled {
      if pace.isDue(at: pruning.now) { await look(&pace) }
      // A cancelled sleep ends the loop.
      try? await Task.sleep(for: .milliseconds(200), clock: .suspending)
    }
  }

  private func look(_ pace: inout RetentionPace) async {
    do {
      var plan = try pruning.outline(policy)
      if plan.range != nil { plan = try pruning.plan(policy) }
      if pace.decide(on: plan) == .prune {
        _ = try await pruning.carryOut(plan, principal: node.author)
      }
      if let holder = pace.holder(at: plan.now) {
        pruning.current.node.note(
          "the log keeps more than its limits say: \(holder) needs it; 'hypha log prune' says how much")
      }
    } catch {
      pace.failed(at: pruning.now)
      if !Task.isCancelled { pruning.current.node.note("the log could not be pruned: \(error)") }
    }
  }
}
