import FaultShim
import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

@testable import HyphaRuntime

/// A deployment of `hypha-test-app`: a feeder on node `a`, and on node `b` a worker that fails as it is told to and a bookkeeper
/// whose state is event-sourced. And what must be true of it at its end.
struct JobRun {
  static let count = 40

  let scratch: Scratch
  let file: String
  var data: String { scratch("data") }

  init(in scratch: Scratch) throws {
    self.scratch = scratch
    file = try scratch.file(
      "jobs.yaml",
      """
      hypha: 1
      name: jobs
      supervision: {initial: 20ms, attempts: 3}
      nodes: {a: {}, b: {}}
      agents:
        boss: {kind: supervisor, node: a}
        feeder: {kind: feeder, node: a, reports-to: boss, settings: {count: \(Self.count), burst: 4}}
        worker: {kind: worker, node: b, reports-to: boss, subscribes: [test.Job]}
        books: {kind: bookkeeper, node: b, reports-to: boss, subscribes: [test.JobDone]}
      """)
  }

  /// Starts the deployment; `faults` are settings of the fault shim for node `b`.
  func start(faults: [String: String] = [:]) throws -> Hypha {
    var environment: [String: String] = [:]
    if !faults.isEmpty {
      try FileManager.default.createDirectory(atPath: data + "/b", withIntermediateDirectories: true)
      environment = FaultShim.environment(faults.merging(["DIR": data + "/b"]) { $1 })
    }
    return try Hypha(
      ["run", file, "--data", data, "--json"], in: scratch, program: Places.testApp, environment: environment)
  }

  /// Runs a command of the program to its end.
  func app(_ words: String...) async throws -> Hypha.Result {
    try await Hypha(words, in: scratch, program: Places.testApp).end()
  }

  func log() throws -> LMDBLogReader { try LMDBLogReader(directory: data + "/b") }

  // What the worker does with each number.
  static let numbers = 0..<count
  static func isHopeless(_ number: Int) -> Bool { number % 11 == 10 }
  static func isRetried(_ number: Int) -> Bool { number % 7 == 6 && !isHopeless(number) }
  static func isAged(_ number: Int) -> Bool { number % 5 == 0 && !isHopeless(number) }
  static var done: [Int] { numbers.filter { !isHopeless($0) } }
  static var booked: [Int] { done.filter { $0 % 2 == 0 } }

  /// Where the log of node `b` differs from one in which each job had its effects exactly once.
  func faults() throws -> [String] {
    var faults: [String] = []
    let log = try log()
    faults += try log.verify().findings
    var stated: [EventTypeName: [Int]] = [:]
    var failed: [EventID: Int] = [:]
    var jobs: [EventID: Int] = [:]
    var activations: [AgentID: UInt64] = [:]
    var booked: [Int] = []
    try log.scan { entry in
      let header = entry.record.header
      if header.type == Self.job { jobs[header.id] = try Self.number(entry.record) }
      guard entry.source == .stated else { return true }
      switch header.type {
      case HandlerFailed.eventType: failed[header.causation, default: 0] += 1
      case AgentActivated.eventType: activations[header.agent] = header.epoch
      case "test.JobDone", "test.JobAged", "test.JobBooked":
        stated[header.type, default: []].append(try Self.number(entry.record))
        if header.type == "test.JobBooked" { booked.append(try Self.number(entry.record)) }
      default: break
      }
      return true
    }
    func expect(_ what: String, _ found: [Int], _ expected: [Int]) {
      if found.sorted() != expected { faults.append("\(what): \(found.sorted()) instead of \(expected)") }
    }
    expect("jobs", Array(jobs.values), Array(Self.numbers))
    expect("done", stated["test.JobDone"] ?? [], Self.done)
    expect("aged", stated["test.JobAged"] ?? [], Self.numbers.filter(Self.isAged))
    expect("booked", stated["test.JobBooked"] ?? [], Self.booked)
    expect(
      "failed", failed.keys.compactMap { jobs[$0] },
      Self.numbers.filter { Self.isRetried($0) || Self.isHopeless($0) })
    if failed.values.contains(where: { $0 != 1 }) { faults.append("attempts: \(failed.values)") }
    let letters = try DeadLetter.open(in: log).compactMap { jobs[$0.failure.event] }
    expect("dead letters", letters, Self.numbers.filter(Self.isHopeless))
    // The states say the same.
    struct WorkerState: Decodable { var done, aged: [Int] }
    struct Books: Codable { var booked: [Int] = [] }
    let worker = try #require(try AgentSnapshot.read(of: "worker", in: log))
    let state = try JSON.decode(WorkerState.self, from: worker.state)
    expect("state done", state.done, Self.done)
    expect("state aged", state.aged, Self.numbers.filter(Self.isAged))
    if !worker.agenda.isEmpty { faults.append("the worker has something before it") }
    // Those of the books since the newest snapshot are in the log alone.
    let books = try #require(try AgentSnapshot.read(of: "books", in: log))
    let saved = try JSON.decode(Books.self, from: books.state).booked
    if saved != Array(booked.prefix(saved.count)) { faults.append("the books have \(saved) of \(booked)") }
    if booked.count - saved.count >= 7 + 128 { faults.append("the books were last saved at \(saved.count)") }
    return faults
  }

  private static let job: EventTypeName = "test.Job"
  private static func number(_ record: Record) throws -> Int {
    struct Numbered: Decodable { var number: Int }
    return try JSON.decode(Numbered.self, from: record.payload).number
  }
}
