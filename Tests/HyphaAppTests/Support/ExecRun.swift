import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

@testable import HyphaRuntime

/// A Python for programs of the tests: `HYPHA_PYTHON`, else that of tools/setup-python, else `python3`.
enum Python {
  static let path: String = {
    if let named = ProcessInfo.processInfo.environment["HYPHA_PYTHON"] { return named }
    let own = Places.package.appending(path: ".build/python/bin/python3").path
    return FileManager.default.isExecutableFile(atPath: own) ? own : "python3"
  }()

  static let isThere = has()

  /// Whether Python and these modules are there.
  static func has(_ modules: String...) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [path, "-c", modules.map { "import \($0)\n" }.joined()]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}

/// A deployment of `hypha-test-app`: a feeder on node `a`, and on node `b` a worker in another language and a bookkeeper in
/// Swift. And what must be true of it at its end.
struct ExecRun {
  static let count = 40

  let scratch: Scratch
  let file: String
  var data: String { scratch("data") }
  /// What the program makes when it is at a job that it is to be killed at.
  var childMark: String { scratch("child") }
  var nodeMark: String { scratch("node") }

  /// - Parameter program: what the worker does, in Python.
  init(in scratch: Scratch, _ program: String, attempts: Int = 3) throws {
    self.scratch = scratch
    _ = try scratch.file("worker.py", program)
    file = try scratch.file(
      "jobs.yaml",
      """
      hypha: 1
      name: jobs
      supervision: {initial: 20ms, attempts: \(attempts)}
      nodes: {a: {}, b: {}}
      agents:
        boss: {kind: supervisor, node: a}
        feeder: {kind: feeder, node: a, reports-to: boss, settings: {count: \(Self.count), burst: 4}}
        worker:
          kind: exec
          node: b
          reports-to: boss
          publishes: [test.JobDone]
          subscribes: [test.Job]
          settings:
            command: "\(Python.path)"
            arguments: [worker.py, "\(scratch.path)"]
            environment: {PYTHONPATH: "\(Places.package.appending(path: "tools").path)", PYTHONDONTWRITEBYTECODE: 1}
        books: {kind: bookkeeper, node: b, reports-to: boss, subscribes: [test.JobDone]}
      """)
  }

  /// With the helper: every eleventh job never, every seventh at the second attempt.
  static let worker = """
    import os, sys, time
    import hypha_agent

    agent = hypha_agent.Agent()
    place = sys.argv[1]

    def once(name):
        try:
            os.close(os.open(os.path.join(place, name), os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            return False

    @agent.on("test.Job")
    def work(job, event):
        number = job["number"]
        event.publish("test.JobDone", {"number": number})
        # What is said before a death counts for nothing.
        agent.flush()
        if number == 17 and "kill" in sys.argv and once("child"):
            time.sleep(1000)
        if number == 23 and "kill" in sys.argv and once("node"):
            time.sleep(1000)
        if number == 12 and "poison" in sys.argv:
            print("what a job", file=sys.stderr)
            os._exit(3)
        if number % 11 == 10:
            raise hypha_agent.Permanent("impossible")
        if number % 7 == 6 and event.attempt == 1:
            raise ValueError("not now")

    agent.run()
    """

  func start() throws -> Hypha {
    try Hypha(["run", file, "--data", data, "--json"], in: scratch, program: Places.testApp)
  }

  /// The process of the program, but for a former one.
  func program(of run: Hypha, after former: Int32? = nil) -> Int32? {
    guard let node = run.node("b") else { return nil }
    return ProcessTable.children(of: node).first {
      $0.command.contains("worker.py") && $0.state != "Z" && $0.id != former
    }?.id
  }

  func log() throws -> LMDBLogReader { try LMDBLogReader(directory: data + "/b") }

  /// What the worker's node has stated.
  struct Stated {
    var faults: [String] = []
    /// The jobs' numbers, by their events.
    var jobs: [EventID: Int] = [:]
    var done: [Int] = []
    var booked: [Int] = []
    /// What the worker has failed on, by the number of the job.
    var failures: [Int: [String]] = [:]
    var deadLetters: [Int: String] = [:]
    var diagnostics = ""
  }

  func stated() throws -> Stated {
    var stated = Stated()
    let log = try log()
    stated.faults = try log.verify().findings.map { "\($0)" }
    try log.scan { entry in
      let header = entry.record.header
      switch header.type {
      case "test.Job": stated.jobs[header.id] = try Self.number(entry.record)
      case "test.JobDone":
        let number = try Self.number(entry.record)
        stated.done.append(number)
        if stated.jobs[header.causation] != number {
          stated.faults.append("done \(number) has another cause")
        }
      case "test.JobBooked": stated.booked.append(try Self.number(entry.record))
      case "exec.DiagnosticsWritten":
        struct Written: Decodable { var text: String }
        stated.diagnostics += try JSON.decode(Written.self, from: entry.record.payload).text
      case HandlerFailed.eventType where header.agent == "worker":
        let number = stated.jobs[header.causation] ?? -1
        stated.failures[number, default: []].append(try HandlerFailed.decode(entry.record).error)
      default: break
      }
      return true
    }
    for letter in try DeadLetter.open(in: log) {
      stated.deadLetters[stated.jobs[letter.failure.event] ?? -1] = letter.failure.error
    }
    return stated
  }

  private static func number(_ record: Record) throws -> Int {
    struct Numbered: Decodable { var number: Int }
    return try JSON.decode(Numbered.self, from: record.payload).number
  }
}
