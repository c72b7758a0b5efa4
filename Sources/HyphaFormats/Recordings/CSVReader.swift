import Foundation
import HyphaCore

/// The columns of a table of events. A name that is nil is found among the usual ones.
///
/// Names are compared without regard to case, and the usual ones also without spaces, `_`, `-`, `.` and
/// `:`, so that `Case ID`, `case_id` and `CaseId` are one.
public struct CSVColumns: Hashable, Sendable {
  /// The case; found as `case id`, `case:concept:name`, `case`, `case number`, `trace id`, `trace`.
  public var caseID: String?
  /// The activity; found as `activity`, `concept:name`, `activity name`, `event`, `event name`, `task`.
  public var activity: String?
  /// The resource; found as `resource`, `org:resource`, `user`, `performer`, `actor`, `agent`.
  public var resource: String?
  /// The group; found as `group`, `org:group`, `role`, `org:role`, `department`, `team`. A table may do
  /// without it.
  public var group: String?
  /// The time; found as `timestamp`, `time`, `time:timestamp`, `complete timestamp`, `end timestamp`,
  /// `date time`, `start timestamp`, `date`.
  public var time: String?

  /// Columns by name; what is nil is found among the usual names.
  public init(
    caseID: String? = nil, activity: String? = nil, resource: String? = nil, group: String? = nil,
    time: String? = nil
  ) {
    self.caseID = caseID
    self.activity = activity
    self.resource = resource
    self.group = group
    self.time = time
  }
}

/// Reads the events of a table with a header line.
///
/// Each record must have as many fields as the header. The time is of ``RecordedTime/Form/table``.
struct CSVReader {
  let source: GzipInputStream
  let options: RecordedEvents.Options

  func read(_ body: (RecordedEvent) throws -> Void) throws {
    let delimiter = try options.delimiter ?? CSVDelimiter.detected(in: source.peek())
    let records = CSVRecordReader(source: source, delimiter: delimiter, limits: options.limits)
    guard try records.next() else {
      throw HyphaError(
        .invalidInput, "\(source.path) is empty", remedy: "give a table whose first line names its columns")
    }
    let header = try records.fields()
    let places = try ColumnPlaces(header: header, columns: options.columns, path: source.path)
    while try records.next() {
      guard records.fieldCount == header.count else {
        throw records.error(
          "the record has \(records.fieldCount) fields, the header \(header.count)",
          "quote fields that hold the delimiter or a line end")
      }
      try body(event(records, places))
    }
  }

  private func event(_ records: CSVRecordReader, _ places: ColumnPlaces) throws -> RecordedEvent {
    let caseID = try records.field(places.caseID)
    guard !caseID.isEmpty else { throw records.error("the case is empty", "fill it in, or drop the record") }
    let activity = try records.field(places.activity)
    guard !activity.isEmpty else {
      throw records.error("the activity is empty", "fill it in, or drop the record")
    }
    let text = try records.field(places.time)
    guard let time = RecordedTime.microseconds(text, form: .table) else {
      throw records.error(
        "`\(text.prefix(80))` is not a time",
        "write it as 2011-10-01T00:38:44.546+02:00, as 2011-10-01 00:38:44, or in seconds since 1970")
    }
    return RecordedEvent(
      caseID: caseID, activity: activity, resource: options.named(try records.field(places.resource)),
      group: options.named(try places.group.map { try records.field($0) }), time: time)
  }
}

/// Where the columns stand in the header.
private struct ColumnPlaces {
  let caseID: Int
  let activity: Int
  let resource: Int
  let group: Int?
  let time: Int

  init(header: [String], columns: CSVColumns, path: String) throws {
    let plain = header.map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
    let bare = header.map(Self.bare)
    var missing: [String] = []
    func place(_ wanted: String?, _ role: String, _ usual: [String]) -> Int? {
      if let wanted {
        if let place = plain.firstIndex(of: wanted.lowercased()) { return place }
        missing.append("\(role) `\(wanted)`")
        return nil
      }
      for name in usual { if let place = bare.firstIndex(of: name) { return place } }
      return nil
    }
    func obligatory(_ wanted: String?, _ role: String, _ usual: [String]) -> Int {
      let found = place(wanted, role, usual)
      if found == nil, wanted == nil { missing.append(role) }
      return found ?? 0
    }
    caseID = obligatory(
      columns.caseID, "case", ["caseid", "caseconceptname", "case", "casenumber", "traceid", "trace"])
    activity = obligatory(
      columns.activity, "activity",
      ["activity", "conceptname", "activityname", "event", "eventname", "task"])
    resource = obligatory(
      columns.resource, "resource", ["resource", "orgresource", "user", "performer", "actor", "agent"])
    time = obligatory(
      columns.time, "time",
      [
        "timestamp", "time", "timetimestamp", "completetimestamp", "endtimestamp", "datetime",
        "starttimestamp", "date",
      ])
    group = place(columns.group, "group", ["group", "orggroup", "role", "orgrole", "department", "team"])
    guard missing.isEmpty else {
      let there = header.prefix(50).map { "`\($0.prefix(80))`" }.joined(separator: ", ")
      throw HyphaError(
        .invalidInput, "\(path) line 1: no column for \(missing.joined(separator: ", ")); there are \(there)",
        remedy: "name the columns in the options")
    }
  }

  private static func bare(_ name: String) -> String {
    String(name.lowercased().filter { !" _-.:".contains($0) })
  }
}
