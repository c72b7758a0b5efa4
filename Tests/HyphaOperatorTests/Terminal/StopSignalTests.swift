import Foundation
import Testing

@testable import HyphaOperator

/// Who listens to signals hears them. The signal is one that does nothing by itself, so that none that comes late does harm.
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
    let (first, other) = (StopSignal([SIGWINCH]), StopSignal([SIGWINCH]))
    defer { other.end() }
    first.end()
    kill(getpid(), SIGWINCH)
    let deadline = ContinuousClock.now + .seconds(60)
    while other.signalNumber == nil, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(1), clock: .suspending)
    }
    #expect(other.signalNumber == SIGWINCH && first.signalNumber == nil)
  }
}
