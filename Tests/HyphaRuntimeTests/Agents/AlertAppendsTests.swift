import HyphaCore
import Testing

@testable import HyphaRuntime

@Suite struct AlertAppendsTests {
  private func alert(_ sequence: UInt64) throws -> Stated {
    Stated(record: try record("a", .alert, sequence), event: Echo(of: .none))
  }

  private func sequences(_ group: [Stated]) -> [UInt64] { group.map(\.record.header.sequence) }

  @Test func `alerts that the log has refused are given again together, in their order`() throws {
    let alerts = AlertAppends()
    let first = try alerts.offer(alert(1))
    let second = try alerts.offer(alert(2))
    #expect(sequences(first) == [1] && sequences(second) == [2])
    #expect(!alerts.isHeldUp("a") && alerts.openCount == 2)
    #expect(alerts.refused(second, of: "a"))
    #expect(!alerts.refused(first, of: "a"), "one retry is enough")
    #expect(alerts.isHeldUp("a"))
    #expect(try alerts.offer(alert(3)).isEmpty)
    #expect(sequences(alerts.retry("a")) == [1, 2, 3])
    #expect(try alerts.offer(alert(4)).isEmpty, "it must not overtake those on their way")
    let rest = try alerts.appended([alert(1), alert(2), alert(3)], of: "a")
    #expect(sequences(rest) == [4] && alerts.isHeldUp("a"))
    #expect(alerts.appended(rest, of: "a").isEmpty)
    #expect(!alerts.isHeldUp("a") && alerts.openCount == 0)
  }

  @Test func `no more alerts may be sent than are allowed to wait`() throws {
    let alerts = AlertAppends()
    _ = try alerts.refused(alerts.offer(alert(1)), of: "a")
    for sequence in 2...UInt64(AlertAppends.waitingCountMax) { _ = try alerts.offer(alert(sequence)) }
    #expect(throws: HyphaError.self) { try alerts.checkRoom(for: "a") }
    #expect(throws: Never.self) { try alerts.checkRoom(for: "b") }
  }
}
