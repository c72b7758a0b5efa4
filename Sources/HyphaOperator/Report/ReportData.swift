import HyphaCore
import HyphaReplay

/// What the page is given, as JSON. Times are in microseconds: those in ``Time`` and at changes from the begin of the first step,
/// without the pauses that are cut out before them.
struct ReportData: Encodable {
  struct Time: Encodable {
    /// When the first step begins, since 1970; how wide a step is, and how many there are.
    let start, width: UInt64
    let count: Int
    /// The first and the last event.
    let first, last: Int64
    /// The pauses that are cut out, the earliest first.
    let pauses: [Pause]
  }

  struct Pause: Encodable {
    /// When it began, and how long it would go on.
    let at: Int64
    let cut: UInt64
  }

  struct ChannelData: Encodable {
    let name: String
    let events, bytes: UInt64
    /// Events by step.
    let series: [UInt32]
    let commit, travel, answer: Percentiles?
    /// Three numbers each: step, row, how many.
    let heat: [Int]
    let heatOf: String
  }

  struct Percentiles: Encodable {
    let count, p50, p90, p99, max: UInt64

    /// Nil where nothing was measured.
    init?(_ histogram: MicrosecondHistogram) {
      guard let p50 = histogram.percentile(0.5), let p90 = histogram.percentile(0.9),
        let p99 = histogram.percentile(0.99)
      else { return nil }
      (count, max) = (histogram.count, histogram.maximum)
      (self.p50, self.p90, self.p99) = (p50, p90, p99)
    }
  }

  struct TypeCount: Encodable {
    let name: String
    let events: UInt64
  }

  struct AgentData: Encodable {
    let name: String
    /// The place of its node, and of its supervisor among the agents; −1 where there is none.
    let node, parent: Int
    let kind: String?
    let sent, got: UInt64
  }

  struct PairData: Encodable {
    /// Places among the agents.
    let from, to: Int
    let events: UInt64
    /// Two numbers each: step, how many.
    let at: [Int]
  }

  struct LinkData: Encodable {
    let one, other: String
    let from: Int64
    let to: Int64?
    let version: UInt32
    let pinned: Bool

    enum CodingKeys: String, CodingKey { case one, other, from, to, version, pinned }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(one, forKey: .one)
      try container.encode(other, forKey: .other)
      try container.encode(from, forKey: .from)
      // The page tells a link that stays by its null.
      try container.encode(to, forKey: .to)
      try container.encode(version, forKey: .version)
      try container.encode(pinned, forKey: .pinned)
    }
  }

  struct VersionData: Encodable {
    let version: UInt32
    let at: Int64
    let links: Int
  }

  struct ChangeData: Encodable {
    let at: Int64
    let version: UInt32
    let cause: String
    /// The ends of the link that was made.
    let made: [String]?
    let gone: [[String]]
    /// In 1/65,536 hop.
    let credit, threshold: Int64
    /// In hops.
    let ledger: Int64
  }

  struct RulingData: Encodable {
    let at: Int64
    let by, what: String
    let note: String?
  }

  struct IncidentData: Encodable {
    let at: Int64
    let kind, agent, text: String
  }

  struct LossData: Encodable {
    struct ChannelRow: Encodable {
      let channel: String
      let forAgents, delivered, lost, waiting, unknown: UInt64
      /// Events, each once, and from publication to the handler, of the channel that no log has.
      let published: UInt64?
      let handled: Percentiles?
    }

    struct Row: Encodable {
      let agent, from, channel, lane, cause, at: String
      let count: UInt64
    }

    let channels: [ChannelRow]
    let rows: [Row]
    /// How many rows are not listed.
    let more: Int
  }

  struct LogData: Encodable {
    let node: String
    let head, stated, received: UInt64
    let first, last: String?
    let pruned, quarantined: UInt64
    /// The link of the chain at the head, in hexadecimal digits.
    let link: String?
  }

  struct Counts: Encodable {
    /// Alerts of agents, and those of them that somebody has answered.
    let alerts, answered: Int
    /// Answers to them, one of each agent that answered; to what the bus has stated; and to what is not known here.
    let answers, busAnswers, strayAnswers: Int
    let escalated, unanswered, deadLetters, settled, failures, overdue, stopped, restarts: Int
  }

  /// What the page says it does not show.
  struct LeftOut: Encodable {
    let agents, changes: Int
    let pairEvents, broadcasts, types, names, undated: UInt64
    let undecoded: Int
    let incidents: [String: Int]
  }

  let format = 1
  let name, program, made, command: String
  let time: Time
  let entries, events, copies: UInt64
  let agentCount: Int
  let channels: [ChannelData]
  /// The longest duration of each row of the heat maps.
  let heatRows: [UInt64]
  let types: [TypeCount]
  let nodes: [String]
  let agents: [AgentData]
  /// Where the hierarchy is from: `log`, `file` or `none`; and the traffic: `reported` or `logged`.
  let tree, traffic: String
  let pairs: [PairData]
  let links: [LinkData]
  let versions: [VersionData]
  let changes: [ChangeData]
  let rulings: [RulingData]
  let incidents: [IncidentData]
  let counts: Counts
  let losses: LossData
  let logs: [LogData]
  let leftOut: LeftOut
}
