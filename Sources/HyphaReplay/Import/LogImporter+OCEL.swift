import HyphaCore
public import HyphaFormats
import HyphaLog

extension LogImporter {
  /// Appends an object-centric event log, OCEL 2.0 in JSON: its events in the order of the file, and its objects and definitions
  /// of types as entries of their own. Exported again it is what it was.
  ///
  /// An event becomes one whose payload is the OCEL event, of the agent that is related as `by`, about the object that is related
  /// as `case`, for the agent that is related as `for`; where there is none, of `ocel`, about its first object.
  ///
  /// - Throws: ``HyphaError/Code/invalidInput`` that names the file and the element, and the errors of the log.
  public func addOCEL(_ source: GzipInputStream, limits: InputLimits = InputLimits()) throws {
    let path = source.path
    var arrays = JSONArrays(source, limits: limits)
    var ordinals: [String: Int] = [:]
    try arrays.forEach { array, element in
      ordinals[array, default: 0] += 1
      do {
        switch array {
        case "events": try add(JSON.decode(OCEL.Event.self, from: element), element)
        case "objects": try add(JSON.decode(OCEL.Object.self, from: element), element)
        case "eventTypes":
          try add(JSON.decode(OCEL.TypeDefinition.self, from: element), isEvent: true, element)
        case "objectTypes":
          try add(JSON.decode(OCEL.TypeDefinition.self, from: element), isEvent: false, element)
        default: break
        }
      } catch let error as DecodingError {
        throw HyphaError(
          .invalidInput, "\(path): element \(ordinals[array] ?? 0) of '\(array)' is not as OCEL 2.0 has it",
          remedy: "give an object-centric event log (OCEL 2.0) in JSON", cause: "\(error)".shown(200))
      } catch let problem as ImportProblem {
        throw HyphaError(
          .invalidInput, "\(path): element \(ordinals[array] ?? 0) of '\(array)' \(problem.text)",
          remedy: "give an object-centric event log (OCEL 2.0) in JSON")
      }
    }
    guard ordinals["events"] != nil || ordinals["objects"] != nil || ordinals["objectTypes"] != nil else {
      throw HyphaError(
        .invalidInput, "\(path) has neither events nor objects",
        remedy: "give an object-centric event log (OCEL 2.0) in JSON")
    }
    try finish()
  }

  /// The same of OCEL 2.0 in SQLite; events come in the order of their times.
  ///
  /// - Parameter checkpoint: called often while the database works; what it throws ends the import.
  /// - Throws: ``HyphaError/Code/invalidInput`` that names the file, and the errors of the log.
  public func addOCELDatabase(path: String, checkpoint: @escaping () throws -> Void = {}) throws {
    do {
      try OCELDatabaseReader(path, checkpoint: checkpoint).read(
        definition: { try add($0, isEvent: $1, $0.bytes) }, object: { try add($0, $0.bytes) },
        event: { try add($0, $0.bytes) })
    } catch let problem as ImportProblem {
      throw HyphaError(
        .invalidInput, "\(path): event \(eventCount + 1) \(problem.text)",
        remedy: "give an object-centric event log (OCEL 2.0) in SQLite")
    }
    try finish()
  }

  /// The bytes of what is added go to the log as they are, so that a number keeps its digits.
  private func add(_ event: OCEL.Event, _ bytes: [UInt8]) throws {
    guard let microseconds = RecordedTime.microseconds(event.time), microseconds >= 0 else {
      throw ImportProblem("has the time '\(event.time.shown(80))', which is none from 1970 on")
    }
    let time = Timestamp(microseconds: UInt64(microseconds))
    let id = Self.id(event.id, at: time)
    let about = event.object("case", without: "case:") ?? event.relationships.first?.objectId ?? event.type
    try add(
      ImportedEvent(
        id: id, time: time, channel: .persistent,
        agent: agent(named: event.object("by", without: "agent:") ?? "ocel"),
        addressee: event.object("for", without: "agent:").flatMap { try? AgentID($0) },
        type: EventTypeName(
          unchecked: CloudEventReader.slug(event.type, byteCountMax: EventTypeName.byteCountMax)),
        subject: CloudEventReader.subject(about), contentType: .ocelEvent,
        causation: event.text("causation").flatMap { try? EventID($0) } ?? .none,
        correlation: event.text("correlation").flatMap { try? EventID($0) } ?? id,
        payload: try Self.compacted(bytes)))
  }

  private func add(_ object: OCEL.Object, _ bytes: [UInt8]) throws {
    try addBackground(bytes, OCEL.objectType, named: object.id, .ocelObject)
  }

  private func add(_ definition: OCEL.TypeDefinition, isEvent: Bool, _ bytes: [UInt8]) throws {
    try addBackground(
      bytes, OCEL.definitionType, named: definition.name, isEvent ? .ocelEventType : .ocelObjectType)
  }

  /// What is no event, and has no time.
  private func addBackground(
    _ bytes: [UInt8], _ type: EventTypeName, named name: String, _ contentType: ContentType
  ) throws {
    let id = Self.id("\(type) \(contentType.rawValue) \(name)", at: .zero)
    try add(
      ImportedEvent(
        id: id, time: .zero, channel: .persistent, agent: agent(named: "ocel"), type: type,
        subject: CloudEventReader.subject(name), contentType: contentType, correlation: id,
        payload: try Self.compacted(bytes)))
  }

  private static func compacted(_ bytes: [UInt8]) throws -> [UInt8] {
    var compact: [UInt8] = []
    let isJSON = bytes.withUnsafeBytes { bytes in
      var scanner = JSONScanner(bytes)
      return scanner.scan(into: &compact)
    }
    guard isJSON else { throw ImportProblem("is not JSON (RFC 8259)") }
    return compact
  }

  private static func id(_ text: String, at time: Timestamp) -> EventID {
    (try? EventID(text)) ?? EventID(time: time, random: SeededGenerator.fingerprint(of: "ocel\n\(text)"))
  }
}
