/// Which pages of a file were met: a bit for each, of which only those parts take memory where there are any.
struct PageSet {
  private static let wordCount = 4_096
  private static let chunkPageCount = UInt64(wordCount) * 64

  private let pageCount: UInt64
  private var chunks: [[UInt64]]

  /// None, of a file of so many pages.
  init(pageCount: UInt64) {
    self.pageCount = pageCount
    chunks = Array(repeating: [], count: Int(pageCount / Self.chunkPageCount) + 1)
  }

  /// Adds a page; false where it was met before, or is none of the file's.
  mutating func insert(_ number: UInt64) -> Bool {
    guard number >= 2, number < pageCount else { return false }
    let (chunk, place) = number.quotientAndRemainder(dividingBy: Self.chunkPageCount)
    let (word, bit) = (Int(place / 64), UInt64(1) << (place % 64))
    if chunks[Int(chunk)].isEmpty { chunks[Int(chunk)] = Array(repeating: 0, count: Self.wordCount) }
    guard chunks[Int(chunk)][word] & bit == 0 else { return false }
    chunks[Int(chunk)][word] |= bit
    return true
  }

  /// The lowest page that is in both, or nil.
  func common(with other: PageSet) -> UInt64? {
    for (number, (mine, others)) in zip(chunks, other.chunks).enumerated() where !mine.isEmpty {
      for (word, (one, another)) in zip(mine, others).enumerated() where one & another != 0 {
        let bit = (one & another).trailingZeroBitCount
        return UInt64(number) * Self.chunkPageCount + UInt64(word * 64 + bit)
      }
    }
    return nil
  }
}
