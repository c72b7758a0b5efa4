import Foundation
import HyphaCore
import HyphaTransport
import HyphaTransportZMQ
import Synchronization
import Testing

/// Who uses the sockets of the urgent links: the thread that waits for them, one that publishes, one that stands by.
@Suite struct LinkThreadTests {
  /// A probe that is held where it runs agents, after frames that say so.
  private final class Holder: TransportReceiver {
    let probe = Probe()
    let held = DispatchSemaphore(value: 0)
    /// One for each time.
    let releases = (0..<4).map { _ in DispatchSemaphore(value: 0) }
    private let holds = Mutex<Int?>(nil)
    private let reclaimed = Atomic<Int>(0)
    var reclaimCount: Int { reclaimed.load(ordering: .sequentiallyConsistent) }

    func received(_ frames: [InboundFrame]) { probe.received(frames) }
    func received(requests: [PeerMessage]) { probe.received(requests: requests) }
    func received(answers: [PeerMessage]) { probe.received(answers: answers) }
    func linksChanged(_ channel: Channel, plan: UInt32, missing: Set<AgentID>) {
      probe.linksChanged(channel, plan: plan, missing: missing)
    }

    func received(alone frame: InboundFrame) -> Bool {
      received([frame])
      let words = text(of: frame.bytes).split(separator: " ")
      holds.withLock { $0 = words.first == "hold" ? Int(words[1]) : nil }
      return true
    }

    func runAgents() {
      guard let round = holds.withLock({ $0 }) else { return }
      held.signal()
      releases[round].wait()
    }

    func reclaimAgents() { reclaimed.add(1, ordering: .sequentiallyConsistent) }
  }

  @Test(arguments: [TransportKind.ipc, .tcp])
  func `links go on where a thread is long with its agents, and end there, too`(kind: TransportKind) throws {
    let deployment = Deployment(kind, ["a", "b"], links: [("a", "b"), ("b", "a")])
    let holder = Holder()
    let a = try deployment.transport("a")
    try a.start(holder)
    let b = try deployment.start(["b"])[0]
    defer { b.transport.stop() }
    #expect(holder.probe.wait { $0.opened.count >= 3 } && b.probe.wait { $0.opened.count >= 3 })

    for round in 0..<3 {
      // Agents are not run there for a moment after one was long.
      var attempts = 1000
      repeat {
        b.transport.send([Deployment.frame(to: "a", .realtime, "hold \(round)")])
        attempts -= 1
      } while holder.held.wait(timeout: .now() + .milliseconds(100)) != .success && attempts > 0
      #expect(attempts > 0)
      // Nobody would take the place of a second one.
      b.transport.send([Deployment.frame(to: "a", .realtime, "hold 3")])
      let texts = (0..<20).map { "\(round) \($0)" }
      b.transport.send(texts.map { Deployment.frame(to: "a", .alert, $0) })
      let known = holder.probe.wait {
        $0.texts(from: "b", .alert).suffix(20).elementsEqual(texts)
      }
      #expect(known, "in order, while a thread is held")
      #expect(holder.reclaimCount > round)
      a.send([Deployment.frame(to: "b", .alert, "from a \(round)")])
      #expect(b.probe.wait { $0.texts(from: "a", .alert).last == "from a \(round)" })
      if round < 2 { holder.releases[round].signal() }
    }
    // One is held still, and everything is closed all the same.
    a.stop()
    let again = try deployment.transport("a")
    let probe = Probe()
    try again.start(probe)
    #expect(probe.wait { Set($0.opened).count == Channel.allCases.count })
    b.transport.send([Deployment.frame(to: "a", .realtime, "again")])
    #expect(probe.wait { $0.texts(from: "b", .realtime).last == "again" })
    again.stop()
    holder.releases[2].signal()
  }

  @Test func `what comes while a flood is rested from leaves soon, though nothing follows it`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b"), ("b", "a")])
    let nodes = try deployment.start(["a", "b"])
    defer { for node in nodes { node.transport.stop() } }
    let (a, b) = (nodes[0], nodes[1])
    let front = FrameFront(via: Deployment.agent(of: "b"), lane: Sample.lane, topologyVersion: 7, hops: 1)
    let records = Sample.run(1...32)
    #expect(a.probe.wait { $0.opened.count >= 3 } && b.probe.wait { $0.opened.count >= 3 })
    for round in 1...20 {
      let runs = (0..<20).map { _ in
        OutboundRun(channel: .realtime, links: [.init(node: "b", front: front)], expiry: nil)
      }
      for run in runs { for record in records { #expect(try run.add(record)) } }
      // So close behind each other that the thread has to send them.
      for run in runs { #expect(a.transport.send(run).isEmpty) }
      a.transport.send([Deployment.frame(to: "b", .realtime, "last of \(round)")])
      #expect(b.probe.wait { $0.frames.count >= round * 21 })
    }
  }

  @Test func `runs leave in order, whoever sends them`() throws {
    let deployment = Deployment(.ipc, ["a", "b"], links: [("a", "b"), ("b", "a")])
    let nodes = try deployment.start(["a", "b"])
    defer { for node in nodes { node.transport.stop() } }
    let (a, b) = (nodes[0], nodes[1])
    #expect(a.probe.wait { $0.opened.count >= 3 } && b.probe.wait { $0.opened.count >= 3 })
    let front = FrameFront(via: Deployment.agent(of: "b"), lane: Sample.lane, topologyVersion: 7, hops: 1)
    let records = Sample.run(1...4000)
    for (number, record) in records.enumerated() {
      let run = OutboundRun(channel: .realtime, links: [.init(node: "b", front: front)], expiry: nil)
      #expect(try run.add(record))
      #expect(a.transport.send(run).isEmpty)
      // Some at once, others so late that the thread waits.
      if number.isMultiple(of: 3) { usleep(UInt32(number % 90)) }
    }
    #expect(b.probe.wait { $0.frames.count >= records.count })
    let arrived = try b.probe.seen.frames.flatMap { try Frame(decoding: $0.bytes).records }
    #expect(arrived == records)
    #expect(a.transport.counters.framesSent == 4000)
  }
}
