import Glibc
import HyphaCore
import HyphaTransport

/// Writes an input of every kind to the directory `HYPHA_FUZZ_SEEDS`, and ends; else fuzzing begins.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeMutableRawPointer, _ arguments: UnsafeMutableRawPointer) -> Int32 {
  guard let directory = getenv("HYPHA_FUZZ_SEEDS") else { return 0 }
  do {
    for (name, bytes) in try seeds() {
      guard let file = fopen("\(String(cString: directory))/\(name)", "w") else { exit(1) }
      fwrite(bytes, 1, bytes.count, file)
      fclose(file)
    }
  } catch {
    fatalError("\(error)")
  }
  exit(0)
}

private func seeds() throws -> [(name: String, bytes: [UInt8])] {
  let records = [
    try record(1, payload: []), try record(2, to: "bob", payload: Array(#"{"a":[1,2.5,"x"]}"#.utf8)),
    try record(3, payload: [UInt8](repeating: 7, count: 40), grant: "grant-7"),
  ]
  var seeds: [(String, [UInt8])] = []
  for (index, record) in records.enumerated() { seeds.append(("record-\(index)", [0] + record.bytes)) }
  let lone = Frame(
    via: "hub", topologyVersion: 3, hops: 1, remaining: .milliseconds(9), records: [records[1]])
  let run = Frame(via: "hub", topologyVersion: 3, hops: 2, records: [records[0], records[2]])
  seeds += [("frame-lone", [1] + lone.encoded()), ("frame-run", [1] + run.encoded())]
  var packed = Frame(via: "hub", topologyVersion: 3, hops: 2, remaining: .milliseconds(9), records: [])
  for sequence in 7...9 as ClosedRange<UInt64> { packed.records.append(try reading(sequence)) }
  seeds.append(("frame-packed", [1] + packed.encoded(isPacked: true)))
  let lane = records[0].header.lane
  let log = EventID(high: 5, low: 6)
  let messages: [ControlMessage] = [
    .hello(Greeting(node: "hq", versions: 1...2, program: "0.1.0", topologyVersion: 3, topologyHash: 77)),
    .welcome(node: "hq", version: 1, program: "0.1.0", topologyVersion: 3),
    .refused(.topology, reason: "no"), .sync(log: log, since: 9),
    .heads(log: log, through: 9, heads: [.init(lane: lane, point: records[2].header.point)]),
    .fetch(lane: lane, after: .start),
    .records(lane: lane, after: .start, records: [records[0], records[2]]),
    .vouch(runs: [LaneRun(lane: lane, after: .start, through: records[2].header.point)]),
    .vouched(
      RunVoucher(
        origin: "hq",
        entries: [.unknown, .gone, .digest([UInt8](0..<32))].map { verdict in
          .init(
            run: LaneRun(lane: lane, after: .start, through: records[2].header.point), verdict: verdict)
        }, sign: { _ in [UInt8](0..<64) })),
    .goodbye, .progress(ready: 3, sending: 2), .copies(of: "hq", log: log, since: 9),
    .copied(of: "hq", log: log, through: 9, heads: [.init(lane: lane, point: records[2].header.point)]),
  ]
  for (index, message) in messages.enumerated() {
    seeds.append(("control-\(index)", [2] + message.encoded()))
  }
  let key = [UInt8](0..<32)
  let request = ["1.0", "1", "hypha", "10.0.0.7", "", "CURVE"].map { Array($0.utf8) } + [key]
  seeds.append(("zap", [8] + request.flatMap { [UInt8($0.count)] + $0 }))
  return seeds
}

private func record(
  _ sequence: UInt64, to addressee: AgentID? = nil, payload: [UInt8], grant: String = ""
) throws -> Record {
  let id = EventID(high: 1, low: sequence)
  let header = RecordHeader(
    id: id, time: Timestamp(microseconds: sequence), channel: sequence == 2 ? .alert : .persistent,
    agent: "ana",
    epoch: 1, sequence: sequence, previous: sequence == 3 ? LanePoint(epoch: 1, sequence: 1) : .start,
    addressee: addressee, type: "order.placed", subject: "orders.eu.7",
    contentType: sequence == 2 ? .json : .bytes,
    causation: sequence == 3 ? EventID(high: 1, low: 1) : .none, correlation: EventID(high: 1, low: 1),
    authority: Authority(principal: sequence == 2 ? "boss" : "ana", grant: grant, policyVersion: 4))
  return try Record(header, payload: payload)
}

/// A realtime event; those of neighbouring numbers follow each other.
private func reading(_ sequence: UInt64) throws -> Record {
  let id = EventID(high: 2, low: sequence)
  let header = RecordHeader(
    id: id, time: Timestamp(microseconds: sequence), channel: .realtime, agent: "ana", epoch: 2,
    sequence: sequence, previous: LanePoint(epoch: 2, sequence: sequence - 1), addressee: nil,
    type: "sensor.read", subject: sequence == 9 ? "room.2" : "room.1",
    causation: sequence == 8 ? EventID(high: 1, low: 1) : .none,
    correlation: sequence == 8 ? EventID(high: 1, low: 1) : id, authority: Authority(principal: "ana"))
  return try Record(header, payload: [UInt8](repeating: UInt8(sequence), count: 12))
}
