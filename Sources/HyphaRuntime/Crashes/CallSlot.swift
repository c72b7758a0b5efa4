import HyphaCore

/// What an agent is called for.
public enum CallPurpose: UInt32, Sendable {
  /// It is made, restored and started.
  case start = 1
  /// It is woken.
  case wake, persistent, alert, realtime, question

  /// Whether it is a call that is made in each process, and with no event.
  var isLifecycle: Bool { self == .start || self == .wake }

  /// Whether the next process makes the same call again. Realtime events and questions go with the process.
  var isMadeAgain: Bool { self != .realtime && self != .question }
}

/// Where the calls of one agent are noted: two lines of the processor's cache in a ``CallJournal``. Each call writes the first;
/// the second holds what is to outlive more than one process.
///
/// `@unchecked Sendable`: see ``CallJournal``.
struct CallSlot: @unchecked Sendable {
  /// The bytes of a slot, and of the header before the first.
  static let stride = 128

  private let bytes: UnsafeMutableRawBufferPointer
  /// The memory is the journal's.
  private let journal: CallJournal

  init(_ bytes: UnsafeMutableRawBufferPointer, of journal: CallJournal) {
    self.bytes = bytes
    self.journal = journal
  }

  /// A slot as it lies in memory, in the machine's byte order: who reads it is the same machine's next process.
  struct Content {
    static let (nameOffset, taskOffset, eventOffset, purposeOffset, signalOffset) = (0, 8, 16, 32, 36)
    static let startedOffset = 40
    /// The call that processes before this one have ended in begins the second line.
    static let keptOffset = 64

    /// The fingerprint of the agent's name.
    var name: UInt64
    /// The task that makes the call.
    var task: UInt64 = 0
    var event = EventID.none
    /// 0 where no call runs.
    var purpose: UInt32 = 0
    /// The signal that has come upon the call's own task, or upon one that its agent has started.
    var signal: UInt32 = 0
    /// 0 for its own, 1 for one that it has started.
    var started: UInt32 = 0
    /// What is still to be dealt with of the processes before this one; nil for nothing.
    var kept: BrokenCall?

    init(name: UInt64) { self.name = name }

    /// - Precondition: `bytes` are a whole slot.
    init(_ bytes: UnsafeRawBufferPointer) {
      name = bytes.loadUnaligned(fromByteOffset: Self.nameOffset, as: UInt64.self)
      task = bytes.loadUnaligned(fromByteOffset: Self.taskOffset, as: UInt64.self)
      event = EventID(
        high: bytes.loadUnaligned(fromByteOffset: Self.eventOffset, as: UInt64.self),
        low: bytes.loadUnaligned(fromByteOffset: Self.eventOffset + 8, as: UInt64.self))
      purpose = bytes.loadUnaligned(fromByteOffset: Self.purposeOffset, as: UInt32.self)
      signal = bytes.loadUnaligned(fromByteOffset: Self.signalOffset, as: UInt32.self)
      started = bytes.loadUnaligned(fromByteOffset: Self.startedOffset, as: UInt32.self)
      kept = BrokenCall(kept: UnsafeRawBufferPointer(rebasing: bytes[Self.keptOffset...]))
    }

    func write(to bytes: UnsafeMutableRawBufferPointer) {
      bytes.storeBytes(of: name, toByteOffset: Self.nameOffset, as: UInt64.self)
      bytes.storeBytes(of: task, toByteOffset: Self.taskOffset, as: UInt64.self)
      bytes.storeBytes(of: event.high, toByteOffset: Self.eventOffset, as: UInt64.self)
      bytes.storeBytes(of: event.low, toByteOffset: Self.eventOffset + 8, as: UInt64.self)
      bytes.storeBytes(of: purpose, toByteOffset: Self.purposeOffset, as: UInt32.self)
      bytes.storeBytes(of: signal, toByteOffset: Self.signalOffset, as: UInt32.self)
      bytes.storeBytes(of: started, toByteOffset: Self.startedOffset, as: UInt32.self)
      kept?.write(to: UnsafeMutableRawBufferPointer(rebasing: bytes[Self.keptOffset...]))
    }
  }

  /// What stands before the first slot.
  struct Header {
    /// "hyphacal" and the version of the layout.
    static let magic: UInt64 = 0x6879_7068_6163_0001

    var magic = Self.magic
    var agentCount: UInt64
    /// The signal that has ended the process.
    var signal: UInt32 = 0

    init(agentCount: Int) { self.agentCount = UInt64(agentCount) }

    init?(_ bytes: UnsafeRawBufferPointer) {
      guard bytes.count >= CallSlot.stride, bytes.loadUnaligned(as: UInt64.self) == Self.magic else {
        return nil
      }
      agentCount = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      signal = bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
    }

    func write(to bytes: UnsafeMutableRawBufferPointer) {
      bytes.storeBytes(of: magic, as: UInt64.self)
      bytes.storeBytes(of: agentCount, toByteOffset: 8, as: UInt64.self)
      bytes.storeBytes(of: signal, toByteOffset: 16, as: UInt32.self)
    }
  }

