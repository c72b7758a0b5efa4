public import HyphaCore
import Synchronization

/// Events of one lane that leave together: as long as they wait for their thread, more are added.
///
/// So a lone event leaves as soon as its thread takes it, and what comes while the thread is busy goes into one
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
    var body: FrameBody
    var isTaken = false
    /// How many bytes are set aside for it.
    var reservedByteCount = 0
    /// What these count in, while it waits in a queue.
    var room: ByteRoom?

    /// Sets bytes aside, unless what is needed is: as many as are wanted, or as there is room for. Returns whether there is room for
    /// what is needed.
    mutating func reserve(_ wanted: Int, needed: Int) -> Bool {
      guard needed > reservedByteCount else { return true }
      var byteCount = wanted
      while let room, !room.take(byteCount - reservedByteCount) {
        guard byteCount > needed else { return false }
        byteCount = needed + (byteCount - needed) / 2
      }
      body.reserveCapacity(byteCount)
      reservedByteCount = byteCount
      return true
    }
  }

  /// The most events of a run.
  public static let countMax = 256
  /// For how many events a run of two has room set aside.
  private static let roomCount = 64
  /// How many bytes a run has room for, however few it has; a first event may be larger.
  public static let byteCountMax = 64 << 10

  /// The channel whose sockets carry it.
  public let channel: Channel
  private let links: [Link]
  private let expiry: Expiry?
  private let state: Mutex<State>

  /// An empty run over links, one at least, whose fronts are all of one kind.
  public init(channel: Channel, links: [Link], expiry: Expiry?) {
    precondition(!links.isEmpty, "a run goes somewhere")
    state = Mutex(State(body: FrameBody(behind: links[0].front)))
    self.channel = channel
    self.links = links
    self.expiry = expiry
  }

  /// Appends one more event.
  ///
  /// - Returns: whether it did; not where the run has left or is full.
  /// - Throws: what ``RecordTemplate/append(_:payload:to:)`` throws; nothing is appended then.
  public func append(
    _ template: RecordTemplate, _ numbers: RecordTemplate.Numbers, payload: UnsafeRawBufferPointer
  ) throws(HyphaError) -> Bool {
    try state.withLock { state throws(HyphaError) in
      let byteCount = state.body.byteCount(of: template, payloadByteCount: payload.count)
      guard !state.isTaken, state.body.count < Self.countMax, state.body.takes(numbers),
        state.body.count == 0 || state.body.bytes.count + byteCount <= Self.byteCountMax
      else { return false }
      // A lone event has what it needs, a run has room, a long one all that it may have.
      let needed = state.body.bytes.count + byteCount
      let expectedCount =
        switch state.body.count {
        case 0: 1
        case ..<Self.roomCount: Self.roomCount
        default: Self.countMax - state.body.count
        }
      // Others may need more than this one, and what is set aside grows by no small steps.
      let each = max(byteCount, state.body.bytes.count / max(1, state.body.count))
      let wanted = max(
        state.body.bytes.count + expectedCount * each, state.reservedByteCount + state.reservedByteCount / 4)
      guard state.reserve(max(needed, min(Self.byteCountMax, wanted)), needed: needed) else { return false }
      try state.body.append(template, numbers, payload: payload)
      return true
    }
  }

  /// Waits in a queue, in whose room it counts for what it has set aside until it leaves: events that find no more there are not
  /// appended.
  ///
  /// - Returns: whether there is room for what it has.
  public func wait(in room: ByteRoom) -> Bool {
    state.withLock { state in
      guard !state.isTaken, room.take(state.reservedByteCount) else { return state.isTaken }
      state.room = room
      return true
    }
  }

  /// How many events it has so far.
  public var count: Int { state.withLock { $0.body.count } }

  /// Takes the run: one frame for each link, none where it was taken before; nil where its time to live is over, and then
  /// ``Expiry/onEnd`` gets them.
  ///
  /// The time that it has waited is taken off what is left of its first event's time to live; those behind it have up to
  /// so much less.
  public func take() -> [OutboundFrame]? {
    guard let body = close() else { return [] }
    var remaining: Duration?
    if let expiry {
      let left = expiry.time.since(Timestamp(microseconds: expiry.clock.microseconds()))
      guard left > .zero else {
        expiry.onEnd(frames(of: body, remaining: .zero))
        return nil
      }
      remaining = left
    }
    return frames(of: body, remaining: remaining)
  }

  /// Takes a run that finds no room: the frames that do not leave, whatever is left of their time to live.
  public func drop() -> [OutboundFrame] { close().map { frames(of: $0, remaining: nil) } ?? [] }

  /// Lets nothing more be added. Nil where that was done before, or there is nothing.
  private func close() -> FrameBody? {
    state.withLock { state in
      guard !state.isTaken else { return nil }
      state.isTaken = true
      state.room.take()?.giveBack(state.reservedByteCount)
      defer { state.body = FrameBody(behind: links[0].front) }
      return state.body.count > 0 ? state.body : nil
    }
  }

  private func frames(of body: consuming FrameBody, remaining: Duration?) -> [OutboundFrame] {
    // The others' are copies, made before the first one's is finished in place.
    let others = links.dropFirst().map { link in (link, body.behind(link.front)) }
    let first = links[0]
    var frames = [frame(first, first.front.finish(body, remaining: remaining))]
    for (link, body) in others { frames.append(frame(link, link.front.finish(body, remaining: remaining))) }
    return frames
  }

  private func frame(_ link: Link, _ bytes: [UInt8]) -> OutboundFrame {
    OutboundFrame(node: link.node, channel: channel, bytes: bytes)
  }
}
