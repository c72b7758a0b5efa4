/// The word of `candidates` that `word` most likely means: the only one it begins, or the nearest within
/// one mistake per three letters. nil when nothing is near.
func nearestWord(to word: String, among candidates: [String]) -> String? {
  let begun = candidates.filter { $0.hasPrefix(word) }
  if begun.count == 1, word.drop(while: { $0 == "-" }).count > 1 { return begun[0] }
  let letterCount = word.drop { $0 == "-" }.count
  let ranked = candidates.map { (distance: editDistance(word, $0), candidate: $0) }
  guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
  return best.distance <= max(1, letterCount / 3) && best.distance < letterCount ? best.candidate : nil
}

/// The number of insertions, deletions, replacements and swaps of neighbours between two words
/// (optimal string alignment). O(n·m).
func editDistance(_ left: String, _ right: String) -> Int {
  let left = Array(left)
  let right = Array(right)
  var twoBack: [Int] = []
  var previous = Array(0...right.count)
  for row in left.indices {
    var current = [row + 1]
    for column in right.indices {
      let replacement = previous[column] + (left[row] == right[column] ? 0 : 1)
      var cost = min(replacement, previous[column + 1] + 1, current[column] + 1)
      if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
        cost = min(cost, twoBack[column - 1] + 1)
      }
      current.append(cost)
    }
    twoBack = previous
    previous = current
  }
  return previous[right.count]
}
