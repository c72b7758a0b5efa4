import HyphaCore

/// The rule: what is learned of questions, and what follows from it.
///
/// Each repeat (an ask that a copy has answered, or would have) counts one, and each changed answer four against it. A
/// question is promoted where its *credit*, counted from when it last came or went, reaches the charge, and it has repeated eight times
/// as often as it changed lately. It is retired where copies and changes cost more than they save lately, and where nobody has
/// asked it for long. Evidence fades with the number of asks of all questions. The nodes that use the copies of an ambient question
/// again and again are its *audience*, until they have not done so for long.
extension AmbientSeat {
  /// What is known of one question; weights as ``Decay`` has them.
  struct Item: Sendable, Codable {
    var key: QuestionKey
    var sample: String?
    var asks: Int64 = 0
    var repeats: Int64 = 0
    var changes: Int64 = 0
    var stated: Int64 = 0
    var credit: Int64 = 0
    /// Answers from copies since it was promoted, whole.
    var saved: Int64 = 0
    /// Up to which step it has faded, and in which report it was last.
    var step: Int64
    var report: Int64
    /// Whose agents were answered from copies since it was promoted; nil for nobody's.
    var users: [User]?

    /// What it costs lately, in what it saves.
    var cost: Int64 { stated + 4 * changes }
  }

  /// A node whose agents were answered from copies.
  struct User: Sendable, Codable {
    var node: NodeID
    /// In how many of its reports, up to what makes it one of an audience, and in which of all reports last.
    var times: Int64
    var report: Int64
  }

  /// The least cost that is worth a look.
  static var costMin: Int64 { 8 * Decay.one }

  /// Learns from a report. Returns what it calls for.
  mutating func observe(_ report: QuestionsReported) -> [QuestionChange] {
    var touched: [QuestionKey] = []
    for line in report.questions.prefix(QuestionMeter.lineCountMax) where agents.contains(line.key.answerer) {
      learn(line, from: report.node)
      if !touched.contains(line.key) { touched.append(line.key) }
    }
    guard mode != .off, memory.isActive, !isFrozen else { return [] }
    var changes: [QuestionChange] = []
    var view = memory.view
    func note(_ change: QuestionChange?) {
      guard let change else { return }
      changes.append(change)
      let gone = Set(change.retired)
      var promoted = view.promoted.filter { !gone.contains($0.key) }
      if let key = change.promoted { promoted.append(.init(key, version: 0)) }
      view.apply(
        QuestionsChanged(
          version: view.version + 1, changes: [], promoted: promoted, forbidden: view.forbidden))
    }
    for key in touched where changes.count < QuestionMeter.lineCountMax {
      note(view.isPromoted(key) ? (mode == .suggest ? nil : retirement(of: key)) : promotion(of: key, view))
      if let change = audience(of: key, view) { changes.append(change) }
    }
    if mode == .auto, let idle = idle(view) { note(idle) }
    return changes
  }

  private mutating func learn(_ line: QuestionsReported.Line, from node: NodeID) {
    func bounded(_ count: Int) -> Int64 { Int64(min(max(0, count), Limits.lineCount)) }
    let (asks, local) = (bounded(line.asks), bounded(line.local))
    memory.askCount += asks + local
    guard let place = place(of: line.key) else { return }
    let (repeats, changes) = (min(bounded(line.repeats), asks), min(bounded(line.changes), asks))
    fade(place)
    func add(_ path: WritableKeyPath<Item, Int64>, _ count: Int64) {
      let sum = memory.items[place][keyPath: path] + count * Decay.one
      memory.items[place][keyPath: path] = min(max(0, sum), Decay.weightMax)
    }
    add(\.asks, asks + local)
    add(\.repeats, repeats + local)
    add(\.changes, changes)
    add(\.stated, bounded(line.stated))
    add(\.credit, repeats + local - 4 * changes)
    memory.items[place].saved = min(memory.items[place].saved + local, Decay.weightMax)
    memory.items[place].sample =
      line.sample.map { String($0.prefix(QuestionMeter.sampleByteCountMax)) }
      ?? memory.items[place].sample
    memory.items[place].report = memory.reportCount
    noteUsers(of: place, and: local > 0 && memory.view.isPromoted(line.key) ? node : nil)
  }

