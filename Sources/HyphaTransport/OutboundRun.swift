public import HyphaCore
import Synchronization

/// Events of one lane that leave together: as long as they wait for their thread, more are added.
///
/// So a lone event leaves as soon as its thread can take it, and what comes while the thread is busy goes into one
/// frame. Filled by the thread that publishes, taken once by the transport's.
public final class OutboundRun: Sendable {
  /// Where the run goes.
  public struct Link: Sendable {
    /// The next node.
    public let node: NodeID
    /// What precedes the records.
    public let front: FrameFront

    /// A link to `node`.
    public init(node: NodeID, front: FrameFront) {
      self.node = node
      self.front = front
    }
  }

  /// Until when the events are worth delivering.
  public struct Expiry: Sendable {
    /// The end of the first one's time to live.
    public let time: Timestamp
    /// What tells how far that is.
    public let clock: any TimeSource
    /// Gets the frames that do not leave because the time is over, on the thread that takes the run.
    public let onEnd: @Sendable ([OutboundFrame]) -> Void

    /// An end on a clock.
    public init(
      time: Timestamp, clock: any TimeSource, onEnd: @escaping @Sendable ([OutboundFrame]) -> Void = { _ in }
    ) {
      self.time = time
      self.clock = clock
      self.onEnd = onEnd
    }
  }

  private struct State {
    var records: [UInt8] = []
    var count = 0
    var isTaken = false
  }

  /// The most events of a run.
  public static let countMax = 64
  /// How many bytes a run has room for, however few it has; a first event may be larger.
  public static let byteCountMax = 32 << 10

  /// The channel whose sockets carry it.
  public let channel: Channel
  private let links: [Link]
  private let expiry: Expiry?
  private let state = Mutex(State())

  /// An empty run.
  public init(channel: Channel, links: [Link], expiry: Expiry?) {
    self.channel = channel
    self.links = links
    self.expiry = expiry
  }

  /// Has `encode` append one more record of `byteCount` bytes.
  ///
  /// - Returns: whether it did; not where the run has left or is full.
  /// - Throws: what `encode` throws, which has appended nothing then.
  public func append(byteCount: Int, _ encode: (inout [UInt8]) throws -> Void) rethrows -> Bool {
    try state.withLock { state in
      guard !state.isTaken, state.count < Self.countMax,
        state.count == 0 || state.records.count + byteCount <= Self.byteCountMax
      else { return false }
      // A lone event has what it needs, a run has room.
      if state.count == 1 { state.records.reserveCapacity(min(Self.byteCountMax, byteCount * Self.countMax)) }
      try encode(&state.records)
      state.count += 1
      return true
    }
  }

  /// How many bytes it counts for in a queue that it waits in.
  public var queuedByteCount: Int { state.withLock { max(Self.byteCountMax, $0.records.count) } }

  /// How many events it has so far.
  public var count: Int { state.withLock { $0.count } }

  /// Takes the run: one frame for each link, none where it was taken before; nil where its time to live is over, and then
  /// ``Expiry/onEnd`` gets them.
  ///
  /// The time that it has waited is taken off what is left of its first event's time to live; those behind it have up to
  /// so much less.
  public func take() -> [OutboundFrame]? {
    let (records, count) = close()
    guard count > 0 else { return [] }
    var remaining: Duration?
    if let expiry {
      let left = expiry.time.since(Timestamp(microseconds: expiry.clock.microseconds()))
      guard left > .zero else {
        expiry.onEnd(frames(of: records, count, remaining: .zero))
        return nil
      }
      remaining = left
    }
    return frames(of: records, count, remaining: remaining)
  }

  /// Takes a run that finds no room: the frames that do not leave, whatever is left of their time to live.
  public func drop() -> [OutboundFrame] {
    let (records, count) = close()
    return count > 0 ? frames(of: records, count, remaining: nil) : []
  }

  /// Lets nothing more be added. Nothing where that was done before.
  private func close() -> (records: [UInt8], count: Int) {
    state.withLock { state in
      defer { state.records = [] }
      guard !state.isTaken else { return ([], 0) }
      state.isTaken = true
      return (state.records, state.count)
    }
  }

  private func frames(of records: [UInt8], _ count: Int, remaining: Duration?) -> [OutboundFrame] {
    links.map { link in
      OutboundFrame(
        node: link.node, channel: channel,
        bytes: link.front.frame(of: records, recordCount: count, remaining: remaining))
    }
  }
}
