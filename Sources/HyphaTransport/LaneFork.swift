public import HyphaCore

/// Two histories of one lane behind one event: what was delivered here, and what another side says. They are never
/// merged. What was delivered stays, and the fork is reported with the evidence of both sides.
public struct LaneFork: Sendable, Hashable {
  /// How the lane goes on.
  public enum Kind: String, Sendable, Hashable, Codable {
    /// The origin has opened a new epoch behind ``LaneFork/common``: it had sent what was kept here, and lost it when it
    /// ended uncleanly. The lane goes on with the new epoch.
    case lost
    /// Another event claims a place, within one epoch, that the lane has passed: two have numbered it, or its origin has
    /// lost its disk. It is not taken.
    case contradicted
  }

  /// One side's evidence: an event by its place and id.
  public struct Claim: Sendable, Hashable {
    public var point: LanePoint
    /// ``EventID/none`` where it is not known.
    public var event: EventID

    /// A claim by its parts.
    public init(point: LanePoint, event: EventID) {
      self.point = point
      self.event = event
    }
  }

  /// How the lane goes on.
  public var kind: Kind
  /// The last event that both sides have, as the other side says.
  public var common: LanePoint
  /// The last event that was delivered here and that the other side lacks.
  public var kept: Claim
  /// The first event that the other side has in its place.
  public var other: Claim

  /// A fork by its parts.
  public init(kind: Kind, common: LanePoint, kept: Claim, other: Claim) {
    self.kind = kind
    self.common = common
    self.kept = kept
    self.other = other
  }
}

extension LaneFork: CustomStringConvertible {
  /// What happened, in one sentence without a subject.
  public var description: String {
    switch kind {
    case .lost: "events up to \(kept.point) were taken that their origin lost after \(common)"
    case .contradicted:
      "event \(other.point) claims to follow \(common), but the lane was taken up to \(kept.point)"
    }
  }
}
