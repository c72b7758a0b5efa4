public import HyphaCore
import HyphaLog
import HyphaTopology
import Synchronization

/// What an agent's commit has done that its other events do not say: which inputs it has handled with no word of its own, and what
/// the log keeps of the agent since then. So a node that has lost its disk knows it from its replicas (docs/guarantees.md).
///
/// An agent whose node has replicas states it, to nobody, in that commit and behind all else in it.
public struct InputsHandled: Event {
  public static let eventType = EventTypeName.inputsHandled
  /// The agent.
  public var agent: AgentID
  /// How many persistent events right before this one are of the same commit. Where one of them is not there, this does not count.
  public var besideCount: Int
  /// The inputs.
  public var inputs: [EventID]
  /// How large what the log keeps of the agent is (``AgentSnapshot``, without what is to be tried again), where the commit has
  /// changed it; nil where it has not.
  public var snapshotByteCount: Int?
  /// That; nil where it is larger than ``snapshotByteCountMax``, or too large for a record.
  var snapshot: Base64Bytes?

  public var subject: Subject { Subject(slug: "hypha.agent.\(agent)") }

  /// The most bytes of a state with its timers that a commit has for the replicas.
  public static let snapshotByteCountMax = StateCheckpointed.snapshotByteCountMax

  init(of agent: AgentID, besideCount: Int, inputs: [EventID], snapshot: [UInt8]?) {
    self.agent = agent
    self.besideCount = besideCount
    self.inputs = inputs
    snapshotByteCount = snapshot?.count
    self.snapshot = snapshot.flatMap { $0.count <= Self.snapshotByteCountMax ? Base64Bytes($0) : nil }
  }
}

/// The inputs that an agent has handled since its last commit, where its node has replicas. Pure.
///
/// Bound: those of one commit.
struct KeptInputs: Sendable {
  /// The agent's node; nil where that has no replicas, and nothing is kept.
  private let node: NodeID?
  private var ids: [EventID] = []
  /// Whether anything came from elsewhere than the node itself.
  private var isFromElsewhere = false
  /// Whether the newest state was given to replicas in a commit that waited for none, or not since the agent began.
  private var isStateOwed: Bool

  init(of node: NodeID? = nil, owesState: Bool = false) { (self.node, isStateOwed) = (node, owesState) }

  /// Takes note of an input whose handler has returned.
  mutating func handled(_ header: @autoclosure () -> RecordHeader, _ channel: Channel) {
    guard let node, channel.isLogged else { return }
    let header = header()
    // What a node states itself is lost with its disk: nobody gives it again.
    guard header.agent != node.author else { return }
    ids.append(header.id)
    isFromElsewhere = true
  }

  /// What a commit is to name: the inputs that none of its persistent events are caused by. Begins anew.
  mutating func take(silent drafts: [Draft]) -> KeptInputs {
    guard node != nil else { return self }
    defer { (ids, isFromElsewhere) = ([], false) }
    var taken = self
    let told = Set(
      drafts.lazy.filter { $0.channel == .persistent || $0.type == AlertAcknowledged.eventType }.map(
        \.causation))
    taken.ids.removeAll { told.contains($0) }
    return taken
  }

  /// Whether the agent's node has replicas.
  var isKept: Bool { node != nil }
  var silent: [EventID] { ids }

  /// On how many replicas it is to be. A commit without logged inputs (of wakes, of realtime events) waits for none, nor does one
  /// of what the node has told itself: that something is in doubt is such a word.
  func level(of settings: ReplicationSettings) -> Int { isFromElsewhere ? settings.level : 0 }

  /// Whether a commit that waits for replicas is to have the state though it has not changed it: what leaves with it came of that.
  func owesState(at level: Int?, _ settings: ReplicationSettings) -> Bool {
    isKept && isStateOwed && (level ?? self.level(of: settings)) > 0
  }

  /// A commit has had a state, and waits for so many replicas.
  mutating func told(state: [UInt8]?, at level: Int?) {
    if state != nil { isStateOwed = (level ?? 0) == 0 }
  }
}

extension AgentCell {
  /// What the agent's replicas are to have of a commit beside its other events; nil for nothing.
  ///
  /// - Parameter state: the state as it is to be saved; nil where it is not.
  func keepWithReplicas(
    _ kept: KeptInputs, _ state: [UInt8]?, _ drafts: [Draft], _ batch: borrowing Batch<Kind>
  ) throws -> Draft? {
    guard kept.isKept, !kept.silent.isEmpty || state != nil else { return nil }
    let besideCount = drafts.count { $0.channel == .persistent }
    var snapshot: AgentSnapshot?
    if let state {
      // Places of this log mean nothing in another.
      var agenda = batch.agenda
      agenda.retries = DueTable()
      snapshot = AgentSnapshot(state: state, stateVersion: Kind.stateVersion, agenda: agenda)
      if Kind.evolves.isUsed {
        let end = outbox.withLock { $0.end(of: .persistent) }
        snapshot?.coverage = .init(
          point: LanePoint(epoch: end.epoch, sequence: end.sequence + UInt64(besideCount)))
      }
    }
    let event = InputsHandled(
      of: spec.id, besideCount: besideCount, inputs: kept.silent, snapshot: snapshot?.bytes)
    var draft = try Draft(bus: event, to: nil, services.newEvent(), because: nil)
    if draft.payload.count > services.limits.payloadByteCountMax {
      var smaller = event
      smaller.snapshot = nil
      draft = try Draft(bus: smaller, to: nil, services.newEvent(), because: nil)
    }
    // Where records may be so small that not even the ids have room, the inputs are handled again.
    return draft.payload.count <= services.limits.payloadByteCountMax ? draft : nil
  }
}

