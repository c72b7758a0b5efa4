import Foundation
import HyphaCore
import HyphaLog
import HyphaLogLMDB
import Testing

/// The log on LMDB when its process is killed, and when other processes look on.
@Suite(.serialized) struct KillTests {
  @Test func `what was acknowledged before kill -9 is there, and the log goes on`() throws {
    let seed = SeededGenerator.seed
    var random = SeededGenerator(seed: seed)
    let home = Backend.lmdb.makeHome()
    var acknowledged: [(agent: String, point: LanePoint, position: UInt64)] = []
    for round in 1...12 {
      let child = try Child("append", home.directory, "\(round)")
      // A random number of lines, so that the kill hits a random moment; round 1 may not have a log yet.
      let lineCount = round == 1 ? 0 : Int.random(in: 1...400, using: &random)
      var lines: [String] = []
      while lines.count < lineCount, let line = child.readLine() { lines.append(line) }
      child.killNow()
      lines += child.readLines()
      #expect(!child.endsWithoutSignal())
      for line in lines {
        let words = line.split(separator: " ")
        let (sequence, position) = (UInt64(words[1]) ?? 0, UInt64(words[2]) ?? 0)
        #expect(position > 0, "HYPHA_SEED=\(seed): the child said '\(line)'")
        let point = LanePoint(epoch: UInt64(round), sequence: sequence)
        acknowledged.append((String(words[0]), point, position))
      }
      let log = try home.openLMDB()
      let verification = try log.verify()
      #expect(verification.isSound, "HYPHA_SEED=\(seed), round \(round): \(verification.findings)")
      for event in acknowledged {
        let header = try log.entry(at: Position(rawValue: event.position))?.record.header
        #expect(
          header?.agent.text == event.agent && header?.point == event.point,
          "HYPHA_SEED=\(seed), round \(round): position \(event.position) is lost")
      }
      log.close()
    }
    #expect(acknowledged.count > 100)
  }

  @Test func `another process reads while this one writes`() throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    let child = try Child("follow", home.directory)
    #expect(child.readLine() == "open")
    var ana = Author("ana")
    for round in 1...20 {
      let outcomes = Outcomes()
      log.submit(try ana.batch(10), completion: outcomes.completion(0))
      _ = outcomes.wait(1)
      child.write("look")
      #expect(child.readLine() == "\(round * 10) sound")
    }
    child.endInput()
    #expect(child.endsWithoutSignal())
    log.close()
  }

  @Test func `a second writing process is refused by the first one's id, until it is killed`() throws {
    let home = Backend.lmdb.makeHome()
    let child = try Child("hold", home.directory)
    #expect(child.readLine() == "open")
    expectError(.logLocked, "by process \(child.id)", home.directory, "stop that process") {
      _ = try home.openLMDB()
    }
    let reader = try LMDBLogReader(directory: home.directory)
    #expect(try reader.head() == .start)
    child.killNow()
    _ = child.endsWithoutSignal()
    expectError(.logLocked, "for reading", "let go of the LMDBLogReader") { _ = try home.openLMDB() }
    withExtendedLifetime(reader) {}
  }

  @Test func `a child process inherits neither the lock nor the log's files`() throws {
    let home = Backend.lmdb.makeHome()
    let log = try home.openLMDB()
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
      guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)"),
        target.hasPrefix(home.directory), let descriptor = Int32(name)
      else { continue }
      #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0, "\(target)")
    }
    log.close()
  }
}
