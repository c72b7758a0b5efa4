public import HyphaCore

/// A reading that is worth something only now: realtime load of a ``Generator``.
public struct Signal: Event {
  public static let eventType: EventTypeName = "load.Signal"
  public static let channel = Channel.realtime
  public var subject: Subject
  /// The place in its generator's load, from 0.
  public var index: Int64
  /// A seeded random walk.
  public var value: Int64
  /// Fills the event up to a size.
  public var padding: String
}

/// Something that wants an answer: alert load of a ``Generator``.
public struct Alarm: Event {
  public static let eventType: EventTypeName = "load.Alarm"
  public static let channel = Channel.alert
  public var subject: Subject
  /// The place in its generator's load, from 0.
  public var index: Int64
  /// A seeded random walk.
  public var value: Int64
  /// Fills the event up to a size.
  public var padding: String
}

/// A fact to keep: persistent load of a ``Generator``.
public struct Entry: Event {
  public static let eventType: EventTypeName = "load.Entry"
  public var subject: Subject
  /// The place in its generator's load, from 0.
  public var index: Int64
  /// A seeded random walk.
  public var value: Int64
  /// Fills the event up to a size.
  public var padding: String
}
