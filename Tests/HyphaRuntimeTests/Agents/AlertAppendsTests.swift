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

  @Test func `alerts wait for a batch that has an answer numbered before them`() throws {
    let alerts = AlertAppends()
    let first = try alerts.offer(alert(1))
    alerts.hold("a", from: 2)
    #expect(!alerts.isHeldUp("a"), "the batch itself may go")
    #expect(try alerts.offer(alert(3)).isEmpty && alerts.offer(alert(4)).isEmpty)
    // The log refuses the one before the batch: that one alone is given again, and the batch waits.
    #expect(alerts.refused(first, of: "a") && alerts.isHeldUp("a"))
    #expect(sequences(alerts.retry("a")) == [1] && alerts.isHeldUp("a"))
    #expect(alerts.appended(first, of: "a").isEmpty && !alerts.isHeldUp("a"))
    let rest = alerts.release("a")
    #expect(sequences(rest) == [3, 4])
    #expect(try alerts.offer(alert(5)).isEmpty, "it must not overtake those on their way")
    #expect(sequences(alerts.appended(rest, of: "a")) == [5])
    #expect(try alerts.appended([alert(5)], of: "a").isEmpty && alerts.openCount == 0)
    #expect(try sequences(alerts.offer(alert(6))) == [6], "nothing is held any more")
    #expect(alerts.release("a").isEmpty)
  }

  @Test func `a batch waits for alerts before it that wait behind others`() throws {
    let alerts = AlertAppends()
    let first = try alerts.offer(alert(1))
    alerts.hold("a", from: 2)
    #expect(alerts.appended(first, of: "a").isEmpty)
    #expect(try alerts.offer(alert(3)).isEmpty)
    let second = alerts.release("a")
    #expect(sequences(second) == [3])
    #expect(try alerts.offer(alert(4)).isEmpty)
    alerts.hold("a", from: 5)
    #expect(alerts.isHeldUp("a") && !alerts.isRefused("a"), "4 is not given to the log")
    #expect(sequences(alerts.appended(second, of: "a")) == [4])
    #expect(!alerts.isHeldUp("a"), "what was given to the log comes before the batch")
  }

  @Test func `no more alerts may be sent than are allowed to wait`() throws {
    let alerts = AlertAppends()
    _ = try alerts.refused(alerts.offer(alert(1)), of: "a")
    for sequence in 2...UInt64(AlertAppends.waitingCountMax) { _ = try alerts.offer(alert(sequence)) }
    #expect(throws: HyphaError.self) { try alerts.checkRoom(for: "a") }
    #expect(throws: Never.self) { try alerts.checkRoom(for: "b") }
  }
}
