import Glibc
import HyphaApp

// Agents whose program has faults, each of which ends the process of their node.

/// Does each job but some, on which the program traps, or its C library ends it.
actor Faulty: Agent {
  static let handles = Handlers(Faulty.self).on(Job.self) { try await $0.work($1, in: $2) }
  static let publishes: [any Event.Type] = [JobDone.self]

  private var nothing: [Int] = []

  private func work(_ job: Job, in context: Context) async throws {
    try await context.publish(JobDone(number: job.number))
    switch job.number {
    case 5: nothing.append(depth(of: job.number))
    case 7:
      // In a task that is not the agent's own.
      async let bad = Self.divide(job.number, by: nothing.count)
      nothing.append(await bad)
    case 9: await Task { Self.end() }.value
    default: break
    }
  }

  /// Goes on until the thread's stack is used up.
  private func depth(of number: Int) -> Int { number == .max ? 0 : depth(of: number &+ nothing.count) &+ 1 }

  private static func end() { abort() }

  private static func divide(_ number: Int, by other: Int) async -> Int { number / other }
}

/// Is at work while others trap.
actor Dreamer: Agent {
  static let handles = Handlers(Dreamer.self).on(Job.self) { _, job, _ in
    if job.number == 0 { try await Task.sleep(for: .milliseconds(700), clock: .suspending) }
  }
}

/// Traps at each start.
actor Stillborn: Agent {
  static let handles = Handlers(Stillborn.self).on(Job.self) { _, _, _ in }

  private var nothing: [Int] = []

  func start(in context: Context) { nothing[0] = 1 }
}
