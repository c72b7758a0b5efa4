import HyphaCore
import HyphaKinds
import HyphaTransport
import Testing

@testable import HyphaRuntime

@Suite struct OutboxTests {
  private func draft(_ channel: Channel, to addressee: AgentID? = nil, type: EventTypeName = "T") -> Draft {
    Draft(
      event: Echo(of: .none), addressee: addressee, id: .none, time: .zero, channel: channel, type: type,
      schemaVersion: 1, subject: "s", contentType: .json, causation: .none, correlation: .none, payload: [])
  }

  @Test func `sequences run over a channel's stream, back-pointers along each lane`() {
    var outbox = Outbox(agent: "a", epoch: 3, lanes: [:], policyVersion: 1)
    let headers = [
      draft(.persistent), draft(.persistent, to: "b"), draft(.alert), draft(.persistent),
      draft(.persistent, to: "b"),
      draft(.persistent, type: "U"),
    ].map { outbox.number($0) }
    #expect(headers.map(\.sequence) == [1, 2, 1, 3, 4, 5])
    #expect(headers.map(\.previous.sequence) == [0, 0, 0, 1, 2, 0])
    #expect(headers.allSatisfy { $0.epoch == 3 && $0.authority.principal == "a" })
  }

  @Test func `a new epoch begins at 1 and points back to the end of the lane in the log`() {
    let lane = Lane(agent: "a", channel: .persistent, target: .type("T"))
    let end = LanePoint(epoch: 2, sequence: 9)
    var outbox = Outbox(agent: "a", epoch: 3, lanes: [lane: end], policyVersion: 1)
    let header = outbox.number(draft(.persistent))
    #expect(header.previous == end)
    #expect(header.point == LanePoint(epoch: 3, sequence: 1))
  }

  @Test func `a run takes no more once another type's events have followed on its lane`() throws {
    var outbox = Outbox(agent: "a", epoch: 1, lanes: [:], policyVersion: 1)
    let name = Lane(agent: "a", channel: .realtime, target: .addressee("b"))
    let (slot, routes) = (outbox.slot(of: name), try routeTable("x"))
    func lane<E: Event>(_ event: E.Type) -> RealtimeLane {
      RealtimeLane(
        event, .init(event: ObjectIdentifier(event), addressee: "b"), name, type: E.eventType, slot: slot,
        routes: routes, local: [], sent: nil, flow: nil, relayCounts: { _ in [] }, onEnd: { _ in })
    }
    let (echoes, bells) = (lane(Echo.self), lane(Bell.self))
    #expect(outbox.openRun(of: echoes) == nil)
    let (first, second) = (run(), run())
    outbox.begin(first, of: echoes)
    #expect(outbox.openRun(of: echoes) === first)
    outbox.begin(second, of: bells)
    #expect(outbox.openRun(of: echoes) == nil, "what it takes now would arrive before what is in the other")
    #expect(outbox.openRun(of: bells) === second)
  }

  private func run() -> OutboundRun {
    let lane = Lane(agent: "a", channel: .realtime, target: .addressee("b"))
    let front = FrameFront(via: "b", lane: lane, topologyVersion: 1, hops: 1)
    return OutboundRun(channel: .realtime, links: [.init(node: "b", front: front)], expiry: nil)
  }
}
