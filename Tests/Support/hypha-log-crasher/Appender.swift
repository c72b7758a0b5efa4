import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

/// One agent that appends its next batch as soon as the last is durable.
final class Appender: Sendable {
  struct State {
    var sequence: UInt64 = 0
    var end: LanePoint
  }
  let log: any EventLog
  let agent: AgentID
  let epoch: UInt64
  let state: Mutex<State>

  init(_ log: any EventLog, agent: AgentID, epoch: UInt64) throws {
    self.log = log
    self.agent = agent
    self.epoch = epoch
    let lane = Lane(agent: agent, channel: .persistent, target: .type("T"))
    state = Mutex(State(end: try log.laneHead(lane)?.point ?? .start))
  }

  /// A batch of 1 to 7 events, now and then a large one; each says who and which it is.
  func nextBatch() throws -> (LogBatch, last: UInt64) {
    try state.withLock { state in
      var batch = LogBatch()
      for _ in 0...(state.sequence % 7) {
        state.sequence += 1
        let point = LanePoint(epoch: epoch, sequence: state.sequence)
        var payload = Array("\(agent) \(point)".utf8)
        if state.sequence % 50 == 0 { payload += [UInt8](repeating: 32, count: 200_000) }
        let id = EventID(high: epoch, low: state.sequence)
        let header = RecordHeader(
          id: id, time: Timestamp(microseconds: 1), channel: .persistent, agent: agent, epoch: epoch,
          sequence: state.sequence, previous: state.end, addressee: nil, type: "T", subject: "s",
          contentType: .bytes, correlation: id, authority: Authority(principal: agent))
        batch.appends.append(.init(try Record(header, payload: payload)))
        state.end = point
      }
      batch.cursors[CursorKey(agent: agent, channel: .persistent)] =
        Cursor(position: .start, handledCount: state.sequence)
      return (batch, state.sequence)
    }
  }

  /// Appends until the log refuses, then calls `end` with its error.
  func run(end: @escaping @Sendable (HyphaError) -> Void) {
    do {
      let (batch, last) = try nextBatch()
      log.submit(batch) { result in
        switch result {
        case .success(let receipt):
          say("\(self.agent) \(last) \(receipt.first.rawValue + UInt64(batch.appends.count) - 1)")
          self.run(end: end)
        case .failure(let error): end(error)
        }
      }
    } catch {
      end(HyphaError(.failed, "\(error)"))
    }
  }
}

func appendForever(_ directory: String, epoch: UInt64) throws {
  let log = try openLog(directory)
  for name in ["ana", "bob", "cy", "dee"] {
    try Appender(log, agent: AgentID(name), epoch: epoch).run { error in
      say("error \(error)")
      exit(1)
    }
  }
  while true { pause() }
}

func hold(_ directory: String) throws {
  let log = try openLog(directory)
  say("open")
  while readLine() != nil {}
  log.close()
}

func follow(_ directory: String) throws {
  let log = try LMDBLogReader(directory: directory)
  say("open")
  while readLine() != nil {
    let verification = try log.verify()
    say("\(verification.entryCount) \(verification.isSound ? "sound" : verification.findings[0])")
  }
}

func fill(_ directory: String, byteLimit: UInt64) throws {
  signal(SIGXFSZ, SIG_IGN)
  let log = try openLog(directory)
  var limit = rlimit(rlim_cur: rlim_t(byteLimit), rlim_max: rlim_t.max)
  setrlimit(__rlimit_resource_t(1), &limit)  // RLIMIT_FSIZE
  let isFull = DispatchSemaphore(value: 0)
  let failure = Mutex<HyphaError?>(nil)
  let appender = try Appender(log, agent: "ana", epoch: 1)
  appender.run { error in
    failure.withLock { $0 = error }
    isFull.signal()
  }
  isFull.wait()
  let head = try log.head()
  say("full \(failure.withLock { $0 }?.description ?? "")")
  say("sound \(try log.verify().isSound)")
  limit.rlim_cur = rlim_t.max
  setrlimit(__rlimit_resource_t(1), &limit)
  // The failed batch left no trace: the next activation goes on where the log ends.
  let again = try Appender(log, agent: "ana", epoch: 2)
  let (batch, _) = try again.nextBatch()
  let done = DispatchSemaphore(value: 0)
  log.submit(batch) { result in
    say("again \((try? result.get())?.first == head.next)")
    done.signal()
  }
  done.wait()
  say("sound \(try log.verify().isSound)")
  log.close()
}
