import Foundation
import Testing

@testable import HyphaOperator

/// Work that takes long says how far it is, and ends when it should.
@Suite struct LongWorkTests {
  @Test func `a signal ends it at its next step`() async throws {
    // A signal that does nothing by itself, so that none that comes late does harm.
    let stop = StopSignal([SIGWINCH])
    var stepCount = 0
    await #expect(throws: ExitStatus.stopped(by: SIGWINCH)) {
      try await LongWork.run(stop) { work in
        for _ in 0..<3 {
          try work.pass("step \(stepCount)", done: "\(stepCount) steps of a test")
          stepCount += 1
        }
        kill(getpid(), SIGWINCH)
        let deadline = ContinuousClock.now + .seconds(120)
        while stop.signalNumber == nil, ContinuousClock.now < deadline {
          try await Task.sleep(for: .milliseconds(5), clock: .suspending)
        }
        try work.pass("step \(stepCount)", done: "\(stepCount) steps of a test")
        stepCount += 1
      }
    }
    #expect(stepCount == 3)
  }
}
