import HyphaLog

/// The batches that wait, by their priority, and what of them goes into the next group.
///
/// A group takes what is urgent, then what agents have done, then what came from other nodes. Nothing goes before urgent
/// batches. Beside them, and in the groups that follow, there is room for an eighth of what a group may have: where there
/// was one urgent batch there will soon be the next, an answer to it or another alert, and it waits for the whole of the
/// group that it finds. A batch that was passed over for three groups has its turn, however large it is.
struct WaitingBatches {
  typealias Waiting = WriteQueue.Waiting

  /// For how many groups in a row what waits is passed over at the most, unless urgent batches fill them.
  static let passedOverCountMax = 3

  /// For how many groups after one with urgent batches the groups stay small.
  static let waryCountMax = 32

  private var urgent = FirstInFirstOut()
  /// How many groups in a row had no urgent batches.
  private var calmCount = Self.waryCountMax
  /// Normal batches, and intake.
  private var others = [Other(), Other()]

  private struct Other {
    var queue = FirstInFirstOut()
    /// How many groups in a row have had nothing of it, while it waited.
    var passedOverCount = 0
  }

  var count: Int { others.reduce(urgent.count) { $0 + $1.queue.count } }
  var hasUrgent: Bool { urgent.count > 0 }
  /// Whether urgent batches have come lately.
  var isWary: Bool { calmCount < Self.waryCountMax }

  mutating func add(_ new: Waiting) {
    switch new.batch.priority {
    case .urgent: urgent.add(new)
    case .normal: others[0].queue.add(new)
    case .intake: others[1].queue.add(new)
    }
  }

  /// The next group: at least one batch, where any waits, and otherwise at most so many events and bytes.
  mutating func takeGroup(_ appendCountMax: Int, _ byteCountMax: Int) -> [Waiting] {
    var group = Group()
    group.fill(from: &urgent, upTo: appendCountMax, byteCountMax)
    calmCount = group.waiting.isEmpty ? min(calmCount + 1, Self.waryCountMax) : 0
    guard !hasUrgent else { return group.waiting }
    let share = isWary ? 8 : 1
    let room = (group.appendCount + appendCountMax / share, group.byteCount + byteCountMax / share)
    for index in others.indices {
      let before = group.waiting.count
      if others[index].passedOverCount >= Self.passedOverCountMax { group.take(from: &others[index].queue) }
      // What has no room is not overtaken by what is smaller.
      if others[..<index].allSatisfy({ $0.queue.count == 0 }) {
        group.fill(from: &others[index].queue, upTo: room.0, room.1)
      }
      let isPassedOver = group.waiting.count == before && others[index].queue.count > 0
      others[index].passedOverCount = isPassedOver ? others[index].passedOverCount + 1 : 0
    }
    return group.waiting
  }

  /// A group as it fills.
  private struct Group {
    var waiting: [Waiting] = []
    var appendCount = 0
    var byteCount = 0

    /// Takes what there is room for, and into an empty group one batch of any size.
    mutating func fill(from queue: inout FirstInFirstOut, upTo appendCountMax: Int, _ byteCountMax: Int) {
      while let next = queue.first {
        let isFull =
          appendCount + next.batch.appends.count > appendCountMax
          || byteCount + next.byteCount > byteCountMax
        if isFull && !waiting.isEmpty { return }
        take(from: &queue)
      }
    }

    mutating func take(from queue: inout FirstInFirstOut) {
      guard let next = queue.first else { return }
      queue.removeFirst()
      waiting.append(next)
      appendCount += next.batch.appends.count
      byteCount += next.byteCount
    }
  }
}

/// A queue in an array whose front moves; what was taken is let go of now and then.
private struct FirstInFirstOut {
  private var waiting: [WriteQueue.Waiting?] = []
  private var front = 0

  var first: WriteQueue.Waiting? { front < waiting.count ? waiting[front] : nil }
  var count: Int { waiting.count - front }

  mutating func add(_ new: WriteQueue.Waiting) { waiting.append(new) }

  mutating func removeFirst() {
    waiting[front] = nil
    front += 1
    if front == waiting.count {
      waiting.removeAll(keepingCapacity: waiting.count <= 4_096)
      front = 0
    } else if front >= 4_096, front * 2 >= waiting.count {
      waiting.removeFirst(front)
      front = 0
    }
  }
}
