import Foundation
import HyphaCore
import Testing

@testable import HyphaOperator

@Suite struct OutputTests {
  /// A reader and a writer, SIGPIPE ignored as the runner does.
  private func makePipe() -> Pipe {
    signal(SIGPIPE, SIG_IGN)
    return Pipe()
  }

  @Test func `text stays in the buffer until it is full or flushed`() throws {
    let pipe = makePipe()
    let output = Output(descriptor: pipe.fileHandleForWriting.fileDescriptor, bufferByteCount: 8)
    try output.write("1234")
    #expect(output.text == "1234")
    try output.write("56789")
    #expect(output.text == "")
    #expect(pipe.fileHandleForReading.availableData == Data("123456789".utf8))
    try output.writeLine("x")
    try output.flush()
    #expect(pipe.fileHandleForReading.availableData == Data("x\n".utf8))
  }

  @Test func `on a terminal each line goes out at once`() throws {
    let pipe = makePipe()
    let output = Output(descriptor: pipe.fileHandleForWriting.fileDescriptor, flushesLines: true)
    try output.write("half ")
    #expect(output.text == "half ")
    try output.writeLine("line")
    #expect(output.text == "")
    #expect(pipe.fileHandleForReading.availableData == Data("half line\n".utf8))
  }

  @Test func `a reader that went away ends the command with the status of SIGPIPE`() throws {
    let pipe = makePipe()
    let output = Output(descriptor: pipe.fileHandleForWriting.fileDescriptor)
    try pipe.fileHandleForReading.close()
    try output.write("unread")
    #expect(throws: ExitStatus(141)) { try output.flush() }
    #expect(output.text == "")
  }

  @Test func `a command that floods a closed pipe ends silently`() async throws {
    let pipe = makePipe()
    let errors = Output.captured()
    let output = Output(descriptor: pipe.fileHandleForWriting.fileDescriptor)
    try pipe.fileHandleForReading.close()
    let status = await Output.$standard.withValue(output) {
      await Output.$standardError.withValue(errors) {
        await CommandLineRunner.main(Sample.self, arguments: ["secret", "flood"], version: "1")
      }
    }
    #expect(status == 141)
    #expect(errors.text == "")
  }

  @Test func `a full disk is an error that says so`() async throws {
    let full = try FileHandle(forWritingTo: URL(filePath: "/dev/full"))
    let errors = Output.captured()
    let output = Output(descriptor: full.fileDescriptor, name: "standard output")
    let status = await Terminal.$current.withValue(plainTerminal) {
      await Output.$standard.withValue(output) {
        await Output.$standardError.withValue(errors) {
          await CommandLineRunner.main(Sample.self, arguments: ["--version"], version: "1")
        }
      }
    }
    #expect(status == 1)
    #expect(
      errors.text == "hypha: standard output cannot be written; check the disk or the program that reads it "
        + "(write: No space left on device)\n")
  }

  @Test func `the text of one call stays together whatever the threads`() async throws {
    let output = Output.captured()
    try await withThrowingTaskGroup { group in
      for writer in 0..<4 {
        group.addTask {
          for _ in 0..<250 { try output.writeLine(String(repeating: "\(writer)", count: 20)) }
        }
      }
      try await group.waitForAll()
    }
    let lines = output.text.split(separator: "\n")
    #expect(lines.count == 1000)
    #expect(lines.allSatisfy { Set($0).count == 1 && $0.count == 20 })
  }
}

@Suite struct LiveRegionTests {
  private let escape = "\u{1B}["

  private func terminal(width: Int = 10, height: Int = 4, term: String = "xterm") -> Terminal {
    Terminal(isOutputTTY: true, environment: ["TERM": term]) { (width, height) }
  }

  @Test func `the block is redrawn in place and the cursor comes back`() throws {
    let output = Output.captured()
    let region = LiveRegion(on: output, terminal: terminal())
    try region.draw(["one", "two"])
    try region.draw(["three"])
    try region.finish()
    try region.draw(["too late"])
    let first = "\(escape)?25l\rone\(escape)K\ntwo\(escape)K\n\(escape)J"
    let second = "\r\(escape)2Athree\(escape)K\n\(escape)J"
    #expect(output.text == first + second + "\(escape)?25h")
  }

  @Test func `lines are cut to the terminal`() throws {
    let output = Output.captured()
    let region = LiveRegion(on: output, terminal: terminal(width: 5, height: 3))
    try region.draw(["123456", "2", "3", "4"])
    #expect(output.text.contains("1234…\(escape)K\n2\(escape)K\n\(escape)J"))
  }

  @Test func `without a terminal nothing is drawn`() throws {
    for terminal in [plainTerminal, terminal(term: "dumb")] {
      let output = Output.captured()
      let region = LiveRegion(on: output, terminal: terminal)
      try region.draw(["one"])
      try region.writeAbove("a note")
      try region.finish()
      #expect(output.text == "a note\n")
    }
  }

  @Test func `an error brings the cursor back too`() async {
    let output = Output.captured()
    await #expect(throws: ExitStatus.failure) {
      try await LiveRegion.run(on: output, terminal: terminal()) { region in
        try region.draw(["one"])
        throw ExitStatus.failure
      }
    }
    #expect(output.text.hasSuffix("\(escape)?25h"))
  }

  @Test func `a note goes above the block`() throws {
    let output = Output.captured()
    let region = LiveRegion(on: output, terminal: terminal())
    try region.draw(["one"])
    try region.writeAbove("a note")
    try region.draw(["one"])
    #expect(output.text.contains("\r\(escape)1A\(escape)Ja note\n\rone\(escape)K\n"))
    try region.finish()
  }
}
