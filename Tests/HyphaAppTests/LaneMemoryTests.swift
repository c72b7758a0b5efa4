import Testing

extension Processes {
  /// What lanes take at a receiver that knows very many of them.
  @Suite struct LaneMemoryTests {
    @Test func `each of 100,000 idle lanes takes less than 200 bytes at its receiver`() async throws {
      let (scratch, laneCount) = (try Scratch(), 100_000)
      // A process of its own, so that nothing else is counted; what it says is its resident memory.
      let child = try await scratch.hypha(
        "bench", "child", "scene", "lanes", "\(laneCount)", "{}", within: .seconds(120))
      try #require(child.status == 0, "\(child.errors)")
      let byteCount = try #require(child.lines.last.flatMap(Int.init))
      #expect(byteCount > 0 && byteCount < 200 * laneCount, "\(byteCount / laneCount) bytes a lane")
    }
  }
}
