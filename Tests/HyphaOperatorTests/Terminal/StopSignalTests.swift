import Foundation
import Testing

@testable import HyphaOperator

/// Who listens to signals hears them. The signals are some that do nothing by themselves, so that none that comes late does harm.
@Suite struct StopSignalTests {
  @Test func `each who listens hears the first signal, however many listened before`() async throws {
    for _ in 0..<20 {
      let stop = StopSignal([SIGWINCH])
      defer { stop.end() }
      kill(getpid(), SIGWINCH)
      let deadline = ContinuousClock.now + .seconds(60)
      while stop.signalNumber == nil, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(1), clock: .suspending)
      }
      try #require(stop.signalNumber == SIGWINCH)
    }
  }

  @Test func `one that ends takes the signal from nobody else`() async throws {
    // A signal that no other test sends: tests beside this one send theirs to the same process.
    let (first, other) = (StopSignal([SIGURG]), StopSignal([SIGURG]))
    defer { other.end() }
    first.end()
    kill(getpid(), SIGURG)
    let deadline = ContinuousClock.now + .seconds(60)
    while other.signalNumber == nil, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(1), clock: .suspending)
    }
    #expect(other.signalNumber == SIGURG && first.signalNumber == nil)
  }
}
