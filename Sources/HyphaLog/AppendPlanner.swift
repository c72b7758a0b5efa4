public import HyphaCore

/// Decides what a commit group becomes: which batches it takes, at which positions, with which links.
///
/// Pure: both backends plan with it and differ only in where they put the result. The heads of all lanes
/// and streams are in memory; a group that could not be written is taken back with ``rollBack()``.
public struct AppendPlanner: Sendable {
  /// The newest position planned.
  public private(set) var head: Position
  /// The newest event of every lane.
  public private(set) var lanes: [Lane: LaneHead]
  /// The newest events of every stream.
  public private(set) var streams: [StreamID: StreamHead]
  private var lastTime: Timestamp
  private var undo = Undo()

  /// What a group has changed, for taking it back and for writing it down.
  private struct Undo: Sendable {
    var head: Position?
    var lastTime = Timestamp.zero
    var lanes: [(Lane, LaneHead?)] = []
    var streams: [(StreamID, StreamHead?)] = []
  }

  /// A planner for a log whose newest entry stands at `head` and was taken at `lastTime`.
  public init(
    head: Position = .start, lastTime: Timestamp = .zero, lanes: [Lane: LaneHead] = [:],
    streams: [StreamID: StreamHead] = [:]
  ) {
    self.head = head
    self.lastTime = lastTime
    self.lanes = lanes
    self.streams = streams
  }

  /// Begins a commit group.
  public mutating func beginGroup() {
    undo = Undo(head: head, lastTime: lastTime)
  }

  /// Takes a batch into the group, at a time not before `now`.
  ///
  /// - Returns: the batch's entries, in order, and its receipt.
  /// - Throws: ``HyphaError/Code/logConflict``; the group is then as if the batch had not been offered.
  public mutating func plan(_ batch: LogBatch, now: Timestamp) throws(HyphaError)
    -> (entries: [LogEntry], receipt: CommitReceipt)
  {
    let mark = (head: head, lastTime: lastTime, lanes: undo.lanes.count, streams: undo.streams.count)
    let time = max(now, Timestamp(rawValue: lastTime.rawValue + 1))
    let receipt = CommitReceipt(first: head.next, time: time)
    var entries: [LogEntry] = []
    entries.reserveCapacity(batch.appends.count)
    do {
      for append in batch.appends {
        lastTime = max(time, Timestamp(rawValue: lastTime.rawValue + 1))
        entries.append(try place(append))
      }
    } catch {
      revert(lanesTo: mark.lanes, streamsTo: mark.streams)
      (head, lastTime) = (mark.head, mark.lastTime)
      throw error
    }
    return (entries, receipt)
  }

  /// Forgets the group: it could not be written.
  public mutating func rollBack() {
    revert(lanesTo: 0, streamsTo: 0)
    guard let begun = undo.head else { return }
    (head, lastTime) = (begun, undo.lastTime)
  }

  /// The lanes that the group has moved, each once.
  public var movedLanes: Set<Lane> { Set(undo.lanes.map(\.0)) }
  /// The streams that the group has moved, each once.
  public var movedStreams: Set<StreamID> { Set(undo.streams.map(\.0)) }

  private mutating func place(_ append: LogBatch.Append) throws(HyphaError) -> LogEntry {
    let header = append.record.header
    let position = head.next
    let lane = header.lane
    let laneHead = lanes[lane]
    let laneEnd = laneHead?.point ?? .start
    // A new epoch may fall back behind what an unclean end of the last one has sent (a fork).
    let continues = header.previous == laneEnd || (header.epoch > laneEnd.epoch && header.previous < laneEnd)
    guard continues, header.point > laneEnd else {
      throw HyphaError(
        .logConflict,
        "event \(header.point) of lane \(lane) follows \(header.previous), but the log's lane ends at \(laneEnd)",
        remedy: header.point <= laneEnd
          ? "it is in the log already; drop it" : "append what lies between first")
    }
    let stream = header.stream
    let streamHead = streams[stream]
    if append.source == .stated {
      // A received event may have claimed the last number there is; 0 is then never met.
      let expected = (streamHead?.sequence ?? 0) &+ 1
      guard header.sequence == expected else {
        throw HyphaError(
          .logConflict, "event \(header.sequence) of stream \(stream) is not its next, \(expected)",
          remedy: "let one writer number the stream")
      }
    }
    undo.lanes.append((lane, laneHead))
    undo.streams.append((stream, streamHead))
    lanes[lane] = LaneHead(point: header.point, position: position, count: (laneHead?.count ?? 0) + 1)
    streams[stream] = StreamHead(
      sequence: max(header.sequence, streamHead?.sequence ?? 0), position: position,
      count: (streamHead?.count ?? 0) + 1)
    head = position
    return LogEntry(
      position: position, appendedAt: lastTime, source: append.source,
      previousInStream: streamHead?.position ?? .start, previousInLane: laneHead?.position ?? .start,
      record: append.record)
  }

  private mutating func revert(lanesTo laneCount: Int, streamsTo streamCount: Int) {
    while undo.lanes.count > laneCount {
      let (lane, head) = undo.lanes.removeLast()
      lanes[lane] = head
    }
    while undo.streams.count > streamCount {
      let (stream, head) = undo.streams.removeLast()
      streams[stream] = head
    }
  }
}
