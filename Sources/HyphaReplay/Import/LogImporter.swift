import Dispatch
import HyphaCore
public import HyphaFormats
public import HyphaLog
import Synchronization

/// Fills a new log from a file that another tool, or an export, has written. The file is read once and never loaded whole;
/// beside a few batches, memory is that of the names of agents, and of cases where there are any.
///
/// What is imported is marked as received, since no agent of the node stated it.
public final class LogImporter {
  /// What an import may read.
  public enum Format: String, CaseIterable, Sendable {
    /// CloudEvents 1.0 in JSON, one a line or as one array.
    case cloudEvents = "cloudevents"
    /// IEEE 1849.
    case xes
    /// A table with a header line.
    case csv
    /// Object-centric event log, OCEL 2.0 in JSON.
    case ocelJSON = "ocel-json"
    /// The same as an SQLite database.
    case ocelSQLite = "ocel-sqlite"
  }

  // Each format is added from a stream from which nothing was read yet but by ``GzipInputStream/peek()``.

  /// How many events were appended or are about to be.
  public private(set) var eventCount = 0
  /// How many entries, with those that are no events.
  private(set) var entryCount = 0
  private let log: any EventLog
  private let progress: (Int) throws -> Void
  private var waiting: [LogBatch.Append] = []
  private var laneEnds: [Lane: LanePoint] = [:]
  private var sequences: [AgentID: UInt64] = [:]
  private var agents: [String: AgentID] = [:]
  private var takenAgents: Set<AgentID> = []
  private let failure = Failure()
  /// Batches that were submitted and are not durable yet.
  private let room = DispatchSemaphore(value: LogImporter.batchCountMax)

  private static let (batchCountMax, batchEventCount) = (8, 512)

  private final class Failure: Sendable {
    let error = Mutex<HyphaError?>(nil)
  }

  /// An importer into `log`.
  ///
  /// - Parameter progress: told now and then how many events there were; what it throws ends the import.
  /// - Throws: ``HyphaError/Code/logConflict`` when the log has entries.
  public init(into log: any EventLog, progress: @escaping (Int) throws -> Void = { _ in }) throws {
    let head = try log.head()
    guard head == .start else {
      throw HyphaError(
        .logConflict, "the log of \(log.identity.node) has \(head) entries already",
        remedy: "import into a new --data directory")
    }
    self.log = log
    self.progress = progress
  }

  /// Appends the CloudEvents of a file.
  ///
  /// Events that Hypha has exported become what they were. Any other becomes an event whose payload is the whole CloudEvent, of an
  /// agent that is called as its source is, on the persistent channel.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` that names the file and the event, and the errors of the log.
  public func addCloudEvents(_ source: GzipInputStream, limits: InputLimits = InputLimits()) throws {
    let (path, objects) = (source.path, JSONObjects(source, limits: limits))
    while let object = try objects.next() {
      do {
        guard let members = JSONMembers(object) else { throw ImportProblem("is not JSON (RFC 8259)") }
        let event = try CloudEventReader(members).event { agent(named: $0) }
        try add(event)
      } catch let problem as ImportProblem {
        throw HyphaError(
          .invalidInput, "\(path) event \(objects.ordinal) \(problem.text)",
          remedy: "give CloudEvents 1.0 in JSON, one a line or as one array")
      } catch let error as HyphaError where error.code == .invalidName || error.code == .invalidRecord {
        throw HyphaError(
          .invalidInput, "\(path) event \(objects.ordinal): \(error.problem)", remedy: error.remedy)
      }
    }
    try finish()
  }

  /// Appends the events of a recorded process: of type `recorded.Event`, by the agent that is called as the resource is, about
  /// `case.NAME`; a case is a conversation, in which each event is caused by the one before it. What else an XES file has is kept
  /// as well, so that it is exported as it was.
  ///
  /// - Throws: as ``RecordedEvents/read(path:options:_:)``, and the errors of the log.
  public func addRecording(
    _ source: GzipInputStream, options: RecordedEvents.Options = RecordedEvents.Options()
  ) throws {
    var cases = RecordedCases()
    if try (options.format ?? RecordedEvents.format(of: source)) == .xes {
      try addXES(source, options: options, &cases)
    } else {
      try RecordedEvents.read(source, options: options) { recorded in
        let payload = ProcessEvent.Payload(recorded)
        try add(recorded, payload: Array(try JSON.encode(payload)), of: source, &cases)
      }
    }
    try finish()
  }

