/// The candidate that `text` is most likely a misspelling of, if one is near enough to suggest.
///
/// Case is ignored; an inserted, a missing, a wrong and two swapped characters each count as one mistake.
/// One mistake is allowed in four characters, two in eight, three in more. At most 1,000 candidates
/// are looked at, so that a large hostile file costs no more than a small one.
package func nearest(to text: String, among candidates: some Sequence<String>) -> String? {
  let wanted = Array(text.lowercased().utf8.prefix(128))
  let mistakesMax = wanted.count <= 4 ? 1 : wanted.count <= 8 ? 2 : 3
  var best: (candidate: String, mistakes: Int)?
  for candidate in candidates.prefix(1000) where candidate != text {
    let other = Array(candidate.lowercased().utf8.prefix(128))
    guard abs(other.count - wanted.count) <= mistakesMax else { continue }
    let mistakes = mistakeCount(wanted, other)
    if mistakes <= mistakesMax, mistakes < min(wanted.count, best?.mistakes ?? .max) {
      best = (candidate, mistakes)
    }
  }
  return best?.candidate
}

/// The edit distance in which a swap of two neighbours counts as one (optimal string alignment).
private func mistakeCount(_ first: [UInt8], _ second: [UInt8]) -> Int {
  var beforeLast: [Int] = []
  var last = Array(0...second.count)
  for (row, byte) in first.enumerated() {
    var current = [row + 1]
    current.reserveCapacity(second.count + 1)
    for (column, other) in second.enumerated() {
      var mistakes = min(last[column + 1], current[column]) + 1
      mistakes = min(mistakes, last[column] + (byte == other ? 0 : 1))
      if row > 0, column > 0, byte == second[column - 1], first[row - 1] == other {
        mistakes = min(mistakes, beforeLast[column - 1] + 1)
      }
      current.append(mistakes)
    }
    (beforeLast, last) = (last, current)
  }
  return last[second.count]
}