  /// Forgets who has not used copies for long, and takes note of who has.
  private mutating func noteUsers(of place: Int, and user: NodeID?) {
    var users = memory.items[place].users ?? []
    users.removeAll { memory.reportCount - $0.report > idleReportCount }
    if let user {
      if let known = users.firstIndex(where: { $0.node == user }) {
        guard users[known].report < memory.reportCount else { return }
        users[known].times = min(users[known].times + 1, Limits.audienceReportCount)
        users[known].report = memory.reportCount
      } else if users.count < Limits.audienceCounts.upperBound {
        users.append(User(node: user, times: 1, report: memory.reportCount))
      }
    }
    memory.items[place].users = users.isEmpty ? nil : users
  }

  /// Takes for users of copies who is said to be, where nothing is known of them: another seat has seen what this one has not.
  mutating func learnAudiences() {
    for question in memory.stated.promoted {
      guard let place = memory.items.firstIndex(where: { $0.key == question.key }) else { continue }
      var users = memory.items[place].users ?? []
      for node in question.audience ?? [] where !users.contains(where: { $0.node == node }) {
        users.append(User(node: node, times: Limits.audienceReportCount, report: memory.reportCount))
      }
      memory.items[place].users = users.isEmpty ? nil : users
    }
  }

  private var step: Int64 { memory.askCount / Int64(decay.eventsPerStep) }

  private mutating func fade(_ place: Int) {
    let steps = Int32(clamping: step - memory.items[place].step)
    guard steps > 0 else { return }
    for path in [\Item.asks, \.repeats, \.changes, \.stated, \.credit] {
      memory.items[place][keyPath: path] = decay.decayed(memory.items[place][keyPath: path], steps: steps)
    }
    memory.items[place].step = step
  }

  /// The place of a question; a newcomer takes that of the least of eight that are not ambient. Nil where all of those are.
  private mutating func place(of key: QuestionKey) -> Int? {
    if let known = memory.items.firstIndex(where: { $0.key == key }) { return known }
    let item = Item(key: key, step: step, report: memory.reportCount)
    guard memory.items.count >= Limits.itemCount else {
      memory.items.append(item)
      return memory.items.count - 1
    }
    var least: Int?
    for _ in 0..<8 {
      memory.draw = memory.draw &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let place = Int(memory.draw >> 33) % memory.items.count
      if memory.view.isPromoted(memory.items[place].key) { continue }
      if least.map({ memory.items[place].asks < memory.items[$0].asks }) ?? true { least = place }
    }
    if let least { memory.items[least] = item }
    return least
  }

  // MARK: Decisions

  private mutating func promotion(of key: QuestionKey, _ view: AmbientView) -> QuestionChange? {
    guard let place = memory.items.firstIndex(where: { $0.key == key }), !view.forbidden.contains(key) else {
      return nil
    }
    let item = memory.items[place]
    let charge = Limits.charge * Decay.one
    guard item.credit >= charge, item.repeats >= 8 * item.changes else { return nil }
    guard let displaced = displaced(for: item, view) else { return nil }
    let threshold = Limits.charge * Int64(1 + displaced.count)
    var change = QuestionChange(
      cause: .earned, promoted: key, retired: displaced, evidence: evidence(item, threshold: threshold),
      sample: item.sample)
    change.evidence?.saved = 0
    spend(key)
    for key in displaced { spend(key) }
    return change
  }

