import HyphaCore
import HyphaTransport
import Synchronization
import Testing

/// A clock that stands until it is moved.
private final class HandClock: TimeSource {
  private let now = Atomic<UInt64>(1_000_000)
  func microseconds() -> UInt64 { now.load(ordering: .relaxed) }
  func move(by microseconds: UInt64) { now.wrappingAdd(microseconds, ordering: .relaxed) }
}

@Suite struct OutboundRunTests {
  private let clock = HandClock()
  private let records = Sample.run(1...300)

  private func run(
    timeToLive: Duration? = nil, nodes: [NodeID] = ["next"], isPacked: Bool = false,
    onEnd: @escaping @Sendable ([OutboundFrame]) -> Void = { _ in }
  ) -> OutboundRun {
    let expiry = timeToLive.map { timeToLive in
      OutboundRun.Expiry(
        time: Timestamp(microseconds: clock.microseconds() + timeToLive.wholeMicroseconds), clock: clock,
        onEnd: onEnd)
    }
    let links = nodes.map { node in
      OutboundRun.Link(
        node: node,
        front: FrameFront(
          via: AgentID(unchecked: node.text), lane: Sample.lane, topologyVersion: 7, hops: 2,
          isPacked: isPacked))
    }
    return OutboundRun(channel: .alert, links: links, expiry: expiry)
  }

  private func add(_ record: Record, to run: OutboundRun) -> Bool {
    do { return try run.add(record) } catch { return false }
  }

  @Test func `whatever is added before it leaves goes into one frame a link, in order`() throws {
    let run = run(nodes: ["next", "other"])
    #expect(records[..<5].allSatisfy { add($0, to: run) })
    let frames = try #require(run.take())
    #expect(frames.map(\.node) == ["next", "other"])
    #expect(frames.allSatisfy { $0.channel == .alert })
    for frame in frames {
      let wanted = Frame(
        via: AgentID(unchecked: frame.node.text), topologyVersion: 7, hops: 2, records: Array(records[..<5]))
      #expect(try Frame(decoding: frame.bytes) == wanted)
    }
  }

  @Test func `a run that has left takes no more and leaves no second time`() {
    let run = run()
    #expect(add(records[0], to: run))
    #expect(run.take()?.count == 1)
    #expect(!add(records[1], to: run))
    #expect(run.take()?.isEmpty == true)
  }

  @Test func `a run has at most so many events and bytes, but always room for its first`() throws {
    let small = run(isPacked: true)
    #expect(records.prefix { add($0, to: small) }.count == OutboundRun.countMax)
    let large = [UInt8](repeating: 0, count: OutboundRun.byteCountMax / 3)
    let some = run()
    let added = (1...9 as ClosedRange<UInt64>).prefix { sequence in
      add(Sample.record(at(1, sequence), after: .start, payload: large), to: some)
    }
    #expect(added.count == 2)
    let huge = Sample.record(at(1, 1), after: .start, payload: large + large + large + large)
    let alone = run()
    #expect(add(huge, to: alone))
    #expect(!add(records[1], to: alone))
    #expect(try Frame(decoding: #require(alone.take()?.first).bytes).records == [huge])
  }

  @Test func `the time that a run has waited is taken off, and one past its time does not leave`() throws {
    let run = run(timeToLive: .milliseconds(10))
    #expect(add(records[0], to: run))
    clock.move(by: 4_000)
    #expect(add(records[1], to: run))
    let frame = try Frame(decoding: #require(run.take()?.first).bytes)
    #expect(frame.remaining == .milliseconds(6))
    let ended = Mutex<[OutboundFrame]>([])
    let late = self.run(timeToLive: .milliseconds(10)) { frames in ended.withLock { $0 += frames } }
    #expect(add(records[0], to: late))
    clock.move(by: 10_000)
    #expect(late.take() == nil)
    let told = try ended.withLock { try $0.map { try Frame(decoding: $0.bytes).records } }
    #expect(told == [[records[0]]], "who counts losses is told")
    #expect(!add(records[1], to: late))
  }

  @Test func `what cannot be encoded is not in the run`() throws {
    let run = run()
    #expect(add(records[0], to: run))
    let tight = WireLimits(payloadByteCountMax: 1, frameRecordCountMax: 256, frameByteCountMax: 1 << 20)
    #expect(throws: HyphaError.self) {
      try run.add(Sample.record(at(1, 2), after: at(1, 1), payload: [1, 2]), limits: tight)
    }
    #expect(run.count == 1)
  }

  @Test func `a packed run takes what follows its newest event, and goes to each link`() throws {
    let links = ["next", "other"].map { (node: NodeID) in
      OutboundRun.Link(
        node: node,
        front: FrameFront(
          via: AgentID(unchecked: node.text), lane: Sample.lane, topologyVersion: 7, hops: 2, isPacked: true))
    }
    let run = OutboundRun(channel: .realtime, links: links, expiry: nil)
    let records = (1...5 as ClosedRange<UInt64>).map { sequence in
      Sample.record(
        at(1, sequence), after: sequence == 1 ? .start : at(1, sequence - 1), payload: [UInt8(sequence)],
        channel: .realtime)
    }
    #expect(try records[..<3].allSatisfy { try run.add($0) })
    #expect(try !run.add(records[4]), "one between them is not there")
    let frames = try #require(run.take())
    #expect(frames.map(\.node) == ["next", "other"])
    for frame in frames {
      let back = try Frame(decoding: frame.bytes)
      #expect(back.via.text == frame.node.text && back.records == Array(records[..<3]))
      #expect(back.records.isWholeRun)
    }
  }
}
