import Foundation
import HyphaCore

/// Reads CloudEvents 1.0 in the JSON event format, one event a line.
///
/// The case is `subject`, the activity `type`, the resource `source`, and the group the extension attribute
/// `group`. `specversion`, `id`, `source` and `type` are obligatory by the specification (CloudEvents 1.0.2,
/// "Required attributes"), `subject` and `time` because an event without them has no place in a
/// recording. `data` is not looked at. That `source` and `id` are unique together is not checked.
struct CloudEventsReader {
  let source: GzipInputStream
  let options: RecordedEvents.Options

  func read(_ body: (RecordedEvent) throws -> Void) throws {
    let lines = LineReader(source, limits: options.limits)
    let decoder = JSONDecoder()
    while let line = try lines.next() {
      if line.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
      let event: CloudEvent
      do {
        event = try decoder.decode(CloudEvent.self, from: Data(line.utf8))
      } catch {
        throw problem(lines, Self.explain(error), "write one JSON object a line, as CloudEvents 1.0 asks")
      }
      try body(recorded(event, lines))
    }
  }

  private func recorded(_ event: CloudEvent, _ lines: LineReader) throws -> RecordedEvent {
    func attribute(_ value: String?, _ name: String, _ remedy: String) throws -> String {
      guard let value else { throw problem(lines, "`\(name)` is missing", remedy) }
      guard !value.isEmpty else { throw problem(lines, "`\(name)` is empty", remedy) }
      return value
    }
    let required = "CloudEvents 1.0 requires specversion, id, source and type"
    let version = try attribute(event.specversion, "specversion", required)
    guard version == "1.0" else {
      throw problem(lines, "`specversion` is \(version.prefix(80))", "convert the event to CloudEvents 1.0")
    }
    _ = try attribute(event.id, "id", required)
    let source = try attribute(event.source, "source", required)
    let type = try attribute(event.type, "type", required)
    let subject = try attribute(event.subject, "subject", "give each event its case as subject")
    let time = try attribute(event.time, "time", "give each event its time, such as 2011-10-01T00:38:44Z")
    guard let microseconds = RecordedTime.microseconds(time, form: .rfc3339) else {
      throw problem(
        lines, "`\(time.prefix(80))` is not a time", "write it as RFC 3339 asks: 2011-10-01T00:38:44+02:00")
    }
    return RecordedEvent(
      caseID: subject, activity: type, resource: options.named(source), group: options.named(event.group),
      time: microseconds)
  }

  private func problem(_ lines: LineReader, _ text: String, _ remedy: String) -> HyphaError {
    HyphaError(.invalidInput, "\(source.path) line \(lines.lineNumber): \(text)", remedy: remedy)
  }

  private static func explain(_ error: any Error) -> String {
    if case .typeMismatch(_, let context)? = error as? DecodingError, let key = context.codingPath.last {
      return "`\(key.stringValue)` is not a string"
    }
    if case .typeMismatch? = error as? DecodingError { return "the line is not a JSON object" }
    return "the line is not valid JSON"
  }
}

/// The attributes that are looked at.
private struct CloudEvent: Decodable {
  let specversion: String?
  let id: String?
  let source: String?
  let type: String?
  let subject: String?
  let time: String?
  let group: String?
}
