import FaultShim
import Foundation
import HyphaCore
import Testing

extension FaultShim {
  static let isMissing: Comment = "there is no C compiler for the fault shim (apt-get install clang)"
}

/// Where the proofs keep their logs: in memory where there is room for it, so that a sync costs nothing. What a sync
/// is good for is shown by the faults and the simulated power cuts, not by this machine's disk.
let proofPlace: String = {
  var status = statvfs()
  let isRoomy = statvfs("/dev/shm", &status) == 0 && status.f_bavail * status.f_frsize > 256 << 20
  return isRoomy && access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : NSTemporaryDirectory()
}()

/// A workload in a process of its own whose disk is watched, or fails, and the directory that it leaves.
final class CrasherRun {
  static let program: URL = {
    let bundle = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: bundle ?? "").deletingLastPathComponent()
      .appendingPathComponent("hypha-log-crasher")
  }()

  /// Everything of this run; removed with it.
  let place = proofPlace + "hypha-run-\(UUID().uuidString)"
  let directory: String
  var trace: String { place + "/trace" }
  /// What all workloads in this directory said; see History in the crasher.
  var history: String { place + "/history" }

  /// - Parameter disk: the file system that has the data directory; nil for that of the others.
  init(in disk: String? = nil) throws {
    directory = disk.map { $0 + "/data" } ?? place + "/data"
    try? FileManager.default.removeItem(atPath: directory)
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try Data().write(to: URL(fileURLWithPath: history))
  }

  deinit { try? FileManager.default.removeItem(atPath: place) }

  /// Runs a workload to its end.
  ///
  /// - Parameters:
  ///   - faults: settings of the fault shim, without `HYPHA_FAULT_`.
  /// - Returns: whether it ended by itself, and not by a signal.
  @discardableResult func work(
    epoch: Int = 1, seed: UInt64, roundCount: Int, faults: [String: String] = [:]
  ) throws -> Bool {
    let process = Process()
    process.executableURL = Self.program
    process.arguments = ["work", directory, "\(epoch)", "\(seed)", "\(roundCount)"]
    process.environment = FaultShim.environment(faults.merging(["DIR": directory]) { $1 })
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: history))
    try output.seekToEnd()
    process.standardOutput = output
    try process.run()
    process.waitUntilExit()
    try output.close()
    return process.terminationReason == .exit
  }

  /// Adds to the history what a workload said elsewhere.
  func note(_ lines: [String]) throws {
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: history))
    try output.seekToEnd()
    try output.write(contentsOf: Data(lines.map { $0 + "\n" }.joined().utf8))
    try output.close()
  }

  /// What was said, a line each.
  func lines() throws -> [Substring] {
    try String(contentsOfFile: history, encoding: .utf8).split(separator: "\n")
  }

  /// How many writes and syncs a workload makes.
  static func callCount(seed: UInt64, roundCount: Int) throws -> Int {
    let run = try CrasherRun()
    try run.work(seed: seed, roundCount: roundCount, faults: ["TRACE": run.trace])
    let line = try Child("count", run.trace).readLine() ?? ""
    return try #require(Int(line), "\(line)")
  }
}

/// A child process that holds logs against their histories; a new one follows where one dies.
final class Judge {
  private var child: Child
  private let place = proofPlace + "hypha-judge-\(UUID().uuidString)"
  private var history: String?

  init() throws { child = try Child("judge", place) }

  deinit {
    child.endInput()
    _ = child.readLine()
    try? FileManager.default.removeItem(atPath: place)
  }

  /// What the log in a run's directory is like: `sound`, or what is wrong.
  func check(_ run: CrasherRun) throws -> String {
    try hold(against: run)
    return try ask("check \(run.directory)")
  }

  /// The same, but nothing is appended to it.
  func see(_ run: CrasherRun) throws -> String {
    try hold(against: run)
    return try ask("see \(run.directory)")
  }

  /// What a damaged copy of a run's directory is like: `sound`, `found` and what, `WRONG` and why, or `died`.
  func damage(_ run: CrasherRun, _ verb: String, _ file: String, _ numbers: [Int]) throws -> String {
    if history != run.history { try hold(against: run) }
    let numbers = numbers.map(String.init).joined(separator: " ")
    return try ask("\(verb) \(run.directory) \(file) \(numbers)")
  }

  private func hold(against run: CrasherRun) throws {
    history = run.history
    let answer = try ask("history \(run.history)")
    try #require(answer == "history", "\(answer)")
  }

  private func ask(_ question: String) throws -> String {
    child.write(question)
    if let answer = child.readLine() { return answer }
    child = try Child("judge", place)
    history = nil
    return "died"
  }
}

/// How long the proofs may take: `HYPHA_SOAK_SECONDS` where it is set, as `make soak` does. They are a sample then of
/// what they are in full.
enum Soak {
  static let seconds = ProcessInfo.processInfo.environment["HYPHA_SOAK_SECONDS"].flatMap { Double($0) }

  /// How many of `whole`: all in a soak of 600 s, a part of them in a shorter one, and else `least`, as in any case.
  static func count(_ least: Int, of whole: Int) -> Int {
    guard let seconds else { return least }
    return max(least, Int(Double(whole) * min(1, seconds / 600)))
  }

  /// So many of `cases`, by chance where these are not all.
  static func sample<Case>(_ least: Int, of cases: [Case], _ random: inout SeededGenerator) -> [Case] {
    let count = count(least, of: cases.count)
    return count < cases.count ? Array(cases.shuffled(using: &random).prefix(count)) : cases
  }
}
