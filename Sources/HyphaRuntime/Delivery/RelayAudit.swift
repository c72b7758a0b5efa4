import HyphaCore
import HyphaLog
import HyphaTransport

/// Decides which runs of events that others relayed to have confirmed by their origins, and what the answers mean. A pure
/// state machine: it reads no log and asks nobody.
///
/// Invariants, for any sequence of calls:
/// 1. an event counts as checked only where its origin has signed the digest of a run that it is in;
/// 2. a lane is contradicted only where its origin has signed another digest of a run than this node's log has;
/// 3. one question is open for each lane, and none before its time;
/// 4. a lane is open from when its events are given to the log, before that shows them, until they are confirmed.
struct RelayAudit: Sendable {
  /// What an operator has to know.
  enum Finding: Sendable, Hashable {
    /// The origin has other events in that run.
    case contradicted(OwnRun)
    /// The origin has said again and again that it knows no such run: it lost it, or somebody else has made it, or it is none that
    /// it has for this node.
    case disowned(OwnRun)
  }

  private struct Watch {
    /// Up to where the lane is checked in this node's log; nil where it is not known, after a start.
    var checked: Position?
    var head: Position
    var uncheckedCount: UInt64 = 0
    var question: OwnRun?
    /// A run that its origin did not know, to be asked for once more: where numbers were moved on the way, the origin
    /// has reached them by then, and where it has lost the run, the log may have what it did instead.
    var again: OwnRun?
    /// Questions that were not answered, or that the origin knew nothing of.
    var futileCount = 0
    /// Whether the operator was told that the origin knows nothing of the run that is to be confirmed next.
    var isDisowned = false
    var dueAt = Timestamp.zero
  }

  /// How long a lane rests between two questions, where the last one brought it to its end.
  static let interval = Duration.milliseconds(200)
  /// How long an answer may take; doubled each time, up to 2^6 times.
  static let answerTimeout = Duration.seconds(2)
  /// After how many answers that a run is not known to tell the operator: after some ten seconds.
  static let disownedCount = 6

  private var watches: [Lane: Watch] = [:]
  /// The lanes that have unchecked events, each with the number under which it got the first.
  private var waiting: [Lane: UInt64] = [:]
  private var number: UInt64 = 0
  /// How many batches with events of a lane are on their way into the log.
  private var arriving: [Lane: Int] = [:]
  /// Lanes of which nothing is taken from relays any more.
  private(set) var contradicted: Set<Lane> = []

  /// An audit of lanes that are in the log already, each with the position of its newest event.
  init(heads: [Lane: Position]) {
    for (lane, head) in heads.sorted(by: { $0.value < $1.value }) {
      watches[lane] = Watch(head: head)
      wait(lane)
    }
  }

  /// How many events were taken, since the start, that no origin has confirmed.
  var uncheckedCount: UInt64 { watches.values.reduce(0) { $0 + $1.uncheckedCount } }

  /// The lanes that have something to be confirmed, where their origins may do so yet, or are about to have.
  var openLanes: Set<Lane> {
    arriving.keys.reduce(into: Set(waiting.keys.filter { watches[$0]?.isDisowned == false })) {
      $0.insert($1)
    }
  }

  /// Events of a lane are on their way into the log.
  mutating func submitted(_ lane: Lane) { arriving[lane, default: 0] += 1 }

  /// They are there, and those of them that want it were ``took(_:at:count:before:hasOrigin:)``; or they will not come.
  mutating func settled(_ lane: Lane) {
    let count = (arriving[lane] ?? 1) - 1
    arriving[lane] = count > 0 ? count : nil
  }

  /// So many events of a lane were taken and committed, the last at `position`. What the log has up to `before` wants no
  /// check where the lane was not watched so far: it came from its origin, or there is none.
  ///
  /// - Parameter hasOrigin: whether there is somebody to ask; where there is nobody they stay unchecked.
  mutating func took(
    _ lane: Lane, at position: Position, count: Int = 1, before: Position = .start, hasOrigin: Bool = true
  ) {
    guard !contradicted.contains(lane) else { return }
    watches[lane, default: Watch(checked: before, head: position)].head = position
    watches[lane]?.uncheckedCount += UInt64(count)
    if hasOrigin { wait(lane) }
  }

  /// A lane whose turn it is.
  struct Turn: Sendable, Hashable {
    var lane: Lane
    /// Up to where it is checked.
    var after: Position?
    /// What to ask for; nil where it is to be read after that position.
    var again: OwnRun?
  }

  /// The lanes whose turn it is.
  func due(now: Timestamp, upTo countMax: Int) -> [Turn] {
    waiting.filter { (watches[$0.key]?.dueAt ?? .zero) <= now }
      .sorted { $0.value < $1.value }.prefix(countMax).map { lane, _ in
        Turn(lane: lane, after: watches[lane]?.checked, again: watches[lane]?.again)
      }
  }

  /// What is asked now; nil where the log has nothing more to ask for.
  mutating func asked(_ lane: Lane, _ own: OwnRun?, now: Timestamp) {
    guard let own, var watch = watches[lane] else { return waiting[lane] = nil }
    watch.question = own
    watch.dueAt = Self.time(now, Self.answerTimeout * Double(1 << min(watch.futileCount, 6)))
    // Until there is an answer it counts as futile.
    watch.futileCount += 1
    watches[lane] = watch
    // Others first.
    waiting[lane] = nil
    wait(lane)
  }

  /// What an origin has said, and signed. Returns what is wrong.
  mutating func answered(_ entry: RunVoucher.Entry, now: Timestamp) -> Finding? {
    let lane = entry.run.lane
    guard var watch = watches[lane], let own = watch.question, own.run == entry.run else { return nil }
    watch.question = nil
    defer { if !contradicted.contains(lane) { watches[lane] = watch } }
    switch entry.verdict {
    case .digest(let digest):
      guard digest == own.digest else {
        contradicted.insert(lane)
        watches[lane] = nil
        waiting[lane] = nil
        return .contradicted(own)
      }
      watch.uncheckedCount -= min(UInt64(own.count), watch.uncheckedCount)
      advance(&watch, own, now)
    case .gone:
      advance(&watch, own, now)
    case .unknown:
      watch.again = watch.again == nil ? own : nil
      watch.dueAt = Self.time(now, Self.interval * Double(1 << min(watch.futileCount, 8)))
      guard watch.futileCount >= Self.disownedCount, !watch.isDisowned else { return nil }
      watch.isDisowned = true
      return .disowned(own)
    }
    // A lane of copies may have gone on straight from its origin.
    if let checked = watch.checked, checked >= watch.head { waiting[lane] = nil }
    return nil
  }

  private func advance(_ watch: inout Watch, _ own: OwnRun, _ now: Timestamp) {
    watch.checked = own.position
    watch.again = nil
    watch.futileCount = 0
    watch.isDisowned = false
    watch.dueAt = own.isFull ? now : Self.time(now, Self.interval)
  }

  private mutating func wait(_ lane: Lane) {
    guard waiting[lane] == nil else { return }
    number += 1
    waiting[lane] = number
  }

  private static func time(_ now: Timestamp, _ wait: Duration) -> Timestamp {
    Timestamp(microseconds: now.microseconds + wait.wholeMicroseconds)
  }
}
