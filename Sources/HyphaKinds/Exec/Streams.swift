import Glibc
import HyphaCore

/// A child's standard streams as the thread that serves it reads and writes them: never waiting, but in ``wait(for:_:)``.
struct Streams: ~Copyable {
  var child: Child
  /// Whether the child has closed its standard output.
  private(set) var isMute = false
  private var isErrorsOver = false
  private var unwritten: ArraySlice<UInt8> = []
  private var closesInput = false
  private var buffer = [UInt8](repeating: 0, count: 64 << 10)

  init(_ child: consuming Child) { self.child = child }

  /// Waits until there is something to read, or room to write what is left, or the bell rings, or the time is over.
  func wait(for duration: Duration, _ bell: Bell) {
    var polls = [
      pollfd(fd: bell.end, events: Int16(POLLIN), revents: 0),
      pollfd(fd: isMute ? -1 : child.output, events: Int16(POLLIN), revents: 0),
      pollfd(fd: isErrorsOver ? -1 : child.errors, events: Int16(POLLIN), revents: 0),
      pollfd(fd: unwritten.isEmpty ? -1 : child.input, events: Int16(POLLOUT), revents: 0),
    ]
    // Rounded up: what is due is due then.
    _ = poll(
      &polls, nfds_t(polls.count), Int32(clamping: (duration + .microseconds(999)).wholeMicroseconds / 1000))
    bell.hush()
  }

  /// Writes what fits, and keeps the rest for the next call. Once all is written, the input may be closed.
  mutating func write(_ bytes: [UInt8], thenClose closes: Bool) {
    closesInput = closesInput || closes
    if !bytes.isEmpty { unwritten = unwritten.isEmpty ? bytes[...] : unwritten + bytes }
    while !unwritten.isEmpty, child.input >= 0 {
      let input = child.input
      let count = unwritten.withUnsafeBytes { Glibc.write(input, $0.baseAddress, $0.count) }
      if count > 0 {
        unwritten.removeFirst(count)
      } else if errno == EAGAIN {
        return
      } else if errno != EINTR {
        // It reads no more; whether it still answers is its affair.
        closesInput = true
        break
      }
    }
    unwritten = []
    if closesInput { child.closeInput() }
  }

  mutating func readOutput() -> ArraySlice<UInt8> {
    guard !isMute, let bytes = read(child.output) else { return [] }
    isMute = bytes.isEmpty
    return bytes
  }

  mutating func readErrors() -> ArraySlice<UInt8> {
    guard !isErrorsOver, let bytes = read(child.errors) else { return [] }
    isErrorsOver = bytes.isEmpty
    return bytes
  }

  /// What there is to read; empty at the end, nil where there is nothing yet.
  private mutating func read(_ end: Int32) -> ArraySlice<UInt8>? {
    let count = buffer.withUnsafeMutableBytes { Glibc.read(end, $0.baseAddress, $0.count) }
    if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : [] }
    return buffer[..<count]
  }
}