  /// The newest event of each case, by which the next one is linked.
  struct RecordedCases {
    var newest: [String: (first: EventID, last: EventID)] = [:]
  }

  func add(
    _ recorded: RecordedEvent, payload: [UInt8], of source: GzipInputStream, _ cases: inout RecordedCases
  ) throws {
    let time = try Self.time(recorded, "\(source.path) event \(eventCount + 1)")
    let id = id(of: payload, at: time)
    let before = cases.newest[recorded.caseID]
    cases.newest[recorded.caseID] = (before?.first ?? id, id)
    try add(
      ImportedEvent(
        id: id, time: time, channel: .persistent, agent: agent(named: recorded.resource ?? "unknown"),
        type: ProcessEvent.importedType, subject: Self.subject(ofCase: recorded.caseID),
        causation: before?.last ?? .none, correlation: before?.first ?? id, payload: payload))
  }

  /// The id of what a recording has here, the same each time, and another in any other recording.
  func id(of payload: [UInt8], at time: Timestamp) -> EventID {
    let text = "\(entryCount) \(String(decoding: payload, as: UTF8.self))"
    return EventID(time: time, random: SeededGenerator.fingerprint(of: text))
  }

  /// The time of a recorded event, which a log can have from 1970 on.
  static func time(_ recorded: RecordedEvent, _ place: @autoclosure () -> String) throws -> Timestamp {
    guard recorded.time >= 0 else {
      throw HyphaError(
        .invalidInput, "\(place()) is from before 1970", remedy: "leave it out, or correct it")
    }
    return Timestamp(microseconds: UInt64(recorded.time))
  }

  // What an object-centric log has is added in LogImporter+OCEL.swift, and what an XES file has in LogImporter+XES.swift.

  /// The subject nearest to a case's name.
  static func subject(ofCase name: String) -> Subject {
    let token = name.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : "-" }
    return (try? Subject("case.\(String(token.prefix(60)))")) ?? "case"
  }

  /// The agent that a name of any kind becomes, the same each time.
  func agent(named name: String) -> AgentID {
    if let agent = agents[name] { return agent }
    let agent = ResourceAgents.free(name, &takenAgents)
    agents[name] = agent
    return agent
  }

  func add(_ event: ImportedEvent) throws {
    var event = event
    if event.place == nil {
      sequences[event.agent, default: 0] += 1
      event.place = LanePoint(epoch: 1, sequence: sequences[event.agent] ?? 1)
    }
    let record = try event.record(linkedTo: &laneEnds)
    waiting.append(LogBatch.Append(record, source: .received(hops: 0)))
    entryCount += 1
    if !event.contentType.isBackground { eventCount += 1 }
    if waiting.count >= Self.batchEventCount { try submit() }
  }

  private func submit() throws {
    room.wait()
    let batch = LogBatch(appends: waiting)
    waiting.removeAll(keepingCapacity: true)
    log.submit(batch) { [room, failure] result in
      if case .failure(let error) = result { failure.error.withLock { $0 = $0 ?? error } }
      room.signal()
    }
    try check()
    try progress(eventCount)
  }

  private func check() throws {
    if let error = failure.error.withLock({ $0 }) { throw error }
  }

  /// Waits until all that was added is durable.
  func finish() throws {
    if !waiting.isEmpty { try submit() }
    for _ in 0..<Self.batchCountMax { room.wait() }
    for _ in 0..<Self.batchCountMax { room.signal() }
    try check()
  }

  deinit {
    // A semaphore must not be freed below the value that it began with.
    for _ in 0..<Self.batchCountMax { room.wait() }
    for _ in 0..<Self.batchCountMax { room.signal() }
  }
}

/// What is wrong with one event of a file.
struct ImportProblem: Error {
  let text: String
  init(_ text: String) { self.text = text }
}