  /// What has to go so that a question has room; nil where it has not shown itself worth more.
  func displaced(for item: Item, _ view: AmbientView, isOrdered: Bool = false) -> [QuestionKey]? {
    let own = view.promoted.filter { $0.key.answerer == item.key.answerer }
    let rivals =
      own.count >= Limits.answererCount ? own : view.promoted.count >= Limits.count ? view.promoted : []
    guard !rivals.isEmpty else { return [] }
    func weight(_ key: QuestionKey) -> Int64 { memory.items.first { $0.key == key }?.repeats ?? 0 }
    guard let weakest = rivals.map(\.key).min(by: { (weight($0), $0) < (weight($1), $1) }) else { return [] }
    let charges = 2 * Limits.charge * Decay.one
    let isWorth = item.credit >= charges && item.repeats >= weight(weakest) + charges * 3 / 4
    return isWorth || isOrdered ? [weakest] : nil
  }

  private mutating func retirement(of key: QuestionKey) -> QuestionChange? {
    guard let item = memory.items.first(where: { $0.key == key }), item.cost >= Self.costMin,
      item.cost > item.repeats
    else { return nil }
    defer { spend(key) }
    return QuestionChange(
      cause: .changing, promoted: nil, retired: [key], evidence: evidence(item, threshold: 0),
      sample: item.sample)
  }

  /// Who is to be given the fresh answers to a question, where that is somebody else than now.
  private func audience(of key: QuestionKey, _ view: AmbientView) -> QuestionChange? {
    guard let known = view.promoted.first(where: { $0.key == key }),
      let item = memory.items.first(where: { $0.key == key })
    else { return nil }
    let users = (item.users ?? []).filter { $0.times >= Limits.audienceReportCount }
    var nodes = users.map(\.node).sorted()
    if nodes.count < Limits.audienceCounts.lowerBound { nodes = [] }
    let before = known.audience ?? []
    guard nodes != before else { return nil }
    return QuestionChange(
      cause: nodes.contains { !before.contains($0) } ? .earned : .idle, promoted: nil, retired: [],
      evidence: evidence(item, threshold: 0), sample: item.sample,
      audience: AnswerAudience(question: key, nodes: nodes))
  }

  /// The question that nobody has asked for longest, where that is long.
  private mutating func idle(_ view: AmbientView) -> QuestionChange? {
    func last(_ key: QuestionKey) -> Int64 { memory.items.first { $0.key == key }?.report ?? 0 }
    guard let key = view.promoted.map(\.key).min(by: { (last($0), $0) < (last($1), $1) }),
      memory.reportCount - last(key) > idleReportCount
    else { return nil }
    let item = memory.items.first { $0.key == key }
    defer { spend(key) }
    return QuestionChange(
      cause: .idle, promoted: nil, retired: [key], evidence: item.map { evidence($0, threshold: 0) },
      sample: item?.sample)
  }

  /// What was paid for with, and what it has saved, counts no more.
  mutating func spend(_ key: QuestionKey) {
    guard let place = memory.items.firstIndex(where: { $0.key == key }) else { return }
    (memory.items[place].credit, memory.items[place].saved, memory.items[place].users) = (0, 0, nil)
  }

  // MARK: Evidence

  /// What is known of a question lately; nil where it was not seen, or was forgotten.
  public func evidence(of key: QuestionKey) -> QuestionEvidence? {
    memory.items.first { $0.key == key }.map { evidence($0, threshold: Limits.charge) }
  }

  /// The questions that are remembered with what was seen of them, most asked first.
  public var known: [(key: QuestionKey, sample: String?, evidence: QuestionEvidence)] {
    memory.items.map { ($0.key, $0.sample, evidence($0, threshold: Limits.charge)) }.sorted {
      ($1.2.asks, $0.0) < ($0.2.asks, $1.0)
    }
  }

  func evidence(_ item: Item, threshold: Int64) -> QuestionEvidence {
    QuestionEvidence(
      asks: item.asks >> 16, repeats: item.repeats >> 16, changes: item.changes >> 16,
      stated: item.stated >> 16, credit: item.credit >> 16, threshold: threshold, saved: item.saved)
  }
}