  /// The task that runs here, as a number that no other task has meanwhile; 0 for none.
  static var currentTask: UInt64 {
    withUnsafeCurrentTask { task in
      guard let task, MemoryLayout<UnsafeCurrentTask>.size == MemoryLayout<UInt64>.size else { return 0 }
      // It holds one pointer, of which only the number is used.
      return unsafeBitCast(task, to: UInt64.self)
    }
  }

  /// The fingerprint of the agent whose task runs here, or whose task has started it, child or not; 0 for none. Bound once for
  /// each agent, so no call pays for it.
  @TaskLocal static var owner: UInt64 = 0

  /// The fingerprint of its agent's name.
  var name: UInt64 { bytes.load(fromByteOffset: Content.nameOffset, as: UInt64.self) }

  /// Notes that a call of the task that runs here begins.
  func begin(_ purpose: CallPurpose, _ event: EventID = .none) {
    TrapStack.ensure()
    bytes.storeBytes(of: Self.currentTask, toByteOffset: Content.taskOffset, as: UInt64.self)
    next(purpose, event)
  }

  /// Notes that another call of the same task begins.
  func next(_ purpose: CallPurpose, _ event: EventID) {
    bytes.storeBytes(of: event.high, toByteOffset: Content.eventOffset, as: UInt64.self)
    bytes.storeBytes(of: event.low, toByteOffset: Content.eventOffset + 8, as: UInt64.self)
    bytes.storeBytes(of: purpose.rawValue, toByteOffset: Content.purposeOffset, as: UInt32.self)
  }

  /// Notes that no call runs.
  func end() { bytes.storeBytes(of: 0, toByteOffset: Content.purposeOffset, as: UInt32.self) }

  /// Forgets that processes have ended in calls of this purpose: one has come back, is not made any more, or is in the log as failed.
  func settle(_ purpose: CallPurpose) {
    guard bytes.load(fromByteOffset: Content.keptOffset, as: UInt32.self) == purpose.rawValue else { return }
    bytes.storeBytes(of: 0, toByteOffset: Content.keptOffset, as: UInt32.self)
  }

  /// Notes a signal in the header, and in the slots of the calls that `task` is in; where it is in none, in that of the agent
  /// that has started it.
  static func noteTrap(
    _ signal: Int32, task: UInt64, owner: UInt64, in memory: UnsafeMutableRawBufferPointer
  ) {
    guard memory.count >= stride else { return }
    let number = UInt32(bitPattern: signal)
    memory.storeBytes(of: number, toByteOffset: 16, as: UInt32.self)
    if note(number, where: Content.taskOffset, has: task, started: 0, in: memory) { return }
    _ = note(number, where: Content.nameOffset, has: owner, started: 1, in: memory)
  }

  /// Notes a signal in the slots with a call and with a value at an offset; in none for 0. Returns whether there are any.
  private static func note(
    _ signal: UInt32, where field: Int, has value: UInt64, started: UInt32,
    in memory: UnsafeMutableRawBufferPointer
  ) -> Bool {
    guard value != 0 else { return false }
    var (offset, isNoted) = (stride, false)
    while offset + stride <= memory.count {
      if memory.load(fromByteOffset: offset + Content.purposeOffset, as: UInt32.self) != 0,
        memory.load(fromByteOffset: offset + field, as: UInt64.self) == value
      {
        memory.storeBytes(of: signal, toByteOffset: offset + Content.signalOffset, as: UInt32.self)
        memory.storeBytes(of: started, toByteOffset: offset + Content.startedOffset, as: UInt32.self)
        isNoted = true
      }
      offset += stride
    }
    return isNoted
  }
}

extension BrokenCall {
  private static let (countOffset, signalOffset, certainOffset, eventOffset) = (4, 8, 12, 16)

  /// A call as a slot keeps it, after the purpose, which is 0 for none.
  fileprivate init?(kept bytes: UnsafeRawBufferPointer) {
    let count = bytes.loadUnaligned(fromByteOffset: Self.countOffset, as: UInt32.self)
    guard let purpose = CallPurpose(rawValue: bytes.loadUnaligned(as: UInt32.self)), count > 0 else {
      return nil
    }
    self.init(
      purpose: purpose,
      event: EventID(
        high: bytes.loadUnaligned(fromByteOffset: Self.eventOffset, as: UInt64.self),
        low: bytes.loadUnaligned(fromByteOffset: Self.eventOffset + 8, as: UInt64.self)),
      signal: bytes.loadUnaligned(fromByteOffset: Self.signalOffset, as: Int32.self),
      isCertain: bytes.loadUnaligned(fromByteOffset: Self.certainOffset, as: UInt32.self) != 0,
      count: Int(count))
  }

  fileprivate func write(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeBytes(of: UInt32(clamping: count), toByteOffset: Self.countOffset, as: UInt32.self)
    bytes.storeBytes(of: signal, toByteOffset: Self.signalOffset, as: Int32.self)
    bytes.storeBytes(of: isCertain ? 1 : 0, toByteOffset: Self.certainOffset, as: UInt32.self)
    bytes.storeBytes(of: event.high, toByteOffset: Self.eventOffset, as: UInt64.self)
    bytes.storeBytes(of: event.low, toByteOffset: Self.eventOffset + 8, as: UInt64.self)
    bytes.storeBytes(of: purpose.rawValue, as: UInt32.self)
  }
}
