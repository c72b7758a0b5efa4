import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB

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
