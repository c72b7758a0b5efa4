import HyphaCore
import HyphaLog
import Testing

@Suite struct LogTenureTests {
  private func batch(_ position: UInt64) -> LogBatch {
    var batch = LogBatch()
    batch.cursors[CursorKey(agent: "a", channel: .persistent)] = Cursor(
      position: Position(rawValue: position), handledCount: position)
    return batch
  }

  @Test func `once a tenure has ended nothing of it comes into the log, and the log stays open`() async throws
  {
    let store = MemoryLogStore(identity: LogIdentity(id: EventID(high: 1, low: 2), node: "x"))
    let log = try MemoryLog(store: store, time: TestTime())
    let (first, second) = (LogTenure(log), LogTenure(log))
    _ = try await first.append(batch(1))
    await first.end()
    await #expect(throws: HyphaError.self) { try await first.append(batch(2)) }
    let key = CursorKey(agent: "a", channel: .persistent)
    #expect(try first.cursor(key)?.handledCount == 1 && second.cursor(key)?.handledCount == 1)
    _ = try await second.append(batch(3))
    #expect(try first.cursor(key)?.handledCount == 3, "reading goes on")
    second.close()
    await #expect(throws: HyphaError.self) { try await second.append(batch(4)) }
    _ = try await log.append(batch(5))
    log.close()
  }
}
