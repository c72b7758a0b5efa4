import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology
import Synchronization

extension AgentBench {
  /// Agents that run again on what a node has recorded in some seconds, beside the time that this took then.
  func rerunRows() async throws -> [BenchRow] {
    try Disk.makeDirectory(settings.directory)
    defer { Disk.remove(settings.directory) }
    progress("rerun: recording")
    let board = AgentBoard()
    let stepCount = PacedSource.stepCount(isQuick: settings.isQuick)
    let subscribes = [Subscription(type: BenchJob.eventType)]
    return try await withNode(
      "rerun", board,
      [("source", PacedSource.self, []), ("stepper", JobStepper.self, subscribes)],
      settings: ["isQuick": .bool(settings.isQuick)]
    ) { topology, log in
      while board.taken.load(ordering: .relaxed) < stepCount {
        try await Task.sleep(for: .milliseconds(20), clock: .suspending)
      }
      // All of it is in the log a moment later.
      try await Task.sleep(for: .milliseconds(200), clock: .suspending)
      let recorded = try Self.seconds(of: log)
      var (times, rates): ([Double], [Double]) = ([], [])
      for _ in 0..<(settings.isQuick ? 2 : 9) {
        progress("rerun: \(stepCount) steps")
        let began = Monotonic.nanoseconds()
        let summary = try await Rerun(topology, kinds: try KindRegistry(Self.kinds), log: log).run { _ in
          true
        }
        times.append(Double(Monotonic.nanoseconds() - began) / 1e9)
        rates.append(Double(summary.callCount) / (times.last ?? 1))
        let differenceCount = summary.agents.reduce(0) { $0 + $1.differenceCount }
        guard differenceCount == 0, summary.callCount > stepCount else {
          throw HyphaError(
            .failed, "of \(summary.callCount) calls made again \(differenceCount) things are not as recorded",
            remedy: "take none of these figures; run 'hypha rerun --verify' on a log of this version")
        }
      }
      guard let ours = Spread(times), let ratios = Spread(times.map { $0 / recorded }),
        let rate = Spread(rates)
      else { return [] }
      let text = "\(stepCount) steps of consume, process, produce at 2,000 a second"
      return [
        BenchRow(
          "rerun-time", "\(text); bare: as recorded", .seconds, ours: ours, bare: recorded, ratios: ratios,
          goal: .rerunTime),
        BenchRow("rerun-rate", "\(text): calls", .eventsPerSecond, ours: rate),
      ]
    }
  }

  /// The time from the first entry of a log to the last.
  private static func seconds(of log: any LogReader) throws -> Double {
    let head = try log.head()
    guard let first = try log.entry(at: Position.start.next), let last = try log.entry(at: head) else {
      return 0
    }
    return last.appendedAt.since(first.appendedAt) / .seconds(1)
  }
}

/// Publishes 20 jobs each 10 ms, and stops after some seconds. All that it does follows from its context.
actor PacedSource: Agent {
  static let kind = "bench-paced-source"
  static let publishes: [any Event.Type] = [BenchJob.self]
  static let settingNames: Set<String> = ["board", "isQuick"]

  static func stepCount(isQuick: Bool) -> Int { isQuick ? 200 : 10_000 }

  struct State: Codable { var number = 0 }
  var state = State()

  func start(in context: Context) { context.wake(after: .zero) }

  func wake(in context: Context) async throws {
    struct Settings: Decodable { var isQuick: Bool }
    let count = Self.stepCount(isQuick: try context.settings(Settings.self).isQuick)
    for _ in 0..<min(20, count - state.number) {
      state.number += 1
      try await context.publish(BenchJob(number: state.number))
    }
    if state.number < count { context.wake(after: .milliseconds(10)) }
  }
}
