import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Synchronization

// A child process for the tests of the log on LMDB: what may end in a signal, or must be killed, runs here.
//
//   append DIR EPOCH   appends without end; prints `AGENT SEQUENCE POSITION` for each acknowledged batch
//   hold DIR           opens for writing, prints `open`, and waits until its input ends
//   follow DIR         opens for reading; for each line of input prints the head and what verify finds
//   probe FILE DIR     damages copies of a log, as its input says, and prints what opening them gives
//   prune DIR COUNT N  removes all but the newest COUNT entries, but kills itself after N steps of that
//   replay DIR         reads all entries of a log, 20 µs each, again and again until its input ends
//   copy DIR OUT       backs the log up to OUT; compact DIR: compacts it
//   fill DIR BYTES     appends until the file reaches a limit, lifts the limit, and appends again

func say(_ line: String) {
  let text = line + "\n"
  _ = write(1, text, text.utf8.count)
}

struct WallClock: TimeSource {
  func microseconds() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1_000_000) }
}

let settings = LMDBLogSettings(mapByteCount: 1 << 32)

func openLog(_ directory: String) throws -> LMDBLog {
  try LMDBLog(directory: directory, node: "hq", settings: settings, time: WallClock())
}

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

/// Lines of input: `cut LENGTH`, `flip OFFSET MASK`. Lines of output: `ok HEAD FINDINGS` or the error.
func probe(_ file: String, _ directory: String) throws {
  let sound = try Data(contentsOf: URL(fileURLWithPath: file))
  try FileManager.default.createDirectory(atPath: directory + "/log", withIntermediateDirectories: true)
  while let line = readLine() {
    let words = line.split(separator: " ")
    var data = sound
    if words[0] == "cut", let count = Int(words[1]) {
      data = data.prefix(count)
    } else if let offset = Int(words[1]), let mask = UInt8(words[2]) {
      data[offset] ^= mask
    }
    var outcomes: [String] = []
    for isWriting in [false, true] {
      try data.write(to: URL(fileURLWithPath: directory + "/log/data.mdb"))
      do {
        let log: any LogReader = try isWriting ? openLog(directory) : LMDBLogReader(directory: directory)
        let verification = try log.verify()
        outcomes.append("ok \(verification.entryCount) \(verification.findings.count)")
        (log as? LMDBLog)?.close()
      } catch let error as HyphaError {
        outcomes.append("\(error)")
      }
    }
    say(outcomes.joined(separator: "\t"))
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

func prune(_ directory: String, keeping count: UInt64, killAfter stepCount: Int) async throws {
  let log = try openLog(directory)
  let now = Timestamp(microseconds: WallClock().microseconds())
  let plan = try log.planPrune(RetentionPolicy(entryCountMax: count), now: now)
  let steps = Mutex(0)
  if stepCount == 0 { kill(getpid(), SIGKILL) }
  let report = try await log.prune(plan, principal: "ops", time: WallClock()) { position in
    say("step \(position)")
    if steps.withLock({ $0 += 1; return $0 }) == stepCount { kill(getpid(), SIGKILL) }
  }
  say("done \(report.through) \(report.keyCount)")
  log.close()
}

/// A reader that is far slower than the writer.
func replay(_ directory: String) throws {
  let log = try LMDBLogReader(directory: directory)
  let isOver = Atomic(false)
  let thread = Thread {
    while readLine() != nil {}
    isOver.store(true, ordering: .relaxed)
  }
  thread.start()
  say("open")
  var count = 0
  while !isOver.load(ordering: .relaxed) {
    try log.visit(Position(rawValue: 1)...Position(rawValue: .max), .forward) { _ in
      usleep(20)
      count += 1
      return !isOver.load(ordering: .relaxed)
    }
  }
  say("read \(count)")
}

do {
  let words = CommandLine.arguments.dropFirst() + ["", "", "", ""]
  switch words[1] {
  case "append": try appendForever(words[2], epoch: UInt64(words[3]) ?? 1)
  case "hold": try hold(words[2])
  case "follow": try follow(words[2])
  case "probe": try probe(words[2], words[3])
  case "prune":
    try await prune(words[2], keeping: UInt64(words[3]) ?? 1, killAfter: Int(words[4]) ?? .max)
  case "replay": try replay(words[2])
  case "copy":
    let report = try LMDBRetention().backUp(words[2], to: words[3], withKey: false) { _, _ in }
    say("done \(report.head) \(report.link)")
  case "compact":
    let report = try LMDBRetention().compact(words[2]) { _, _ in }
    say("done \(report.byteCountBefore) \(report.byteCountAfter)")
  case "fill": try fill(words[2], byteLimit: UInt64(words[3]) ?? 1 << 20)
  default: say("usage: append | hold | follow | probe | prune | replay | copy | compact | fill")
  }
} catch {
  say("error \(error)")
  exit(1)
}