/// What came back from replicas of the agents' work that is in none of their other events.
///
/// - Complexity: 16 bytes for each persistent event that came back, while it is read.
struct KeptAgents {
  /// By agent.
  private(set) var inputs: [AgentID: [EventID]] = [:]
  /// What a log is to keep of each agent, as of the newest commit of those that came back whole.
  private(set) var snapshots: [AgentID: [UInt8]] = [:]

  /// What agents have said, as it is read.
  struct Reading {
    /// Their persistent events that there are.
    var points: [AgentID: Set<LanePoint>] = [:]
    /// What they have said of commits, in any order.
    var said: [(point: LanePoint, event: InputsHandled)] = []
    /// What they had when they were moved to a node that has told its replicas so.
    var brought: [AgentID: [(point: LanePoint, part: MoveKept)]] = [:]
    /// Where they have gone on from what came back.
    var returns: [AgentID: [LanePoint]] = [:]

    /// Takes what an agent has stated in some epochs.
    mutating func take(of agent: AgentID, _ epochs: ClosedRange<UInt64>, in log: any LogReader) throws {
      let start = LanePoint(epoch: epochs.lowerBound - 1, sequence: .max)
      for lane in try log.laneHeads().keys where lane.agent == agent && lane.channel == .persistent {
        for position in try log.positions(ofLane: lane, after: start) {
          guard let record = try log.entry(at: position)?.record, epochs.contains(record.epoch) else { break }
          try take(record)
        }
      }
    }

    mutating func take(_ record: Record) throws {
      guard record.channel == .persistent else { return }
      points[record.agent, default: []].insert(record.point)
      switch record.type {
      case InputsHandled.eventType:
        guard let event = try? InputsHandled.decode(record), event.agent == record.agent else { return }
        said.append((record.point, event))
      case MoveKept.eventType:
        guard let part = try? MoveKept.decode(record), part.order.agent == record.agent, part.hasArrived
        else {
          return
        }
        brought[record.agent, default: []].append((record.point, part))
      case AgentActivated.eventType:
        guard try AgentActivated.decode(record).hasReturned == true else { return }
        returns[record.agent, default: []].append(record.point)
      default: break
      }
    }
  }

  /// - Parameter through: what came back lies up to there.
  init(in log: any LogReader, through: UInt64) throws {
    var reading = Reading()
    try log.visit(Position(rawValue: 1)...Position(rawValue: max(1, through)), .forward) { view in
      try reading.take(Record(view.record))
      return true
    }
    self.init(reading)
  }

  init(_ reading: Reading) {
    let points = reading.points
    // What an agent was moved with is its state until its commits there say another.
    var states: [AgentID: LanePoint] = [:]
    for (agent, parts) in reading.brought {
      guard let (point, handover) = Self.newest(of: parts), let snapshot = handover.snapshot?.bytes else {
        continue
      }
      (states[agent], snapshots[agent]) = (point, snapshot)
    }
    // A commit that came back whole has the state after all before it, whatever became of their other events; but for those that had
    // not come back whole when its agent went on from what had.
    var before: [AgentID: [InputsHandled]] = [:]
    var last: [AgentID: LanePoint] = [:]
    for (point, event) in reading.said.sorted(by: { $0.point < $1.point }) {
      let since = last.updateValue(point, forKey: event.agent) ?? .start
      if reading.returns[event.agent]?.contains(where: { since < $0 && $0 < point }) ?? false {
        before[event.agent] = nil
      }
      before[event.agent, default: []].append(event)
      let first = point.sequence - min(point.sequence - 1, UInt64(max(0, event.besideCount)))
      let isWhole = (first..<point.sequence).allSatisfy {
        points[event.agent]?.contains(LanePoint(epoch: point.epoch, sequence: $0)) ?? false
      }
      guard isWhole else { continue }
      for event in before.removeValue(forKey: event.agent) ?? [] {
        inputs[event.agent, default: []] += event.inputs
        // One that is too large takes the place of those before it: an older state would miss what was handled since.
        if event.snapshotByteCount != nil, point > states[event.agent] ?? .start {
          snapshots[event.agent] = event.snapshot?.bytes
        }
      }
    }
  }

  /// What an agent had when it was moved last, of which all parts are there.
  private static func newest(of parts: [(point: LanePoint, part: MoveKept)]) -> (LanePoint, Handover)? {
    var (bytes, whole): ([UInt8], (LanePoint, Handover)?) = ([], nil)
    for (point, part) in parts.sorted(by: { $0.point < $1.point }) {
      bytes = (part.part == 0 ? [] : bytes) + part.bytes.bytes
      guard part.part == part.partCount - 1, let handover = try? JSON.decode(Handover.self, from: bytes)
      else {
        continue
      }
      whole = (point, handover)
    }
    return whole
  }
}
