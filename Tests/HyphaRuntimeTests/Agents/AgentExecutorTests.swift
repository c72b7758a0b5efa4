import Foundation
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

  @Test func `whom a task has woken that works on is run by a thread that is busy with others, too`() async {
    let executor = AgentExecutor(threadCount: 2)
    let (gate, hasBegun) = (Gate(), Gate())
    let ran = Counter()
    let end = ContinuousClock.now + .seconds(60)
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
        while ran.count == 0, ContinuousClock.now < end {}
        #expect(ran.count == 1)
      }
      // They have the other thread always find work.
      for _ in 0..<2 {
        group.addTask(executorPreference: executor) {
          while ran.count == 0, ContinuousClock.now < end { await Task.yield() }
        }
      }
    }
  }

  @Test func `tasks that wake each other without end do not keep others from their turn`() async {
    let executor = AgentExecutor(threadCount: 1)
    let (ping, pong) = (Gate(), Gate())
    let rounds = Counter()
    let waits = await withTaskGroup(of: [Int].self) { group in
      group.addTask(executorPreference: executor) {
        var others: [Task<Int, Never>] = []
        while rounds.count < 20_000 {
          rounds.add()
          if rounds.count.isMultiple(of: 1_000) {
            let round = rounds.count
            others.append(Task(executorPreference: executor) { rounds.count - round })
          }
          // Whom this wakes takes the other one's place in the thread's hand.
          pong.open()
          await ping.wait()
        }
        pong.open()
        var waits: [Int] = []
        for other in others { waits.append(await other.value) }
        return waits
      }
      group.addTask(executorPreference: executor) {
        while rounds.count < 20_000 {
          await pong.wait()
          ping.open()
        }
        return []
      }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(waits.count == 20 && waits.allSatisfy { $0 <= AgentExecutor.handoverCountMax }, "\(waits)")
  }

  @Test func `a thread of others runs whom it has woken, one after the other`() async {
    let executor = AgentExecutor(threadCount: 2)
    let (first, second, ready) = (Gate(), Gate(), Gate())
    let total = Counter()
    let one = Task(executorPreference: executor) {
      ready.open()
      await first.wait()
      total.add()
      second.open()
    }
    let other = Task(executorPreference: executor) {
      await second.wait()
      total.add()
    }
    await ready.wait()
    // The tasks may not wait yet: then there is nothing to run here, and their own threads run them.
    await withCheckedContinuation { continuation in
      Thread {
        if executor.lends({ first.open() }) { executor.runLent() }
        continuation.resume()
      }.start()
    }
    await one.value
    await other.value
    #expect(total.count == 2)
  }

  @Test func `whom a thread of others does not get to run is run by the executor`() async {
    let executor = AgentExecutor(threadCount: 2)
    let (gate, ready) = (Gate(), Gate())
    let task = Task(executorPreference: executor) {
      ready.open()
      await gate.wait()
    }
    await ready.wait()
    let isLent = await withCheckedContinuation { continuation in
      Thread { continuation.resume(returning: executor.lends { gate.open() }) }.start()
    }
    if isLent { executor.reclaim() }
    await task.value
  }
}
