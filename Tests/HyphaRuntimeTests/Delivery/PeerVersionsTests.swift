import HyphaCore
import HyphaTransport
import Testing

@testable import HyphaRuntime

@Suite struct PeerVersionsTests {
  @Test func `a node gets packed frames while its newest greeting says that it takes them`() {
    let peers = PeerVersions(own: 1...2)
    #expect(!peers.takesPacked("x") && peers.generation == 0)
    peers.greeted("x", 1...2)
    #expect(peers.takesPacked("x") && !peers.takesPacked("y") && peers.generation == 1)
    peers.greeted("x", 1...3)
    #expect(peers.takesPacked("x") && peers.generation == 1)
    peers.greeted("x", 1...1)
    #expect(!peers.takesPacked("x") && peers.generation == 2)
    peers.greeted("x", 1...2)
    peers.forget("x")
    #expect(!peers.takesPacked("x") && peers.generation == 4)
    peers.greeted("x", 3...4)
    #expect(!peers.takesPacked("x"), "there is no version in common")
  }

  @Test func `a lane that was made before a greeting is made anew`() throws {
    let routes = try routeTable("x")
    let name = Lane(agent: "a", channel: .realtime, target: .addressee("b"))
    let lane = RealtimeLane(
      Echo.self, .init(event: ObjectIdentifier(Echo.self), addressee: "b"), name, type: Echo.eventType,
      slot: 0,
      routes: routes, local: [], sent: nil, flow: nil, relayCounts: { _ in [] }, onEnd: { _ in })
    #expect(lane.isCurrent(routes))
    routes.peers.greeted("y", 1...2)
    #expect(!lane.isCurrent(routes))
  }

  @Test func `a node that speaks version 1 sends none and takes none`() {
    let peers = PeerVersions(own: 1...1)
    peers.greeted("x", 1...2)
    #expect(!peers.takesPacked("x") && peers.frameVersionMax == 1)
    #expect(PeerVersions(own: 1...2).frameVersionMax == Frame.versionMax)
  }
}
