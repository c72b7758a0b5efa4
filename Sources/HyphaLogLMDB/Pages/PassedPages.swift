/// The pages of values that were read once, one after the other: they leave this process's memory, many at a time.
///
/// Whoever follows a log for as long as it lives would have all of it in memory otherwise, as the system counts it.
struct PassedPages {
  private let pages: PageMap
  /// What was read since the last time.
  private var begin: UnsafeRawPointer
  private var end: UnsafeRawPointer
  private static let byteCountMax = 256 << 10

  /// None yet.
  init(_ pages: PageMap) {
    self.pages = pages
    (begin, end) = (pages.base, pages.base)
  }

  /// Adds those of a value, which is not read again soon.
  mutating func add(_ value: UnsafeRawBufferPointer) {
    guard let address = value.baseAddress else { return }
    let isNear = address <= end + pages.pageByteCount && address + value.count + pages.pageByteCount >= begin
    if !isNear || end - begin >= Self.byteCountMax { letGo() }
    if begin == end {
      (begin, end) = (address, address + value.count)
    } else {
      (begin, end) = (min(begin, address), max(end, address + value.count))
    }
  }

  /// Lets go of all of them.
  mutating func letGo() {
    pages.letGo(UnsafeRawBufferPointer(start: begin, count: end - begin))
    begin = end
  }
}
