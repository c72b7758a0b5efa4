import HyphaCore

/// The hand-overs of a recorded process, in recorded order, with the resources that take part.
///
/// ```swift
/// let handOvers = try HandOvers.read(path: "bpic2012.xes.gz")
/// print(handOvers.all.count, handOvers.resources.count)   // 51712 68
/// ```
///
/// **Order.** Events are ordered by time, and by their place in the file where times are equal. Within a
/// case this is the order of the file whenever the file lists the case with nondecreasing times, as
/// exporters do; a case listed otherwise is sorted stably. Hand-overs take the order, and the time, of
/// their receiving events. One rule for both the case and the whole makes a hand-over's predecessor
/// always come before it.
///
/// **Memory.** The hand-overs are held, about 130 bytes each at the peak (measured), and one small
/// record a case; events are not. Only when a case turns out to be listed out of order are the events read
/// a second time, and then those of such cases held (32 bytes each) to be sorted.
public struct HandOvers: Sendable {
  /// The hand-overs; each one's index is its place here.
  public let all: [HandOver]
  /// The resources that take part in a hand-over, each with its group: the one that most of its events
  /// name, the first by name if several are equal, nil if none is named.
  public let resources: [String: String?]
  /// What was read to find the hand-overs.
  public let counts: Counts

  /// How much a recording holds.
  public struct Counts: Hashable, Sendable {
    /// All events.
    public var events = 0
    /// The cases that have an event.
    public var cases = 0
    /// The events that name no resource.
    public var eventsWithoutResource = 0
    /// The resources that events name, whether or not they take part in a hand-over.
    public var namedResources = 0
    /// The cases whose events were not in order of time and were sorted.
    public var reorderedCases = 0

    /// Nothing counted yet.
    public init() {}
  }

  /// What may be held at most. Each bound is cut to 2^29, which keeps numbers in 32 bits.
  public struct Limits: Hashable, Sendable {
    /// The most hand-overs; 5,000,000 unless told.
    public let maximumHandOvers: Int
    /// The most cases; 5,000,000 unless told.
    public let maximumCases: Int
    /// The most resources, and the most pairs of a resource and a group; 1,000,000 unless told.
    public let maximumResources: Int
    /// The most events of cases that are listed out of order; 10,000,000 unless told.
    public let maximumReorderedEvents: Int

    /// Bounds for the extraction; reaching all of the defaults is estimated to take 2 GB.
    public init(
      maximumHandOvers: Int = 5_000_000, maximumCases: Int = 5_000_000,
      maximumResources: Int = 1_000_000, maximumReorderedEvents: Int = 10_000_000
    ) {
      func bounded(_ value: Int) -> Int { max(0, min(value, 1 << 29)) }
      self.maximumHandOvers = bounded(maximumHandOvers)
      self.maximumCases = bounded(maximumCases)
      self.maximumResources = bounded(maximumResources)
      self.maximumReorderedEvents = bounded(maximumReorderedEvents)
    }
  }

  /// A source of events: calls its argument with each event, in the order of the recording.
  public typealias Events = (_ each: (RecordedEvent) throws -> Void) throws -> Void

  /// Extracts the hand-overs from a file of recorded events.
  ///
  /// - Throws: what ``RecordedEvents/read(path:options:_:)`` throws, and `tooLarge` past a limit.
  public static func read(
    path: String, options: RecordedEvents.Options = RecordedEvents.Options(), limits: Limits = Limits()
  ) throws -> HandOvers {
    try HandOvers(name: path, limits: limits) { each in
      try RecordedEvents.read(path: path, options: options, each)
    }
  }

  /// Extracts the hand-overs from `events`, a recording that errors call `name`.
  ///
  /// - Parameter events: called once, and once more if a case is listed out of order; it must give the
  ///   same events both times.
  /// - Throws: what `events` throws; `tooLarge` past a limit; `invalidInput` when the second reading
  ///   differs from the first.
  public init(name: String = "the recording", limits: Limits = Limits(), from events: Events) throws {
    var collector = HandOverCollector(name: name, limits: limits)
    try events { try collector.add($0) }
    if collector.hasCasesOutOfOrder {
      collector.beginSecondReading()
      try events { try collector.addAgain($0) }
      try collector.endSecondReading()
    }
    self = collector.finish()
  }

  init(all: [HandOver], resources: [String: String?], counts: Counts) {
    self.all = all
    self.resources = resources
    self.counts = counts
  }
}
