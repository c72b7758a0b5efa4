import Synchronization
import Testing

@testable import HyphaOperator

@Suite struct NodeNotesTests {
  @Test
  func `what the log has to say before there is a node is passed on once, and what comes after at once`() {
    let notes = NodeNotes()
    let told = Mutex<[String]>([])
    for number in 0..<NodeNotes.countMax + 5 { notes.take("\(number)") }
    notes.pass { note in told.withLock { $0.append(note) } }
    #expect(told.withLock { $0 } == (0..<NodeNotes.countMax).map(String.init))
    notes.take("late")
    #expect(told.withLock { $0.count == NodeNotes.countMax + 1 && $0.last == "late" })
  }
}
