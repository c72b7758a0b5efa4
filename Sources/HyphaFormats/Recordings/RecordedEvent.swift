/// One event of a recorded process: in a case, an activity was done by a resource at a time.
///
/// The words are those of the event log standard (IEEE 1849, XES): a *case* is one run of a process, a
/// *resource* who or what did the work, a *group* the department or role it belongs to.
public struct RecordedEvent: Hashable, Sendable {
  /// The case that the event belongs to; never empty.
  public var caseID: String
  /// What was done; never empty.
  public var activity: String
  /// Who did it, or nil when the recording does not say.
  public var resource: String?
  /// The resource's group or role, or nil when the recording does not say.
  public var group: String?
  /// When, in microseconds since 1970-01-01T00:00:00Z.
  public var time: Int64

  /// An event of the case `caseID` at `time`, in microseconds since 1970.
  public init(
    caseID: String, activity: String, resource: String? = nil, group: String? = nil, time: Int64
  ) {
    self.caseID = caseID
    self.activity = activity
    self.resource = resource
    self.group = group
    self.time = time
  }
}
