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
    }

    /// Takes the room that it needs. Returns whether there was so much. A run gives it back when it leaves.
    func wait(in room: ByteRoom) -> Bool {
      if case .run(let run) = kind { run.wait(in: room) } else { room.take(bytes.count) }
    }
  }

  private struct Waiting {
    let room: ByteRoom
    var items: [Item] = []
    var takenCount = 0
    /// How many bytes wait, and how many the thread has taken; those of runs apart.
    var (byteCount, takenByteCount) = (0, 0)

    init(_ room: ByteRoom) { self.room = room }

    mutating func append(_ item: Item, _ countMax: Int) -> Bool {
      guard items.count + takenCount < countMax, item.wait(in: room) else { return false }
      items.append(item)
      byteCount += item.bytes.count
      return true
    }

    mutating func take(into spent: inout [Item]) {
      endTaken()
      swap(&items, &spent)
      takenCount = spent.count
      (byteCount, takenByteCount) = (0, byteCount)
    }

    /// What the thread had taken has left.
    mutating func endTaken() {
      room.giveBack(takenByteCount)
      (takenCount, takenByteCount) = (0, 0)
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
    var lanes: [Waiting]
    var wait = Wait.nothing
    var isClosed = false
    /// The newest plan that the thread has not taken.
    var plan: LinkPlan?
  }

  /// Raised when the thread waits and there is something for it.
  let flag: EventFlag
  private let countMax: Int
  private let state: Mutex<State>

  init(countMax: Int, byteCountMax: Int) throws {
    flag = try EventFlag()
    self.countMax = countMax
    state = Mutex(State(lanes: Lane.allCases.map { _ in Waiting(ByteRoom(byteCountMax)) }))
  }

  /// Appends items in order, and wakes the thread where it waits. Returns those that had no room.
  func append(_ items: [Item], to lane: (Item) -> Lane) -> [Item] {
    let (dropped, wakes) = state.withLock { state in
      var dropped: [Item] = []
      var wakes = false
      for item in items {
        let lane = lane(item)
        let isAppended =
          !state.isClosed && state.lanes[lane.rawValue].append(item, countMax)
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
    state.withLock { $0.lanes[lane.rawValue].take(into: &spent) }
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
      for index in state.lanes.indices { state.lanes[index].endTaken() }
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
