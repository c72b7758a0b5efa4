import HyphaCore
import HyphaRuntime

extension ChannelBench {
  /// What an idle lane takes at a receiver that knows very many, measured in a process of its own.
  func laneRows() throws -> [BenchRow] {
    progress("lanes: memory of idle lanes")
    let laneCount = settings.isQuick ? 1_000 : 100_000
    let line = try ChildProcess.output(of: settings.childCommand + ["scene", "lanes", "\(laneCount)", "{}"])
    guard let byteCount = Double(line) else { throw SceneProcess.failure("did not say what lanes take") }
    return [
      BenchRow(
        "lane-memory", "\(laneCount) idle lanes at one receiver", .bytes,
        ours: Spread(byteCount / Double(laneCount)), goal: .laneMemory)
    ]
  }
}

extension SceneChild {
  /// Prints the bytes that the process has more in memory once it knows so many lanes.
  static func measureLanes(_ laneCount: Int) throws {
    let probe = try LaneProbe(laneCount: laneCount)
    let before = ProcessMemory.residentByteCount
    try probe.takeOneEventOfEach()
    print(ProcessMemory.residentByteCount - before)
    withExtendedLifetime(probe) {}
  }
}
