public import HyphaCore

/// What a program writes on standard error, on its way into the log: at most so much, the newest of it, and not too often. Pure.
struct Diagnostics {
  /// What is to be done with what there is.
  enum Next: Equatable {
    case nothing
    case later(Duration)
    case record(text: String, omittedByteCount: UInt64)
  }

  /// The most bytes that wait, and so of one event.
  static let pendingByteCountMax = 8 << 10
  /// The most bytes of a program's last words in an error.
  static let lastWordsByteCountMax = 1500
  /// How long lies between two events.
  static let interval = Duration.seconds(1)

  private var pending: [UInt8] = []
  private var omittedByteCount: UInt64 = 0
  private var recent: [UInt8] = []
  private var recordedAt: Timestamp?
  private var isAsked = false

  /// Takes what the program has written. Returns whether somebody is to ask ``next(now:)`` soon.
  mutating func add(_ bytes: some Collection<UInt8>) -> Bool {
    pending += bytes
    let surplus = pending.count - Self.pendingByteCountMax
    if surplus > 0 {
      pending.removeFirst(surplus)
      omittedByteCount += UInt64(surplus)
    }
    recent += bytes.suffix(Self.lastWordsByteCountMax)
    if recent.count > Self.lastWordsByteCountMax {
      recent.removeFirst(recent.count - Self.lastWordsByteCountMax)
    }
    defer { isAsked = true }
    return !isAsked
  }

  /// What is to be recorded now.
  mutating func next(now: Timestamp) -> Next {
    guard !pending.isEmpty else {
      isAsked = false
      return .nothing
    }
    // A clock that was set back is no reason to wait.
    if let recordedAt, now >= recordedAt, now.since(recordedAt) < Self.interval {
      return .later(Self.interval - now.since(recordedAt))
    }
    defer { (pending, omittedByteCount, recordedAt, isAsked) = ([], 0, now, false) }
    return .record(text: String(decoding: pending, as: UTF8.self), omittedByteCount: omittedByteCount)
  }

  /// Begins anew with another input: what was said before it does not explain what becomes of it.
  mutating func begin() { recent = [] }

  /// What was said last, since ``begin()``; nil for nothing.
  var lastWords: String? {
    let text = String(decoding: recent, as: UTF8.self).oneLine(Self.lastWordsByteCountMax)
    return text.isEmpty ? nil : text
  }
}

/// A program of an `exec` agent has written on its standard error. Stated by the agent, at most once a second.
public struct DiagnosticsWritten: Event, Hashable {
  public static let eventType: EventTypeName = "exec.DiagnosticsWritten"
  /// What it wrote, at most 8 KiB; bytes that are not UTF-8 are U+FFFD.
  public var text: String
  /// How many bytes before that are left out, because there was too much.
  public var omittedByteCount: UInt64
}
