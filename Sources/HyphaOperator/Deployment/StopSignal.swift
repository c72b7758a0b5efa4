import Glibc
import Synchronization

/// Turns signals that ask a program to end into a wish to stop that loops can look at.
package final class StopSignal: Sendable {
  private struct State {
    var isRaised = false
    var hasEnded = false
    /// The signals that came, in order.
    var signals: [Int32] = []
    var actions: [@Sendable () -> Void] = []
    var urgentAction: (@Sendable (Int32) -> Void)?
  }

  private let state = Mutex(State())
  private let signals: [Int32]

  /// Listens to these signals, which then do not end the process by themselves. One of SIGHUP that is ignored
  /// already, as by nohup(1), stays ignored.
  package init(_ signals: [Int32] = [SIGINT, SIGTERM, SIGHUP]) {
    self.signals = signals.filter { $0 != SIGHUP || !Self.isIgnored($0) }
    for number in self.signals {
      SignalPipe.shared?.listen(
        to: number,
        .init { [weak self] in
          self?.isListening ?? false
        } hear: { [weak self] in
          self?.raise(by: number)
        })
    }
  }

  /// Listens no more: from now on these signals end the process by themselves, where nobody else listens to them.
  func end() {
    state.withLock { $0.hasEnded = true }
    for number in signals { SignalPipe.shared?.release(number) }
  }

  private var isListening: Bool { state.withLock { !$0.hasEnded } }

  /// Whether somebody wishes to stop.
  var isRaised: Bool { state.withLock { $0.isRaised } }

  /// Whether somebody who has asked before asks again: then waiting has to end.
  var isUrgent: Bool { state.withLock { $0.signals.count > 1 } }

  /// The first signal that came, if any.
  package var signalNumber: Int32? { state.withLock { $0.signals.first } }

  /// Wishes to stop.
  func raise() { raise(by: nil) }

  private func raise(by number: Int32?) {
    let (actions, urgentAction) = state.withLock { state in
      state.isRaised = true
      if let number, state.signals.count < 2 { state.signals.append(number) }
      defer { state.actions = [] }
      return (state.actions, state.signals.count > 1 ? state.urgentAction : nil)
    }
    actions.forEach { $0() }
    if let urgentAction, let number { urgentAction(number) }
  }

  /// Calls `action` when somebody wishes to stop, at once where that was before.
  package func whenRaised(_ action: @escaping @Sendable () -> Void) {
    let isRaised = state.withLock { state in
      if !state.isRaised { state.actions.append(action) }
      return state.isRaised
    }
    if isRaised { action() }
  }

  /// Calls `action` with the signal when somebody who has asked before asks again.
  func whenUrgent(_ action: @escaping @Sendable (Int32) -> Void) {
    state.withLock { $0.urgentAction = action }
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
