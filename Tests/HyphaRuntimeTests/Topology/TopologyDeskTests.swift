import HyphaCore
import HyphaTopology
import Synchronization
import Testing

@testable import HyphaRuntime

/// What a node keeps of events about the topology that have not come whole.
@Suite struct TopologyDeskTests {
  private func firstPart(of type: EventTypeName) throws -> Record {
    let parts = try EventParts.divide([UInt8](repeating: 7, count: 1000), of: type, limit: 256)
    let template = try record("hypha.node.y", 1, type: type)
    return try Record(template.header, payload: parts[0])
  }

  @Test func `parts of what is said of files are kept by who reads that, and not with the topology too`()
    throws
  {
    let desk = try TopologyDesk(smallTopology(), node: "x", now: .zero)
    for type in [RevisionAsked.eventType, RevisionRefused.eventType, TopologyRevised.eventType] {
      #expect(try desk.whole(firstPart(of: type)) == nil)
      let isKept = desk.state.withLock { $0.parts != EventParts() }
      #expect(!isKept, "\(type)")
    }
    #expect(try desk.whole(firstPart(of: LinksChanged.eventType)) == nil)
    #expect(desk.state.withLock { $0.parts } != EventParts())
  }
}
