public import HyphaCore
import HyphaLog

/// What an agent's log kept of it when this was stated: its state, its timers, and how much it had handled. From here on it can be
/// run again where what is before was pruned (docs/replay.md).
///
/// The agent states it, to nobody, in a commit of its own between two calls: all that it has stated before came of calls before.
public struct StateCheckpointed: Event {
  public static let eventType = EventTypeName.stateCheckpointed
  /// The agent.
  public var agent: AgentID
  /// Its kind.
  public var kind: String
  /// The version of the state's shape.
  public var stateVersion: UInt16
  /// All persistent events for it up to this position were handled, and how many it had been given.
  public var handledThrough, handledCount: UInt64
  /// Whether the actor at work had begun: the call of its start came before this.
  public var hasBegun: Bool
  /// How large what the log kept was.
  public var snapshotByteCount: Int
  /// That (``AgentSnapshot``); nil where it was larger than ``snapshotByteCountMax``.
  var snapshot: Base64Bytes?

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }

  /// The most bytes of a state with its timers that a checkpoint has: a payload has room for that in base64.
  public static let snapshotByteCountMax = 512 << 10

  init(
    of agent: AgentID, _ kind: String, stateVersion: UInt16, handled: Cursor, hasBegun: Bool,
    snapshot: [UInt8]
  ) {
    self.agent = agent
    self.kind = kind
    self.stateVersion = stateVersion
    (handledThrough, handledCount) = (handled.position.rawValue, handled.handledCount)
    self.hasBegun = hasBegun
    snapshotByteCount = snapshot.count
    self.snapshot = snapshot.count <= Self.snapshotByteCountMax ? Base64Bytes(snapshot) : nil
  }

  /// How much was handled, as a log keeps it.
  var handled: Cursor { Cursor(position: Position(rawValue: handledThrough), handledCount: handledCount) }
}

/// When the state of an agent is given to the log as an event. Pure.
///
/// After so many inputs, and so many more that the state has at most 64 bytes for each of them: less than an input itself takes. And
/// once where a prune has taken the newest one.
struct CheckpointPolicy: Sendable {
  let every: UInt64
  private var sinceCount: UInt64 = 0
  /// Whether a prune has taken the newest one, or there was none before it.
  private var isMissed = false
  /// The newest one is not before this position; start for none.
  private var newest = Position.start
  /// When it is next asked whether the log was pruned.
  private var nextLook = Timestamp.zero

  /// So many bytes of a state go to an input.
  static let byteCountPerInput: UInt64 = 64
  /// Up to this size the state of an agent that keeps more beside it is given to a log that was pruned at each start.
  static let startByteCountMax = 64 << 10
  /// How seldom the log is asked whether it was pruned, in microseconds.
  static let lookMicroseconds: UInt64 = 1_000_000

  init(every: Int) { self.every = UInt64(max(1, every)) }

  /// Takes note of where an agent that begins stands.
  ///
  /// - Parameters:
  ///   - handledCount: how many inputs it was ever given: restarts do not put off what is due.
  ///   - newest: where the newest checkpoint stood.
  ///   - prunedThrough: up to where its log was pruned.
  mutating func restore(handledCount: UInt64, newest: Position, prunedThrough: Position) {
    sinceCount = handledCount % every
    self.newest = newest
    pruned(through: prunedThrough)
  }

  /// Asks for one, whatever was handled.
  mutating func want() { isMissed = true }

  mutating func handled(_ count: UInt64) { sinceCount += count }

  /// Whether the log is to be asked now up to where it was pruned.
  mutating func looks(at now: Timestamp) -> Bool {
    guard now >= nextLook else { return false }
    nextLook = now.adding(Self.lookMicroseconds)
    return true
  }

  /// Takes note of up to where the log was pruned.
  mutating func pruned(through position: Position) {
    isMissed = isMissed || position > .start && newest <= position
  }

  /// - Parameter byteCount: how large the state was when it was saved last.
  func isDue(byteCount: Int) -> Bool {
    isMissed || sinceCount >= every && sinceCount * Self.byteCountPerInput >= UInt64(byteCount)
  }

  /// One is made, behind `head`; or there is nothing yet that it could have.
  mutating func made(behind head: Position) {
    (sinceCount, isMissed, newest) = (0, false, head.next)
  }
}
