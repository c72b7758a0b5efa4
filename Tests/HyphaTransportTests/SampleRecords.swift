import HyphaCore
import HyphaTransport

/// Events of one lane, made by hand.
enum Sample {
  static let lane = Lane(agent: "origin", channel: .alert, target: .type("sample.Happened"))

  static func record(
    _ point: LanePoint, after previous: LanePoint, payload: [UInt8] = [], channel: Channel = .alert,
    subject: Subject = "sample", addressee: AgentID? = nil, id: EventID? = nil
  ) -> Record {
    let id = id ?? EventID(high: point.epoch, low: point.sequence)
    let header = RecordHeader(
      id: id, time: Timestamp(microseconds: 1), channel: channel, agent: "origin", epoch: point.epoch,
      sequence: point.sequence, previous: previous, addressee: addressee, type: "sample.Happened",
      subject: subject, correlation: id, authority: Authority(principal: "origin"))
    // The payload is far below every limit.
    return try! Record(header, payload: payload)
  }

  /// Events `sequences` of `epoch`, each behind the one before it; the first behind `previous`.
  static func run(
    _ sequences: ClosedRange<UInt64>, epoch: UInt64 = 1, after previous: LanePoint? = nil
  ) -> [Record] {
    sequences.map { sequence in
      let before = sequence == 1 ? LanePoint.start : LanePoint(epoch: epoch, sequence: sequence - 1)
      let first = sequence == sequences.lowerBound ? previous : nil
      return record(LanePoint(epoch: epoch, sequence: sequence), after: first ?? before)
    }
  }
}

extension OutboundRun {
  /// Adds an event as it is in a record. Returns whether there was room.
  func add(_ record: Record, limits: WireLimits = .standard) throws -> Bool {
    let template = try RecordTemplate(record.header, limits: limits)
    return try record.withPayload { try append(template, RecordTemplate.Numbers(record), payload: $0) }
  }
}

/// The place of an event: `at(1, 5)` is event 5 of epoch 1.
func at(_ epoch: UInt64, _ sequence: UInt64) -> LanePoint { LanePoint(epoch: epoch, sequence: sequence) }

/// A moment of a test's own time.
func time(milliseconds: UInt64) -> Timestamp { Timestamp(microseconds: 1_000_000 + milliseconds * 1000) }
