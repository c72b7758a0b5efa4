import Foundation
import HyphaCore
import HyphaFormats
import Testing

struct GzipInputStreamTests {
  private func content(_ path: String, limits: InputLimits = InputLimits()) throws -> [UInt8] {
    let stream = try GzipInputStream(path: path, limits: limits)
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 100_000)
    while true {
      let count = try chunk.withUnsafeMutableBufferPointer { try stream.read(into: $0) }
      if count == 0 { return all }
      #expect(count <= GzipInputStream.chunkByteCount)
      all += chunk[..<count]
    }
  }

  private let noise: [UInt8] = {
    var generator = SystemRandomNumberGenerator()
    return (0..<300_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }()

  @Test func `plain and gzip files give the same bytes, whatever their names say`() throws {
    let scratch = try Scratch()
    #expect(try content(scratch.file("plain.gz", noise)) == noise)
    #expect(try content(scratch.file("packed.txt", gzipped(noise))) == noise)
    #expect(try content(scratch.file("empty", "")).isEmpty)
    #expect(try content(scratch.file("one", [0x1f])) == [0x1f])
  }

  @Test func `the members of a gzip file are joined, and zeros behind them are padding`() throws {
    let scratch = try Scratch()
    let members = gzipped("one ") + gzipped("") + gzipped(noise) + gzipped(" end")
    let expected = Array("one ".utf8) + noise + Array(" end".utf8)
    #expect(try content(scratch.file("members", members)) == expected)
    #expect(try content(scratch.file("padded", members + [UInt8](repeating: 0, count: 99_999))) == expected)
  }

  @Test func `a peek takes nothing away`() throws {
    let scratch = try Scratch()
    let stream = try GzipInputStream(path: scratch.file("packed", gzipped(noise)))
    #expect(try stream.peek() == Array(noise.prefix(GzipInputStream.chunkByteCount)))
    #expect(try stream.peek().count == GzipInputStream.chunkByteCount)
    var chunk = [UInt8](repeating: 0, count: 10)
    let count = try chunk.withUnsafeMutableBufferPointer { try stream.read(into: $0) }
    #expect(count == 10 && chunk == Array(noise.prefix(10)))
    #expect(try stream.peek() == Array(noise[10..<GzipInputStream.chunkByteCount]))
  }

  @Test func `a FIFO is open before it has a writer, and is read as its bytes come`() async throws {
    let scratch = try Scratch()
    let path = try scratch.fifo("fifo")
    let packed = gzipped(noise)
    var waitCount = 0
    // Whoever waits for the first byte is asked again and again. A thread, and no task: this one waits for it, and would keep a
    // thread of tasks from all other tests until its turn came.
    let (written, writer) = AsyncStream<Void>.makeStream()
    Thread.detachNewThread {
      guard let handle = FileHandle(forWritingAtPath: path) else { return writer.finish() }
      for start in stride(from: 0, to: packed.count, by: 50_000) {
        try? handle.write(contentsOf: packed[start..<min(start + 50_000, packed.count)])
      }
      try? handle.close()
      writer.finish()
    }
    let stream = try GzipInputStream(path: path) { waitCount += 1 }
    #expect(stream.isGzip && !stream.isRegularFile && waitCount > 0)
    #expect(try stream.peek() == Array(noise.prefix(GzipInputStream.chunkByteCount)))
    let copy = scratch.path("copy")
    try stream.copy(to: copy)
    #expect(FileManager.default.contents(atPath: copy).map(Array.init) == noise)
    for await _ in written {}
    #expect(errorText { try stream.copy(to: copy) }.contains("\(copy) cannot be written; make room"))
  }

  @Test func `whoever waits for a FIFO may stop, before its first byte and behind it`() throws {
    struct Stop: Error {}
    let scratch = try Scratch()
    let path = try scratch.fifo("fifo")
    var left = 3
    func checkpoint() throws {
      left -= 1
      if left < 0 { throw Stop() }
    }
    #expect(throws: Stop.self) { _ = try GzipInputStream(path: path, checkpoint: checkpoint) }
    // Open both ways, so that it has a writer that says no more.
    let descriptor = open(path, O_RDWR)
    defer { close(descriptor) }
    #expect(write(descriptor, "some", 4) == 4)
    left = 3
    let stream = try GzipInputStream(path: path, checkpoint: checkpoint)
    #expect(throws: Stop.self) { _ = try stream.peek() }
  }

  @Test func `a gzip file cut anywhere is refused`() throws {
    let scratch = try Scratch()
    let whole = gzipped("the whole story, told once")
    for count in 2..<whole.count {
      let path = try scratch.file("cut", Array(whole.prefix(count)))
      let text = errorText { _ = try content(path) }
      #expect(text.hasPrefix("invalidInput: \(path) is gzip and ends before its data does, after "))
      #expect(text.hasSuffix(" bytes of content; fetch the file again; it was cut short"))
    }
  }

  @Test func `damaged gzip and bytes behind its end are refused`() throws {
    let scratch = try Scratch()
    var damaged = gzipped("the whole story, told once")
    damaged[damaged.count - 5] ^= 0xff
    let path = try scratch.file("damaged", damaged)
    #expect(
      errorText { _ = try content(path) } == """
        invalidInput: \(path) is damaged gzip after 26 bytes of content; fetch the file again; \
        `gzip -t` tells when it is whole (incorrect data check)
        """)
    let trailing = try scratch.file("trailing", gzipped("story") + Array("rest".utf8))
    #expect(
      errorText { _ = try content(trailing) } == """
        invalidInput: \(trailing) is damaged gzip after 5 bytes of content; fetch the file again; \
        `gzip -t` tells when it is whole (bytes after the end are not a gzip member)
        """)
  }

  @Test func `a file past the limit of bytes is refused, plain or gzip`() throws {
    let scratch = try Scratch()
    let limits = InputLimits(maximumByteCount: 299_999)
    let plain = try scratch.file("plain", noise)
    let packed = try scratch.file("packed", gzipped(noise))
    let remedy = "raise maximumByteCount if the file is to be trusted"
    #expect(
      errorText { _ = try content(plain, limits: limits) }
        == "tooLarge: \(plain) holds more than 299999 bytes; \(remedy)")
    #expect(
      errorText { _ = try content(packed, limits: limits) }
        == "tooLarge: \(packed) holds more than 299999 bytes decompressed; \(remedy)")
    #expect(try content(plain, limits: InputLimits(maximumByteCount: 300_000)) == noise)
  }

  @Test func `a gzip bomb is refused by its ratio long before the limit of bytes`() throws {
    let scratch = try Scratch()
    let member = gzipped([UInt8](repeating: 0x20, count: 1 << 20))
    let path = try scratch.file("bomb", (0..<64).flatMap { _ in member })
    #expect(
      errorText { _ = try content(path) } == """
        tooLarge: \(path) decompresses to more than 250 times its size, as a gzip bomb does; \
        raise maximumRatio if the file is to be trusted
        """)
  }

  @Test func `a missing file and a directory are unavailable`() throws {
    let scratch = try Scratch()
    let missing = scratch.path("missing")
    #expect(
      errorText { _ = try content(missing) } == """
        fileUnavailable: \(missing) cannot be opened; give the path of a readable file \
        (No such file or directory)
        """)
    let directory = scratch.directory.path
    #expect(errorText { _ = try content(directory) }.hasSuffix("a readable file (Is a directory)"))
  }
}

