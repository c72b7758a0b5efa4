import HyphaCore
import HyphaLog
import HyphaRuntime
import HyphaTopology

/// Which deployment a command is about: its topology file and its logs.
struct LiveTopologyOptions: ArgumentGroup {
  @Argument(help: "The topology file.", completion: .file) var file: String
  @Option(
    help: "A node's data directory, or the deployment's; default data/NAME.", valueName: "directory",
    completion: .directory)
  var data: String?

  /// The topology that the file says.
  func topology() throws -> Topology { try TopologyLoading.load(file, Program.require().kinds) }

  /// The directories of the logs.
  func logs(of topology: Topology) throws -> [String] {
    try DataPlaces.logs(in: DataPlaces.directory(data, of: topology))
  }

  /// The topology as the logs have it: that of the observer's seat knows most, and of a seat and its standby that which
  /// knows the newest; without both, any that does. Positions are those of the seat's log in the file.
  ///
  /// Agents that were moved are where they were moved to.
  func read(through end: Instant? = nil) throws -> (topology: Topology, reading: TopologyReading) {
    let (filed, program) = (try topology(), try Program.require())
    let then = try Moves.read(logs(of: filed), through: end?.end)
    let topology = try then.moves.placing(revised(filed, then.revisions)).without(then.departures)
    var newest: (reading: TopologyReading, rank: Int)?
    for path in try logs(of: topology) {
      let log = try program.readLog(path)
      let node = log.identity.node
      let isPlace = if case .position? = end?.end { true } else { false }
      if node == topology.observer.node, isPlace || topology.observer.standby == nil {
        return (topology, try TopologyReading(log, of: topology, through: end?.end))
      }
      // Positions are those of one log, and each has its own.
      if isPlace, newest != nil, try !hasSeat(topology) {
        throw HyphaError(
          .usage, "a position is one of a log, and there are several",
          remedy: "name the log with --data DIRECTORY/NODE, or give a time")
      }
      let reading = try TopologyReading(log, of: topology, through: end?.end)
      // Who decides has seen most; then who might.
      let rank = reading.seat.map { $0.isActive ? 2 : 1 } ?? 0
      let isNewer = newest.map { known in
        rank > 0 && known.rank == 0
          || (rank == 0) == (known.rank == 0)
            && (reading.live.version, rank) >= (known.reading.live.version, known.rank)
      }
      if isNewer ?? true { newest = (reading, rank) }
    }
    guard let newest else { throw HyphaError(.fileUnavailable, "there is no log of '\(topology.name)'") }
    return (topology, newest.reading)
  }

  /// The topology by the file that counted then: that of a revision, once there is any.
  private func revised(_ filed: Topology, _ then: Revisions) throws -> Topology {
    let all = try Moves.read(logs(of: filed)).revisions
    guard all.newest != nil, let text = then.newest?.file ?? all.text(of: 1) else { return filed }
    let known = try TopologyLoading.plain(text, file: "revision \(then.number)")
    return try then.newest.map { try known.revised(by: $0, after: then.replaced) } ?? known
  }

  /// The revisions of the topology file, as all logs together have them.
  func revisions() throws -> Revisions { try Moves.read(logs(of: topology())).revisions }

  /// Whether the log of the node with the seat is here.
  private func hasSeat(_ topology: Topology) throws -> Bool {
    try logs(of: topology).contains { path in
      try Program.require().readLog(path).identity.node == topology.observer.node
    }
  }

  /// The moves of agents, as all logs together have them.
  func moves(of topology: Topology, through end: Instant? = nil) throws -> Moves {
    try Moves.read(logs(of: topology), through: end?.end)
  }

  /// The log to follow: that of the standby, which has all that the seat has and goes on when that is gone, or of the seat
  /// where it is here, and any other one where neither is.
  func followed() throws -> (topology: Topology, log: any LogReader) {
    let (filed, program) = (try topology(), try Program.require())
    let topology = try revised(filed, Moves.read(logs(of: filed)).revisions)
    let logs = try logs(of: topology).map { try program.readLog($0) }
    let seats = topology.observer.seats.reversed()
    let log = seats.lazy.compactMap { seat in logs.first { $0.identity.node == seat } }.first ?? logs.first
    guard let log else {
      throw HyphaError(.fileUnavailable, "there is no log of '\(topology.name)'")
    }
    return (topology, log)
  }

  /// Asks the observer for something by way of a node that runs, the seat's first; one that is silent only where all are.
  ///
  /// - Returns: what came of it.
  func ask(_ rule: LinkRule, by principal: AgentID?, note: String?) async throws -> NodeOperations.RuleOutcome
  {
    try await send(
      "topology.ask", by: principal, NodeOperations.Rule(rule: rule, note: note),
      as: NodeOperations.RuleOutcome.self)
  }

  /// The same of any operation of a node.
  func send<Outcome: Decodable & Sendable>(
    _ name: String, by principal: AgentID?, _ parameters: some Encodable, as type: Outcome.Type
  ) async throws -> Outcome {
    let topology = try topology()
    let request = try OperatorRequest(
      name, by: OperatorClient.authority(principal), parameters: parameters)
    let logs = try logs(of: topology)
    let order = topology.observer.seats.flatMap { seat in logs.filter { $0.hasSuffix("/\(seat)") } } + logs
    var first: [String] = []
    for path in order {
      guard let isAnswering = try? await OperatorClient.isAnswering(path), isAnswering else { continue }
      first = [path]
      break
    }
    for path in first + order {
      if let outcome = try await OperatorClient.ask(path, request, as: type) {
        return outcome
      }
    }
    throw HyphaError(
      .failed, "no node of '\(topology.name)' runs", remedy: "start it: '\(Program.calledAs) run \(file)'")
  }
}

/// A place in a log on the command line: a position, or a time.
struct Instant: Sendable, ExpressibleByArgument {
  let end: TopologyReading.End

  init?(argument: String) {
    guard let value = try? Self.parse(argument: argument) else { return nil }
    self = value
  }

  init(_ end: TopologyReading.End) { self.end = end }

  static func parse(argument: String) throws -> Self {
    if let position = UInt64(argument) { return Self(.position(Position(rawValue: position))) }
    guard let moment = Moment(argument: argument) else {
      throw HyphaError(
        .usage, "'\(argument)' is neither a position nor a time",
        remedy: "use a position such as 1042, or a form such as 2026-01-31T12:00:00Z (RFC 3339)")
    }
    return Self(.time(moment.timestamp))
  }

  static var argumentDescription: String { "a position of the log, or a time (RFC 3339)" }
  var argumentText: String {
    switch end {
    case .position(let position): "\(position)"
    case .time(let time): time.text
    }
  }
}
