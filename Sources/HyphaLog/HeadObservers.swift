import Synchronization

/// Those who want to know at once when a log has a new head.
///
/// They are told on the writer's thread, after the sync, and must not block.
public final class HeadObservers: Sendable {
  /// A place in the list, for ``remove(_:)``.
  public struct Token: Hashable, Sendable { fileprivate let number: Int }

  private struct State {
    var nextNumber = 0
    var observers: [Int: @Sendable (Position) -> Void] = [:]
    var head = Position.start
    var isEnded = false
  }

  private let state = Mutex(State())

  /// An empty list.
  public init() {}

  /// Calls `observer` with each new head from now on.
  public func add(_ observer: @escaping @Sendable (Position) -> Void) -> Token {
    state.withLock { state in
      state.nextNumber += 1
      state.observers[state.nextNumber] = observer
      return Token(number: state.nextNumber)
    }
  }

  /// Ends it. One call may still be under way.
  public func remove(_ token: Token) { state.withLock { $0.observers[token.number] = nil } }

  /// Tells everyone of a new head.
  public func tell(_ head: Position) {
    let observers = state.withLock { state in
      state.head = head
      return Array(state.observers.values)
    }
    for observer in observers { observer(head) }
  }

  /// Whether the log was closed: there are no new heads.
  public var isEnded: Bool { state.withLock { $0.isEnded } }

  /// Tells everyone the last head once more: the log was closed.
  public func end() {
    let head = state.withLock { state in
      state.isEnded = true
      return state.head
    }
    tell(head)
  }
}
