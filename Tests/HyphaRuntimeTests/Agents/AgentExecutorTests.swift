import Synchronization
import Testing

@testable import HyphaRuntime

/// The threads that agents run on.
@Suite struct AgentExecutorTests {
  /// Lets one task wait until another one wakes it.
  private final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiter: CheckedContinuation<Void, Never>?)>((false, nil))

    func wait() async {
      await withCheckedContinuation { continuation in
        let isOpen = state.withLock { state in
          defer { state.isOpen = false }
          if !state.isOpen { state.waiter = continuation }
          return state.isOpen
        }
        if isOpen { continuation.resume() }
      }
    }

    func open() {
      let waiter = state.withLock { state in
        if state.waiter == nil { state.isOpen = true }
        return state.waiter.take()
      }
      waiter?.resume()
    }
  }

  private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    var count: Int { value.load(ordering: .sequentiallyConsistent) }
    func add() { value.add(1, ordering: .sequentiallyConsistent) }
  }

  @Test func `each of many tasks that wake each other runs to its end`() async {
    let executor = AgentExecutor(threadCount: 3)
    let total = Counter()
    await withTaskGroup { group in
      for _ in 0..<40 {
        let (ping, pong) = (Gate(), Gate())
        group.addTask(executorPreference: executor) {
          for _ in 0..<200 {
            ping.open()
            await pong.wait()
          }
          total.add()
        }
        group.addTask(executorPreference: executor) {
          for number in 0..<200 {
            await ping.wait()
            if number.isMultiple(of: 7) { await Task.yield() }
            pong.open()
          }
          total.add()
        }
      }
    }
    #expect(total.count == 80)
  }

  @Test func `whom a task has woken that works on is run by another thread`() async {
    let executor = AgentExecutor(threadCount: 2)
    let (gate, hasBegun) = (Gate(), Gate())
    let ran = Counter()
    await withTaskGroup { group in
      group.addTask(executorPreference: executor) {
        hasBegun.open()
        await gate.wait()
        ran.add()
      }
      group.addTask(executorPreference: executor) {
        await hasBegun.wait()
        await Task.yield()
        gate.open()
        // It keeps its thread: what it has woken lies in that one's hand.
        let end = ContinuousClock.now + .seconds(60)
        while ran.count == 0, ContinuousClock.now < end {}
        #expect(ran.count == 1)
      }
    }
  }

  @Test func `tasks that wake each other without end do not keep others from their turn`() async {
    let executor = AgentExecutor(threadCount: 1)
    let (ping, pong) = (Gate(), Gate())
    let (over, rounds) = (Counter(), Counter())
    // So many that who gets a turn at all has had its hundred long before.
    let roundCountMax = 1_000_000
    await withTaskGroup { group in
      for (mine, other) in [(ping, pong), (pong, ping)] {
        group.addTask(executorPreference: executor) {
          while over.count == 0, rounds.count < roundCountMax {
            rounds.add()
            other.open()
            await mine.wait()
          }
          other.open()
        }
      }
      group.addTask(executorPreference: executor) {
        for _ in 0..<100 { await Task.yield() }
        over.add()
      }
    }
    #expect(rounds.count < roundCountMax)
  }
}
