import HyphaCore
import HyphaRuntime
import Testing

@testable import HyphaOperator

/// What a run cost before its network had links, and at its end.
@Suite struct RewireEffectTests {
  /// The summary after so many events of 4 hops and 3 relays, and then of 1 hop and none.
  private func summary(_ plain: Int, _ direct: Int, links: Int, isObserved: Bool = true) -> DeploymentSummary
  {
    var status = NodeStatus(node: "a")
    var counts = NodeStatus.ChannelStatus()
    if plain > 0 {
      counts.hops.add(4, times: plain)
      counts.latency.add(1000, times: plain)
    }
    if direct > 0 {
      counts.hops.add(1, times: direct)
      counts.latency.add(30, times: direct)
    }
    status.channels = [Channel.persistent.description: counts]
    status.relayed = ["boss": UInt64(3 * plain)]
    status.topologyVersion = isObserved ? UInt32(links) : nil
    status.linkCount = links
    return DeploymentSummary([status])
  }

  @Test(arguments: [1, 7, 1000])
  func `the start is what came before the first link, the end the last quarter`(looks: Int) throws {
    var effect = RewireEffect()
    for step in 0...looks { effect.look(summary(100 * step / looks, 0, links: 0)) }
    for step in 0...looks { effect.look(summary(100, 1000 * step / looks, links: 3)) }
    let (before, last) = try #require(effect.stretches(at: summary(100, 1000, links: 3)))
    #expect(before == .init(events: 100, relayed: 3, hops: 4, latencyP50Microseconds: 1000))
    #expect(last.relayed == 0 && last.hops == 1 && last.latencyP50Microseconds < 32)
    // Looks are some way apart.
    #expect(last.events >= 275 && last.events <= (looks > 100 ? 330 : 1000))
  }

  @Test func `without links, or without an observer, there is nothing to compare`() {
    var plain = RewireEffect()
    plain.look(summary(10, 0, links: 0))
    #expect(plain.stretches(at: summary(20, 0, links: 0)) == nil)
    var unobserved = RewireEffect()
    unobserved.look(summary(10, 0, links: 2, isObserved: false))
    #expect(unobserved.stretches(at: summary(20, 0, links: 2, isObserved: false)) == nil)
  }
}
