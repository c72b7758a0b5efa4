import HyphaCore
import HyphaLog

/// What a log keeps of an agent beside its cursors: its state, what it has before it, and what the state covers.
///
/// An agent that has nothing but a state of version 1, as most have, keeps that as plain JSON. Everything else begins with a
/// byte that no JSON begins with.
struct AgentSnapshot: Sendable, Equatable {
  /// What an event-sourced state is made of: all that the agent has stated up to a place.
  struct Coverage: Sendable, Equatable {
    /// The agent's newest persistent event that the state has evolved by, or may have.
    var point = LanePoint.start
    /// A position that the agent's later events lie behind.
    var after = Position.start
  }

  /// The state as JSON; empty where the agent keeps none.
  var state: [UInt8]
  /// The version of the state's shape.
  var stateVersion: UInt16 = 1
  var agenda = Agenda()
  /// Nil for a state that is committed whole each time.
  var coverage: Coverage?

  private static let marker: UInt8 = 0
  private static let version: UInt8 = 1

  /// How the log keeps it.
  var bytes: [UInt8] {
    guard stateVersion != 1 || !agenda.isEmpty || coverage != nil || state.first == Self.marker else {
      return state
    }
    var writer = ByteWriter(capacity: 64 + state.count + agenda.count * 128)
    writer.write(Self.marker)
    writer.write(Self.version)
    writer.write(stateVersion)
    writer.write(UInt32(state.count))
    writer.write(state)
    writer.write(UInt8(coverage == nil ? 0 : 1))
    if let coverage {
      writer.write(coverage.point.epoch)
      writer.write(coverage.point.sequence)
      writer.write(coverage.after.rawValue)
    }
    agenda.encode(into: &writer)
    return writer.bytes
  }

  init(
    state: [UInt8], stateVersion: UInt16 = 1, agenda: Agenda = Agenda(), coverage: Coverage? = nil
  ) {
    self.state = state
    self.stateVersion = stateVersion
    self.agenda = agenda
    self.coverage = coverage
  }

  /// The snapshot that a log has kept.
  ///
  /// - Throws: ``HyphaError/Code/logInvalid`` for bytes that are none, or of a later version of Hypha.
  init(decoding bytes: [UInt8]) throws {
    guard bytes.first == Self.marker else {
      self.init(state: bytes)
      return
    }
    self = try bytes.withUnsafeBytes { buffer in
      var reader = ByteReader(buffer, code: .logInvalid, noun: "an agent's snapshot")
      _ = try reader.read(UInt8.self)
      let version = try reader.read(UInt8.self)
      guard version == Self.version else {
        throw HyphaError(
          .logInvalid, "an agent's snapshot has format version \(version)",
          remedy: "run a newer version of this program")
      }
      let stateVersion = try reader.read(UInt16.self)
      let state = Array(try reader.read(count: Int(reader.read(UInt32.self))))
      var coverage: Coverage?
      if try reader.read(UInt8.self) != 0 {
        let point = LanePoint(epoch: try reader.read(), sequence: try reader.read())
        coverage = Coverage(point: point, after: Position(rawValue: try reader.read()))
      }
      let agenda = try Agenda(from: &reader)
      try reader.finish()
      return AgentSnapshot(
        state: state, stateVersion: stateVersion, agenda: agenda, coverage: coverage)
    }
  }

  /// The newest snapshot of an agent in a log.
  static func read(of agent: AgentID, in log: any LogReader) throws -> AgentSnapshot? {
    try log.snapshot(of: agent).map { try AgentSnapshot(decoding: $0) }
  }
}
