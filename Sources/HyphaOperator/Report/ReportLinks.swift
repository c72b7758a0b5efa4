import HyphaCore
import HyphaTopology

/// How direct links came and went, as logs have it: a fold of ``LinksChanged``, in bounded memory. Pure.
struct ReportLinks {
  /// A link from when it came until it went.
  struct Interval {
    let link: DirectLink
    /// In microseconds.
    let from: UInt64
    var to: UInt64?
    let version: UInt32
    var isPinned: Bool
  }

  /// One change, with its evidence.
  struct Change {
    let time: UInt64
    let version: UInt32
    let change: LinkChange
  }

  /// What an operator has asked for, or was told.
  struct Ruling {
    let time: UInt64
    let by: String
    let what: String
    let note: String?
  }

  /// The most of each that are kept.
  static let (intervalCountMax, changeCountMax, rulingCountMax) = (8_192, 4_096, 512)

  private(set) var version: UInt32 = 0
  private(set) var intervals: [Interval] = []
  private(set) var changes: [Change] = []
  private(set) var rulings: [Ruling] = []
  /// When each version came, and how many links there were then.
  private(set) var versions: [(version: UInt32, time: UInt64, linkCount: Int)] = []
  /// Changes that were not kept.
  private(set) var leftOutCount = 0
  private var open: [DirectLink: Int] = [:]

  init() {}

  /// The links that a topology begins with.
  init(version: UInt32, pins: [DirectLink]) {
    self.version = version
    for pin in pins { begin(pin, at: 0, isPinned: true) }
  }

  mutating func apply(_ event: LinksChanged, at time: UInt64) {
    guard event.version > version else { return }
    version = event.version
    if let begun = event.begun { take(begun, at: time) }
    for change in event.changes {
      for end in change.retired { finish(end.link, at: time) }
      if let end = change.promoted { begin(end.link, at: time, isPinned: false) }
      switch change.rule {
      case .pin(let link): if let place = open[link] { intervals[place].isPinned = true }
      case .unpin(let link): if let place = open[link] { intervals[place].isPinned = false }
      default: break
      }
      if changes.count < Self.changeCountMax {
        changes.append(Change(time: time, version: version, change: change))
      } else {
        leftOutCount += 1
      }
    }
    if versions.count < Self.intervalCountMax { versions.append((version, time, open.count)) }
  }

  /// A term of the observer's seat begins: what it does not have is gone.
  private mutating func take(_ begun: SeatBegun, at time: UInt64) {
    let kept = Set(begun.links.map(\.link))
    for link in open.keys.sorted() where !kept.contains(link) { finish(link, at: time) }
    for known in begun.links {
      begin(known.link, at: time, isPinned: known.state.isPinned)
      if let place = open[known.link] { intervals[place].isPinned = known.state.isPinned }
    }
  }

  mutating func note(_ ruling: Ruling) {
    if rulings.count < Self.rulingCountMax { rulings.append(ruling) }
  }

  private mutating func begin(_ link: DirectLink, at time: UInt64, isPinned: Bool) {
    guard open[link] == nil, intervals.count < Self.intervalCountMax else { return }
    open[link] = intervals.count
    intervals.append(Interval(link: link, from: time, to: nil, version: version, isPinned: isPinned))
  }

  private mutating func finish(_ link: DirectLink, at time: UInt64) {
    if let place = open.removeValue(forKey: link) { intervals[place].to = time }
  }
}
