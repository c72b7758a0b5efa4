@preconcurrency import Dispatch
import Glibc
import Synchronization

/// Brings signals from their handler, in which hardly anything is allowed, to those who listen to them.
///
/// A dispatch source of a signal would not do: on Linux its handler is set some time after it was asked for, and once for
/// each signal of a process, so that who listens after another one has ended hears nothing.
final class SignalPipe: Sendable {
  /// The one of the process; `nil` where it has no two descriptors left. Then signals do what they do by themselves.
  static let shared = SignalPipe()

  private let (readEnd, writeEnd): (Int32, Int32)
  private let source: any DispatchSourceRead
  private let listeners = Mutex<[Int32: [Listener]]>([:])

  private init?() {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return nil }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    (readEnd, writeEnd) = (ends[0], ends[1])
    // A serial queue has a thread of its own whenever it needs one; the global ones wait where tasks keep all of theirs busy.
    source = DispatchSource.makeReadSource(
      fileDescriptor: readEnd, queue: DispatchQueue(label: "hypha.signals"))
    source.setEventHandler { [unowned self] in deliver() }
    source.activate()
  }

  /// Who listens to a signal.
  struct Listener: Sendable {
    /// Whether it still does.
    let isListening: @Sendable () -> Bool
    let hear: @Sendable () -> Void
  }

  /// Has `listener` hear each of these signals, which do nothing by themselves then.
  func listen(to number: Int32, _ listener: Listener) {
    listeners.withLock { listeners in
      listeners[number, default: []].append(listener)
      _ = signal(number) { SignalPipe.shared?.write($0) }
    }
  }

  /// Has a signal do what it does by itself, where nobody listens to it any more.
  func release(_ number: Int32) {
    listeners.withLock { listeners in
      listeners[number] = listeners[number]?.filter { $0.isListening() }
      if listeners[number]?.isEmpty ?? true { _ = signal(number, SIG_DFL) }
    }
  }

  /// Called by the handler: nothing but a write.
  private func write(_ number: Int32) {
    let error = errno
    var byte = UInt8(truncatingIfNeeded: number)
    _ = Glibc.write(writeEnd, &byte, 1)
    errno = error
  }

  private func deliver() {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(readEnd, &bytes, bytes.count)
    for number in bytes.prefix(max(0, count)).map(Int32.init) {
      let called = listeners.withLock { listeners in
        let called = (listeners[number] ?? []).filter { $0.isListening() }
        listeners[number] = called
        return called
      }
      for listener in called { listener.hear() }
    }
  }
}
