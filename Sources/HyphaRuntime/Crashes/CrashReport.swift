public import HyphaCore

/// A call that did not come back, because the process ended.
public struct BrokenCall: Sendable, Hashable {
  /// What the agent was called for.
  public var purpose: CallPurpose
  /// The event that it was called with; ``EventID/none`` where there is none.
  public var event: EventID
  /// The signal that has ended the process.
  public var signal: Int32
  /// Whether the signal came upon this call's own task. Else it came upon another task, which this call, an earlier one of its
  /// agent, or where that is not known one of those that ran beside it, may have started.
  public var isCertain: Bool
  /// How many processes in a row have ended so; 1 but for starts and wakes.
  public var count: Int
}

/// What the ``CallJournal`` of a process that has ended says. Pure.
public struct CrashReport: Sendable {
  /// The signal that has ended the process; nil where none did that is a fault of the program's.
  public private(set) var signal: Int32?
  /// The calls that count as failed, by the fingerprint of the agent's name: those that the process has ended in, and those that
  /// earlier ones have with events, as long as no log says that they failed.
  private(set) var broken: [UInt64: BrokenCall] = [:]
  /// What the next process is to keep, by the same: these, and how often starts and wakes have ended a process.
  private(set) var kept: [UInt64: BrokenCall] = [:]

  /// How many calls count as failed.
  public var brokenCount: Int { broken.count }

  /// Reads what a journal left; of bytes that are no journal it says nothing.
  ///
  /// A call counts as failed where the signal came upon its own task, or upon one that its agent is known to have started. Where
  /// it came upon none of these, or upon one that was answering a question, every call with an event counts that ran: the guilty one may have started the task, or asked. An
  /// error of the memory map (SIGBUS) is the disk's fault as well, and counts for its own task alone.
  init(reading bytes: [UInt8]) {
    bytes.withUnsafeBytes { bytes in
      guard let header = CallSlot.Header(bytes) else { return }
      let signal = header.signal == 0 ? nil : Int32(bitPattern: header.signal)
      self.signal = signal
      let stride = CallSlot.stride
      let count = min(bytes.count / stride - 1, Int(clamping: header.agentCount))
      let slots = (0..<max(count, 0)).map { number in
        CallSlot.Content(
          UnsafeRawBufferPointer(rebasing: bytes[(number + 1) * stride..<(number + 2) * stride]))
      }
      for slot in slots {
        guard let call = slot.kept else { continue }
        kept[slot.name] = call
        if !call.purpose.isLifecycle { broken[slot.name] = call }
      }
      guard let signal else { return }
      let running = slots.filter { CallPurpose(rawValue: $0.purpose) != nil }
      let guilty = running.filter { $0.signal != 0 }
      for slot in guilty where slot.started == 0 || signal != Self.busError {
        take(slot, signal, isCertain: slot.started == 0)
      }
      let mayBeOthers = guilty.isEmpty || guilty.contains { $0.purpose == CallPurpose.question.rawValue }
      guard mayBeOthers, signal != Self.busError else { return }
      for slot in running where slot.signal == 0 { take(slot, signal, isCertain: false) }
    }
  }

  private static let busError: Int32 = 7

  private mutating func take(_ slot: CallSlot.Content, _ signal: Int32, isCertain: Bool) {
    guard let purpose = CallPurpose(rawValue: slot.purpose), purpose.isMadeAgain else { return }
    var call = BrokenCall(
      purpose: purpose, event: slot.event, signal: signal, isCertain: isCertain, count: 1)
    if purpose.isLifecycle {
      // That of another agent's start beside it says nothing of this one's.
      guard slot.signal != 0 else { return }
      if let before = slot.kept, before.purpose == purpose { call.count += before.count }
    }
    broken[slot.name] = call
    kept[slot.name] = call
  }
}

/// A call is taken for failed, because the process before this one ended in it.
struct CallEndedProcess: Error, CustomStringConvertible {
  let call: BrokenCall

  var description: String {
    let name = Self.names[call.signal].map { " (\($0))" } ?? ""
    let place =
      switch call.purpose {
      case .start: "while it began"
      case .wake: "while it was woken"
      default: "while this was handled"
      }
    let doubt = call.isCertain ? "" : ", by a task that this or another call had started"
    let times = call.count > 1 ? ", \(call.count) times in a row" : ""
    return "the node's process ended with signal \(call.signal)\(name) \(place)\(doubt)\(times); "
      + "its standard error says where the program trapped"
  }

  private static let names: [Int32: String] = [
    4: "illegal instruction", 5: "trap", 6: "abort", 7: "bus error", 8: "arithmetic",
    11: "segmentation fault",
  ]
}
