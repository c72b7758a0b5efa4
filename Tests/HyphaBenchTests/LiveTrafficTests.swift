import HyphaCore
import Testing

@testable import HyphaBench

/// Which part of a recording a live measurement sends.
@Suite struct LiveTrafficTests {
  private let traffic = LiveTraffic(
    groups: ["a", "a", nil], events: [(from: 0, to: 1), (from: 1, to: 2), (from: 2, to: 0)])

  @Test(arguments: [(0, 0), (2, 2), (3, 3), (4, 3), (Int.max, 3)])
  func `as many events are sent as there are, and no more than are wanted`(wanted: Int, sent: Int) {
    let prefix = traffic.prefix(wanted)
    #expect(prefix.eventCount == sent && prefix.groups == traffic.groups)
    #expect(prefix.ends == Array(traffic.ends.prefix(2 * sent)))
  }
}
