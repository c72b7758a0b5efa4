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

  /// A deployment with everything that observing needs (counters, reports, the observer, progress of routes), and the
  /// same without, both with processes of their own, by turns.
  func observedRows(_ scene: Scene) async throws -> [BenchRow] {
    var watched = scene
    watched.isObserved = true
    return try await withScene(watched, withBare: false) { run in
      var unwatched = scene
      unwatched.directory = "\(settings.directory)/unwatched"
      unwatched.socketDirectory = "\(run.scene.socketDirectory)/u"
      let other = try SceneRun(unwatched, command: settings.childCommand, withBare: false)
      defer { other.close() }
      let comparison = try await Turns(duration: settings.duration * 2, progress: progress).compare(
        "observed: throughput, \(scene.channel), \(scene.text)",
        [
          { try run.slice(run.ours, until: $0, .init()).main },
          { try other.slice(other.ours, until: $0, .init()).main },
        ])
      let text = "\(scene.channel), \(scene.text); beside the same without an observer"
      return [
        comparison.row("observed-rate", text, .eventsPerSecond, against: 1, goal: .observed, \.rate),
        comparison.row(
          "observed-cpu", text, .processorSecondsPerMillion, against: 1, \.processorSecondsPerMillion),
      ]
    }
  }
}