struct LineReaderTests {
  private func lines(_ path: String, limits: InputLimits = InputLimits()) throws -> [String] {
    let reader = LineReader(try GzipInputStream(path: path), limits: limits)
    var all: [String] = []
    while let line = try reader.next() {
      all.append(line)
      #expect(reader.lineNumber == all.count)
    }
    return all
  }

  @Test func `lines end in LF or CRLF and the last may lack its end`() throws {
    let scratch = try Scratch()
    #expect(try lines(scratch.file("a", "one\r\n\ntwo\nthree")) == ["one", "", "two", "three"])
    #expect(try lines(scratch.file("b", "\u{FEFF}one\n")) == ["one"])
    #expect(try lines(scratch.file("c", "")) == [])
    let long = (0..<40_000).map { "line \($0)" }
    #expect(try lines(scratch.file("d", gzipped(long.joined(separator: "\n")))) == long)
  }

  @Test func `a line past the limit or not in UTF-8 is refused by number`() throws {
    let scratch = try Scratch()
    let long = try scratch.file("long", "ok\n" + String(repeating: "x", count: 70_000))
    #expect(
      errorText { _ = try lines(long, limits: InputLimits(maximumLineByteCount: 66_000)) } == """
        tooLarge: \(long) line 2 is longer than 66000 bytes; \
        raise maximumLineByteCount if the file is to be trusted
        """)
    let latin = try scratch.file("latin", [0x61, 0x0a, 0xe9, 0x0a])
    #expect(
      errorText { _ = try lines(latin) }
        == "invalidInput: \(latin) line 2 is not UTF-8; convert the file to UTF-8, for example with iconv")
  }
}
