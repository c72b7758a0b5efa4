import HyphaCore
import HyphaLog
import HyphaReplay

/// What a replay looks like on a terminal: events scroll by, and below them a line says where it is and which keys do
/// what.
struct ReplayView {
  /// Where a replay has come.
  enum Place: Sendable { case within, live, end }

  private let region: LiveRegion
  private let style: Style
  private var lines: EntryLines
  private var waiting: [String] = []
  private var drawnAt: Duration?
  /// Where it has come, which the line at the bottom says.
  var place = ReplayPlace()

  /// How often the line at the bottom is drawn at most.
  private static let drawInterval = Duration.milliseconds(80)

  init(region: LiveRegion, style: Style, isNodeShown: Bool) {
    self.region = region
    self.style = style
    lines = EntryLines(style: style, isNodeShown: isNodeShown)
  }

  mutating func add(_ replayed: ReplayedEntry, width: Int) throws {
    place.meet(replayed.entry.record.time, isShown: true)
    waiting += try lines.lines(replayed, width: width)
  }

  /// Draws anew on a terminal that was somebody else's.
  mutating func resume() {
    region.forgetDrawn()
    drawnAt = nil
  }

  mutating func addMark(_ text: String) { waiting.append(style.yellow(text)) }

  /// Shows what was added, and the line at the bottom where it is old.
  mutating func draw(
    _ player: ReplayPlayer, _ place: Place, count: Int, now: Duration, force: Bool = false
  ) throws {
    let isDue = drawnAt.map { now - $0 >= Self.drawInterval } ?? true
    guard force || isDue || waiting.count > 64 else { return }
    if !waiting.isEmpty {
      try region.writeAbove(waiting.joined(separator: "\n"))
      waiting = []
    }
    drawnAt = now
    try region.draw([status(player, place, count), keys])
  }

  private func status(_ player: ReplayPlayer, _ place: Place, _ count: Int) -> String {
    let state =
      switch place {
      case .end: style.yellow("■ end")
      case .within where player.pace.isPaused: style.yellow("⏸ paused")
      case .live where player.pace.isPaused: style.yellow("⏸ paused")
      case .live: style.green("● live")
      case .within: style.green("▶ \(rate(player.pace))")
      }
    let time = self.place.time.map { String($0.text.prefix(19)).replacing("T", with: " ") } ?? "–"
    var parts = [state, time, "\(Human.count(count)) shown"]
    if player.leftCount > 0 { parts.append("\(Human.count(player.leftCount)) entries left") }
    if player.pace.isPaused { parts.append(rate(player.pace)) }
    return parts.joined(separator: style.dim("  │  "))
  }

  private func rate(_ pace: ReplayPace) -> String {
    guard case .times(let times) = pace.rate else { return "max" }
    return times >= 1
      ? "\(Human.decimal(times, digits: times == times.rounded() ? 0 : 1))×"
      : "1/\(Human.decimal(1 / times, digits: 0))×"
  }

  private var keys: String {
    style.dim("space pause  n step  + - speed  m max  ← → 10 s  ↑ ↓ 1 min  home begin  q quit")
  }
}
