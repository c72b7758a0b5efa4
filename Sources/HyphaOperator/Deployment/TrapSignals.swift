import Glibc
import HyphaRuntime

/// Notes, where a signal that tells of a program's fault ends this process, which agent's call it has come upon.
///
/// The process ends by the signal as it would have without: whoever else wants to know, a debugger, a core dump, the runtime's
/// backtrace, is served.
enum TrapSignals {
  /// Illegal instruction and trap are what Swift's own checks end in; abort is the C library's.
  private static let signals = [SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGBUS, SIGSEGV]

  /// Where the handler writes, and the one before that.
  ///
  /// `nonisolated(unsafe)`: only ``watch(_:)`` changes them, on the node's own thread while no agents run; a signal handler may take
  /// no lock.
  nonisolated(unsafe) private static var journal: Unmanaged<CallJournal>?
  nonisolated(unsafe) private static var formerJournal: Unmanaged<CallJournal>?
  /// What was called before the handler; written once, before any signal can come to it.
  nonisolated(unsafe) private static let before = UnsafeMutablePointer<sigaction>.allocate(capacity: 65)

  /// From now on the process's end is noted in `journal`. The node's own thread, before agents run.
  static func watch(_ journal: CallJournal) {
    let isFirst = self.journal == nil
    // The last one is not let go yet: a handler may have begun with it.
    formerJournal?.release()
    formerJournal = self.journal
    self.journal = Unmanaged.passRetained(journal)
    guard isFirst else { return }
    for signal in signals {
      var action = sigaction()
      action.__sigaction_handler.sa_sigaction = { signal, info, _ in TrapSignals.came(signal, info) }
      // A stack that has overflowed has no room for a handler.
      action.sa_flags = Int32(SA_SIGINFO) | Int32(SA_ONSTACK)
      sigaction(signal, &action, before + Int(signal))
    }
  }

  private static func came(_ signal: Int32, _ info: UnsafeMutablePointer<siginfo_t>?) {
    // What another process has sent says nothing of the call that it has come upon.
    let isSent = (info?.pointee.si_code ?? 0) <= 0
    let isOwn = !isSent || info?.pointee._sifields._kill.si_pid == getpid()
    if isOwn { journal?.takeUnretainedValue().noteTrap(signal) }
    sigaction(signal, before + Int(signal), nil)
    // A fault comes again when this returns, a signal that was sent does not.
    if isSent { raise(signal) }
  }
}
