public import HyphaCore
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
  /// A piece of what is too large for one entry.
  static let xesPiece = ContentType(rawValue: 9)

  /// Whether an entry is no event, but what an imported log has beside them of XES.
  var isXESBackground: Bool { self == .xesDeclaration || self == .xesTrace || self == .xesPiece }

  /// The types of such entries.
  static let backgroundTypes: Set<EventTypeName> = [
    OCEL.objectType, OCEL.definitionType, XESBackground.declarationType, XESBackground.traceType,
    XESPieces.type,
  ]

  /// Whether an entry is no event, but what an imported log has beside them: of OCEL objects and definitions of types, of XES
  /// traces and declarations.
  public var isBackground: Bool { OCEL.isBackground(self) || isXESBackground }
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
      let json = Array(try JSON.encode(payload))
      let subject = Self.subject(ofCase: next.caseID)
      if json.count > XESPieces.byteCountMax {
        try add(piecesOf: json, .trace, about: subject, at: time)
      } else {
        try add(json, XESBackground.traceType, .xesTrace, about: subject, at: time)
      }
    }
    func addDeclarations(at time: Timestamp) throws {
      for declaration in declarations {
        let json = Array(try JSON.encode(declaration))
        if json.count > XESPieces.byteCountMax {
          try add(piecesOf: json, .declaration, about: "xes", at: time)
        } else {
          try add(json, XESBackground.declarationType, .xesDeclaration, about: "xes", at: time)
        }
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
        var json = Array(try JSON.encode(payload))
        if json.count > XESPieces.byteCountMax {
          payload.attributes = nil
          payload.pieces = try add(
            piecesOf: Array(try JSON.encode(attributes)), .attributes,
            about: Self.subject(ofCase: recorded.caseID), at: time)
          json = Array(try JSON.encode(payload))
        }
        try add(recorded, payload: json, of: source, &cases)
      }
    }
    try addDeclarations(at: .zero)
    if let trace { try addTrace(trace, at: .zero) }
  }

  /// So many declarations wait at most.
  private static let declarationCountMax = 4_096

  /// Appends what no entry holds whole.
  ///
  /// - Returns: the conversation that its pieces are.
  @discardableResult
  private func add(
    piecesOf json: [UInt8], _ whole: XESPieces.Whole, about subject: Subject, at time: Timestamp
  ) throws -> EventID {
    let texts = XESPieces.texts(of: json)
    // Pieces of two files are the same only where the wholes are.
    let conversation = id(of: json, at: time)
    for (index, text) in texts.enumerated() {
      let piece = XESPieces.Piece(of: whole, number: index + 1, count: texts.count, text: text)
      let id = EventID(time: time, random: SeededGenerator.fingerprint(of: "\(conversation) \(index)"))
      try add(
        Array(try JSON.encode(piece)), XESPieces.type, .xesPiece, about: subject, at: time, as: id,
        in: conversation)
    }
    return conversation
  }

  private func add(
    _ payload: [UInt8], _ type: EventTypeName, _ contentType: ContentType, about subject: Subject,
    at time: Timestamp, as given: EventID? = nil, in conversation: EventID? = nil
  ) throws {
    let id = given ?? id(of: payload, at: time)
    try add(
      ImportedEvent(
        id: id, time: time, channel: .persistent, agent: agent(named: "xes"), type: type, subject: subject,
        contentType: contentType, correlation: conversation ?? id, payload: payload))
  }
}
