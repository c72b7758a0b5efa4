import Glibc
import HyphaCore
import HyphaLog
import HyphaLogLMDB

extension LogBench {
  /// A verification of a whole log, beside reading its file: both find nothing of it in memory and take it from the disk.
  func verifyRows() async throws -> [BenchRow] {
    let eventCount = settings.isQuick ? 5_000 : 2_000_000
    return try await withDirectory("verify") { directory in
      progress("verify: writing \(eventCount) events")
      let log = try OwnLog("\(directory)/log", .grouped(8))
      try await log.append(eventCount: eventCount)
      try log.check()
      log.close()
      let file = try ColdFile(log.directory + "/log/data.mdb")
      var passes: [(ours: Double, bare: Double)] = []
      for round in 1...(settings.isQuick ? 1 : 7) {
        try Task.checkCancellation()
        progress("verify: \(eventCount) events, pass \(round)")
        try file.forget()
        let ours = try rate(of: file) { try verify(log.directory, eventCount: eventCount) }
        try file.forget()
        passes.append((ours, try rate(of: file) { try file.read() }))
      }
      guard let ours = Spread(passes.map(\.ours)), let bare = Spread(passes.map(\.bare)),
        let ratios = Spread(passes.map { $0.ours / $0.bare })
      else { return [] }
      let text = "128 B, \(eventCount) events, \(file.byteCount >> 20) MiB from the disk; bare: read"
      return [
        BenchRow(
          "verify-rate", text, .bytesPerSecond, ours: ours, bare: bare.median, ratios: ratios,
          goal: .verifyRate)
      ]
    }
  }

  private func verify(_ directory: String, eventCount: Int) throws {
    let verification = try LMDBLogInspection().verify(directory, linksAt: []) { _ in }
    guard verification.isSound, verification.entryCount == UInt64(eventCount) else {
      throw HyphaError(
        .failed, "the verified log holds \(verification.entryCount) sound events in place of \(eventCount)",
        remedy: "take none of these figures; run 'hypha log verify' on a log of this version")
    }
  }

  /// The bytes of the file that `body` goes through a second.
  private func rate(of file: ColdFile, _ body: () throws -> Void) throws -> Double {
    let begin = Monotonic.nanoseconds()
    try body()
    return Double(file.byteCount) / (Double(Monotonic.nanoseconds() - begin) / 1e9)
  }
}

/// A file whose pages the kernel can be told to forget.
private final class ColdFile {
  let byteCount: Int
  private let path: String
  private let descriptor: Int32

  init(_ path: String) throws {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    byteCount = descriptor >= 0 ? Int(lseek(descriptor, 0, SEEK_END)) : 0
    guard byteCount > 0 else { throw Self.failure(path, "open") }
  }

  deinit { _ = close(descriptor) }

  /// Lets the kernel drop what it has of the file in memory.
  func forget() throws {
    let code = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    guard code == 0 else { throw Self.failure(path, "posix_fadvise") }
  }

  /// Reads it from end to end, in pieces of a MiB.
  func read() throws {
    guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Self.failure(path, "lseek") }
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      guard count >= 0 else { throw Self.failure(path, "read") }
      if count == 0 { return }
    }
  }

  private static func failure(_ path: String, _ call: String) -> HyphaError {
    HyphaError(
      .failed, "the file \(path) cannot be read", remedy: "give --data a directory on a local disk",
      cause: "\(call): \(String(cString: strerror(errno)))")
  }
}
