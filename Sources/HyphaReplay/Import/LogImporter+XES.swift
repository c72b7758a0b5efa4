import HyphaCore
import HyphaFormats

/// What an imported log keeps of an XES file beside its events, as JSON in entries of their own.
enum XESBackground {
  /// The types of those entries.
  static let (declarationType, traceType): (EventTypeName, EventTypeName) = (
    "recorded.Declaration", "recorded.Trace"
  )

  /// The payload of an entry for a trace. Its events name the same `trace`.
  struct Trace: Codable {
    /// How many entries the log had before it.
    var trace: UInt64
    var caseID: String
    var attributes: [XESElement]
  }
}

extension ContentType {
  /// A declaration of an XES file, and one of its traces.
  static let (xesDeclaration, xesTrace) = (ContentType(rawValue: 7), ContentType(rawValue: 8))

  /// Whether an entry is no event, but what an imported log has beside them.
  var isBackground: Bool { OCEL.isBackground(self) || self == .xesDeclaration || self == .xesTrace }
}

extension LogImporter {
  /// Appends all of an XES file. A trace without events is kept too.
  func addXES(
    _ source: GzipInputStream, options: RecordedEvents.Options, _ cases: inout RecordedCases
  ) throws {
    // What waits for the first event's time, so that it does not stand long before all others.
    var (declarations, trace): ([XESElement], XESTrace?) = ([], nil)
    var (place, traceNumber): (UInt64, Int) = (0, 0)
    func addTrace(_ next: XESTrace, at time: Timestamp) throws {
      // A trace that is told again stays the same.
      if next.number != traceNumber { (place, traceNumber) = (UInt64(entryCount), next.number) }
      let payload = XESBackground.Trace(trace: place, caseID: next.caseID, attributes: next.attributes)
      try add(
        payload, XESBackground.traceType, .xesTrace, about: Self.subject(ofCase: next.caseID), at: time)
    }
    func addDeclarations(at time: Timestamp) throws {
      for declaration in declarations {
        try add(declaration, XESBackground.declarationType, .xesDeclaration, about: "xes", at: time)
      }
      declarations = []
    }
    try RecordedEvents.readXES(source, options: options) { part in
      switch part {
      case .declaration(let declaration):
        declarations.append(declaration)
        if declarations.count >= Self.declarationCountMax { try addDeclarations(at: .zero) }
      case .trace(let next):
        if let trace { try addTrace(trace, at: .zero) }
        trace = next
      case .event(let recorded, let attributes):
        let time = try Self.time(recorded, "\(source.path) event \(eventCount + 1)")
        try addDeclarations(at: time)
        if let waiting = trace { try addTrace(waiting, at: time) }
        trace = nil
        var payload = ProcessEvent.Payload(recorded)
        (payload.trace, payload.attributes) = (place, attributes)
        try add(recorded, payload: Array(try JSON.encode(payload)), of: source, &cases)
      }
    }
    try addDeclarations(at: .zero)
    if let trace { try addTrace(trace, at: .zero) }
  }

  /// So many declarations wait at most.
  private static let declarationCountMax = 4_096

  private func add(
    _ value: some Encodable, _ type: EventTypeName, _ contentType: ContentType, about subject: Subject,
    at time: Timestamp
  ) throws {
    let payload = Array(try JSON.encode(value))
    let id = id(of: payload, at: time)
    try add(
      ImportedEvent(
        id: id, time: time, channel: .persistent, agent: agent(named: "xes"), type: type, subject: subject,
        contentType: contentType, correlation: id, payload: payload))
  }
}
