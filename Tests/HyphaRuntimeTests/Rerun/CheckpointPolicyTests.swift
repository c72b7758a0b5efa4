import HyphaCore
import HyphaLog
import Testing

@testable import HyphaRuntime

/// When a state is given to the log as an event.
@Suite struct CheckpointPolicyTests {
  @Test func `a checkpoint is due after so many inputs, and has at most 64 bytes for each`() {
    for seed in seeds(20) {
      var random = SeededGenerator(seed: seed, name: "inputs")
      let every = 1 + Int(random.next() % 50)
      var policy = CheckpointPolicy(every: every)
      var (since, inputCount, byteCount) = (UInt64(0), UInt64(0), UInt64(0))
      for _ in 0..<2_000 {
        let state = Int(random.next() % 10_000)
        let isDue = since >= UInt64(every) && since * 64 >= UInt64(state)
        #expect(policy.isDue(byteCount: state) == isDue, "HYPHA_SEED=\(seed)")
        if isDue {
          policy.made(behind: .start)
          byteCount += UInt64(state)
          since = 0
        }
        let count = random.next() % 5
        policy.handled(count)
        since += count
        inputCount += count
        #expect(byteCount <= 64 * inputCount, "HYPHA_SEED=\(seed)")
      }
    }
  }

  @Test func `restarts do not put off what is due`() {
    var handledCount: UInt64 = 0
    var madeCount = 0
    for _ in 0..<100 {
      var policy = CheckpointPolicy(every: 10)
      policy.restore(handledCount: handledCount, newest: .start, prunedThrough: .start)
      #expect(!policy.isDue(byteCount: .max))
      for _ in 0..<7 {
        if policy.isDue(byteCount: 0) {
          policy.made(behind: .start)
          madeCount += 1
        }
        policy.handled(1)
        handledCount += 1
      }
    }
    #expect(madeCount >= 60)
  }

  @Test func `one is made where a prune has taken the newest, whatever its size`() {
    let (early, late) = (Position(rawValue: 10), Position(rawValue: 20))
    for (newest, pruned, isMissed) in [
      (Position.start, Position.start, false), (early, .start, false), (.start, early, true),
      (early, early, true), (late, early, false),
    ] {
      var policy = CheckpointPolicy(every: 10)
      policy.restore(handledCount: 0, newest: newest, prunedThrough: pruned)
      #expect(policy.isDue(byteCount: .max) == isMissed)
      policy.made(behind: late)
      #expect(!policy.isDue(byteCount: 0))
      policy.pruned(through: late)
      #expect(!policy.isDue(byteCount: 0))
      policy.pruned(through: late.next)
      #expect(policy.isDue(byteCount: .max))
    }
  }

  @Test func `the log is asked now and then`() {
    var policy = CheckpointPolicy(every: 10)
    let begin = Timestamp(microseconds: 1_000)
    let looks = [0, 1, 999_999, 1_000_000, 1_000_001, 2_000_000].map { policy.looks(at: begin.adding($0)) }
    #expect(looks == [true, false, false, true, false, true])
  }

  @Test func `a state that is too large leaves no state in its checkpoint, and says how large it was`() throws
  {
    let most = StateCheckpointed.snapshotByteCountMax
    for (byteCount, isThere) in [(most, true), (most + 1, false)] {
      let event = StateCheckpointed(
        of: "ada", "clerk", stateVersion: 1, handled: .start, hasBegun: true,
        snapshot: [UInt8](repeating: UInt8(ascii: " "), count: byteCount))
      var payload: [UInt8] = []
      try event.encode(into: &payload)
      #expect((event.snapshot != nil) == isThere && event.snapshotByteCount == byteCount)
      #expect(payload.count < WireLimits.standard.payloadByteCountMax)
    }
  }
}
