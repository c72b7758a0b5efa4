internal import HyphaCore
internal import HyphaTransport
internal import Synchronization

/// What one link thread is to send: filled by any thread, emptied by the one.
///
/// It has two lanes, so that bulk of one kind neither delays nor displaces the other. Each lane has the same
/// bounds, in items and in bytes; when one is reached, what comes is dropped, and the caller counts it.
/// What the thread has taken and not yet sent counts towards the bounds.
final class OutboundQueue: Sendable {
  /// The queue's two lanes.
  enum Lane: Int, CaseIterable { case first, second }

  /// Something to send.
  struct Item {
    enum Kind {
      case frame(Channel)
      /// Its frames are made when it leaves.
      case run(OutboundRun)
      case request
      case answer
    }

    var kind: Kind
    var node: NodeID
    var bytes: [UInt8]

    /// A run knows its nodes itself.
    private static let nobody = NodeID(unchecked: "")

    /// A run of events of one lane.
    static func run(_ run: OutboundRun) -> Item { Item(kind: .run(run), node: Self.nobody, bytes: []) }

    init(kind: Kind, node: NodeID, bytes: [UInt8]) {
      self.kind = kind
      self.node = node
      self.bytes = bytes
      byteCount = if case .run(let run) = kind { run.queuedByteCount } else { bytes.count }
    }

    /// What it counts for in the queue's bound.
    let byteCount: Int
  }

  private struct Waiting {
    var items: [Item] = []
    var byteCount = 0
    var takenCount = 0
    var takenByteCount = 0

    mutating func append(_ item: Item, _ countMax: Int, _ byteCountMax: Int) -> Bool {
      guard items.count + takenCount < countMax,
        byteCount + takenByteCount + item.byteCount <= byteCountMax
      else { return false }
      items.append(item)
      byteCount += item.byteCount
      return true
    }
  }

  /// What the thread waits for.
  private enum Wait {
    /// It is at work, and looks again itself.
    case nothing
    /// It rests for a moment, until which only what is in the first lane wakes it.
    case first
    case anything
  }

  private struct State {
    var lanes = [Waiting(), Waiting()]
    var wait = Wait.nothing
    var isClosed = false
    /// The newest plan that the thread has not taken.
    var plan: LinkPlan?
  }

  /// Raised when the thread waits and there is something for it.
  let flag: EventFlag
  private let countMax: Int
  private let byteCountMax: Int
  private let state = Mutex(State())

  init(countMax: Int, byteCountMax: Int) throws {
    flag = try EventFlag()
    self.countMax = countMax
    self.byteCountMax = byteCountMax
  }

  /// Appends items in order, and wakes the thread where it waits. Returns those that had no room.
  func append(_ items: [Item], to lane: (Item) -> Lane) -> [Item] {
    let (dropped, wakes) = state.withLock { state in
      var dropped: [Item] = []
      var wakes = false
      for item in items {
        let lane = lane(item)
        let isAppended =
          !state.isClosed && state.lanes[lane.rawValue].append(item, countMax, byteCountMax)
        if !isAppended { dropped.append(item) }
        if isAppended, state.wait == .anything || state.wait == .first && lane == .first {
          (wakes, state.wait) = (true, .nothing)
        }
      }
      return (dropped, wakes)
    }
    if wakes { flag.raise() }
    return dropped
  }

  /// Takes everything of one lane; what was taken of it before is done with. `spent` is an empty array
  /// whose storage is used again.
  func take(_ lane: Lane, into spent: inout [Item]) {
    state.withLock { state in
      let index = lane.rawValue
      swap(&state.lanes[index].items, &spent)
      state.lanes[index].takenCount = spent.count
      state.lanes[index].takenByteCount = state.lanes[index].byteCount
      state.lanes[index].byteCount = 0
    }
  }

  /// Says that the thread has sent all that it took and is about to wait for the flag. Returns false where
  /// there is something to do first.
  func beginWait() -> Bool {
    begin(.anything) { $0.lanes.allSatisfy { $0.items.isEmpty } }
  }

  /// The same where it is about to wait for a moment, whatever comes into the second lane meanwhile.
  func beginRest() -> Bool {
    begin(.first) { $0.lanes[Lane.first.rawValue].items.isEmpty }
  }

  private func begin(_ wait: Wait, _ isEmpty: (borrowing State) -> Bool) -> Bool {
    state.withLock { state in
      for index in state.lanes.indices {
        state.lanes[index].takenCount = 0
        state.lanes[index].takenByteCount = 0
      }
      let begins = !state.isClosed && state.plan == nil && isEmpty(state)
      state.wait = begins ? wait : .nothing
      return begins
    }
  }

  /// Whether the thread waits for whatever comes, and nothing waits for it.
  var isIdle: Bool { state.withLock { $0.wait == .anything && $0.plan == nil && !$0.isClosed } }

  /// Has the thread take a plan of links; only the newest counts.
  func change(to plan: LinkPlan) {
    state.withLock { $0.plan = plan }
    flag.raise()
  }

  /// The newest plan, once.
  func takePlan() -> LinkPlan? { state.withLock { $0.plan.take() } }

  /// Takes nothing from now on, and wakes the thread.
  func close() {
    state.withLock { $0.isClosed = true }
    flag.raise()
  }

  var isClosed: Bool { state.withLock { $0.isClosed } }
}
