import HyphaCore

/// What it costs that an observer watches.
extension ChannelBench {
  /// Persistent and realtime events; four publishers, so that there are pairs to be told of.
  var observedScenes: [Scene] {
    let scenes = [
      Scene(channel: .persistent, sourceCount: 4, window: 8_192), Scene(channel: .realtime, sourceCount: 4),
    ]
    return settings.isQuick ? [scenes[0]] : scenes
  }

  /// How often all processes are started anew.
  private static let observedRunCount = 4

  /// A deployment with everything that observing needs (counters, reports, the observer, progress of routes), the same without, and
  /// that once more: by turns, each with processes of its own. The third says how far two that are alike differ.
  func observedRows(_ scene: Scene) async throws -> [BenchRow] {
    var runs: [Comparison] = []
    for _ in 0..<(settings.isQuick ? 1 : Self.observedRunCount) { runs.append(try await observedRun(scene)) }
    let all = Comparison(rounds: runs.flatMap(\.rounds))
    let text = "\(scene.channel), \(scene.text); beside the same without an observer"
    func row(_ name: String, _ text: String, _ part: Int, _ goal: BenchGoal? = nil) -> BenchRow {
      let cost = PairedCost(runs.map { $0.rounds(part, beside: 1) }).spread()
      return BenchRow(
        name, text, .processorSecondsPerMillion,
        ours: all.spread(of: part, \.processorSecondsPerMillion),
        bare: all.spread(of: 1, \.processorSecondsPerMillion).median, ratio: cost?.ratio ?? .nan,
        spread: cost?.interval ?? Spread(.nan), goal: goal)
    }
    let plain = all.spread(of: 1, \.rate).median
    let work = try ObservationWork(scene.channel, eventsPerSecond: plain).nanosecondsPerEvent
    let path = all.spread(of: 1, \.processorSecondsPerMillion).median * 1000
    return [
      all.row("observed-rate", text, .eventsPerSecond, against: 1, \.rate),
      row("observed-cpu", "\(text), 90 %", 0, .observed),
      row("observed-none-cpu", "\(scene.channel), \(scene.text); two without an observer, 90 %", 2),
      BenchRow(
        "observed-work", "\(scene.channel); counting, reports and the observer, to the whole way of an event",
        .seconds, ours: Spread(work / 1e9), bare: path / 1e9, ratio: work / path, spread: Spread(work / path),
        goal: .observedWork),
    ]
  }

  private func observedRun(_ scene: Scene) async throws -> Comparison {
    var watched = scene
    watched.isObserved = true
    return try await withScene(watched, withBare: false) { run in
      func plain(_ name: String) throws -> SceneRun {
        var plain = scene
        plain.directory = "\(settings.directory)/\(name)"
        plain.socketDirectory = "\(run.scene.socketDirectory)/\(name)"
        return try SceneRun(plain, command: settings.childCommand, withBare: false)
      }
      let (one, other) = (try plain("u"), try plain("v"))
      defer {
        one.close()
        other.close()
      }
      return try await Turns(duration: settings.duration, progress: progress).compare(
        "observed: \(scene.channel), \(scene.text)",
        [run, one, other].map { part in { try part.slice(part.ours, until: $0, .init()).main } })
    }
  }
}
