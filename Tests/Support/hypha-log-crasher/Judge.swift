import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB

/// Holds logs against their histories, as the lines of input say, one answer a line.
///
///   history FILE           what the following logs are held against; answers `history`
///   check DIR              opens the log for reading and for writing, and appends to it: `sound` or `WRONG` and why
///   see DIR                only opens it
///   cut DIR FILE LENGTH    what a copy of DIR says whose FILE (named within it) is cut to a length: `sound`, `found`
///                          and what it finds itself, or `WRONG`
///   flip DIR FILE OFFSET MASK   the same with some bits of a byte flipped
///   flip DIR FILE OFFSET MASK OFFSET MASK ...   with several
func judge(copy: String) throws {
  var history = History()
  var answerCount = 0
  while let line = readLine() {
    answerCount += 1
    let words = line.split(separator: " ").map(String.init)
    do {
      switch words[0] {
      case "history":
        history = History()
        let text = try String(contentsOfFile: words[1], encoding: .utf8)
        for line in text.split(separator: "\n") { history.take(line) }
        say("history")
      case "check", "see":
        if history.head > 0 { try LMDBLogReader(directory: words[1]).hold(against: history) }
        try withLog(words[1]) { log in
          try log.hold(against: history)
          if words[0] == "check" { try log.goOn(epoch: history.nextEpoch) }
        }
        say("sound")
      default:
        try damage(words, copy: copy)
        if answerCount % 2 == 0 {
          try LMDBLogReader(directory: copy).hold(against: history)
        } else {
          try withLog(copy) { try $0.hold(against: history) }
        }
        say("sound")
      }
    } catch let wrong as Wrong {
      say("WRONG \(wrong.what)")
    } catch {
      // What nobody damaged must be sound.
      say("\(words.count == 2 ? "WRONG" : "found") \((error as? Found)?.what ?? "\(error)")")
    }
  }
}

/// Lets go of the log before anybody is told: the next to write it may be started then.
private func withLog(_ directory: String, _ body: (LMDBLog) throws -> Void) throws {
  let log = try openLog(directory)
  defer { log.close() }
  try body(log)
}

/// Puts a copy of a log in its place, with what the words say done to one of its files.
private func damage(_ words: [String], copy: String) throws {
  let files = FileManager.default
  try? files.removeItem(atPath: copy)
  for path in try files.subpathsOfDirectory(atPath: words[1]) {
    // Only those directories that have files: there may be hundreds of others.
    var isDirectory: ObjCBool = false
    let (from, to) = (words[1] + "/" + path, copy + "/" + path)
    guard files.fileExists(atPath: from, isDirectory: &isDirectory), !isDirectory.boolValue else { continue }
    let parent = URL(fileURLWithPath: to).deletingLastPathComponent()
    try files.createDirectory(at: parent, withIntermediateDirectories: true)
    try files.copyItem(atPath: from, toPath: to)
  }
  let url = URL(fileURLWithPath: copy + "/" + words[2])
  var data = try Data(contentsOf: url)
  let numbers = words.dropFirst(3).compactMap { Int($0) }
  if words[0] == "cut" {
    data = data.prefix(numbers[0])
  } else {
    for index in stride(from: 0, to: numbers.count - 1, by: 2) {
      data[numbers[index]] ^= UInt8(truncatingIfNeeded: numbers[index + 1])
    }
  }
  try data.write(to: url)
}
