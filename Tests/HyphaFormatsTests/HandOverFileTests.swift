import Foundation
import HyphaCore
import HyphaFormats
import Testing

struct HandOverFileTests {
  private let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private let some = [
    HandOver(index: 0, caseID: "1", activity: "check", from: "x", to: "y", time: -1),
    HandOver(
      index: 1, caseID: "2, \"two\"\r\n", activity: "a\nb", from: "y", to: "ü", time: 1_317_422_324_546_000),
    HandOver(
      index: 2, caseID: "1", activity: "c", from: "y", to: "x", time: 1_317_422_324_546_001, predecessor: 0),
  ]

  private func refusal(_ body: String) -> String {
    errorText { _ = try HandOverFile.load(path: scratch.file("h.csv", HandOverFile.header + "\n" + body)) }
      .replacingOccurrences(of: scratch.path("h.csv"), with: "FILE")
      .replacingOccurrences(of: "; write the file anew from its recording", with: "")
  }

  @Test func `hand-overs round-trip, plain and gzip`() throws {
    let path = scratch.path("h.csv")
    try HandOverFile.write(some, to: path)
    #expect(try HandOverFile.load(path: path) == some)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(
      text == """
        index,time,case,activity,from,to,predecessor
        0,1969-12-31T23:59:59.999999Z,1,check,x,y,
        1,2011-09-30T22:38:44.546000Z,"2, ""two""\r\n","a\nb",y,ü,
        2,2011-09-30T22:38:44.546001Z,1,c,y,x,0

        """)
    #expect(try HandOverFile.load(path: scratch.file("h.gz", gzipped(text))) == some)
    try HandOverFile.write([], to: path)
    #expect(try HandOverFile.load(path: path) == [])
    let names = try FileManager.default.contentsOfDirectory(atPath: scratch.directory.path)
    #expect(names.sorted() == ["h.csv", "h.gz"])
  }

  @Test func `a file that breaks a rule is refused by its line`() {
    let first = "0,2011-01-01T00:00:00.000000Z,1,a,x,y,\n"
    let next = "2011-01-01T00:00:00.000000Z,1,a"
    #expect(
      refusal(first + "2,\(next),y,x,0\n") == "invalidInput: FILE line 3: the index is 2 where 1 follows")
    #expect(
      refusal(first + "1,\(next),y,y,0\n") == "invalidInput: FILE line 3: from and to are both `y`")
    #expect(
      refusal(first + "1,\(next),y,x,1\n")
        == "invalidInput: FILE line 3: the predecessor 1 is not before the index 1")
    #expect(
      refusal(first + "1,\(next),y,x,\n")
        == "invalidInput: FILE line 3: the predecessor is missing, but the case's last hand-over is 0")
    #expect(
      refusal(first + "1,2011-01-01T00:00:00Z,2,a,y,x,0\n")
        == "invalidInput: FILE line 3: the predecessor is 0, but the case's last hand-over is none")
    #expect(
      refusal(first + "1,2010-01-01T00:00:00Z,1,a,y,x,0\n")
        == "invalidInput: FILE line 3: the time is before that of the hand-over above")
    #expect(refusal("0,yesterday,1,a,x,y,\n") == "invalidInput: FILE line 2: `yesterday` is not a time")
    #expect(
      refusal("-1,\(next),x,y,\n") == "invalidInput: FILE line 2: the index `-1` is not a number from 0")
    #expect(
      refusal("0,\(next),x,y,none\n")
        == "invalidInput: FILE line 2: the predecessor `none` is not a number from 0")
    #expect(refusal("0,\(next),x\n") == "invalidInput: FILE line 2: the record has 5 fields, not 7")
    #expect(refusal("0,\(next),,y,\n") == "invalidInput: FILE line 2: a resource is empty")
    #expect(refusal("0,2011-01-01T00:00:00Z,,a,x,y,\n") == "invalidInput: FILE line 2: the case is empty")
  }

  @Test func `another header is refused with the right one`() throws {
    let path = try scratch.file("h.csv", "a,b\n1,2\n")
    #expect(
      errorText { _ = try HandOverFile.load(path: path) } == """
        invalidInput: \(path) line 1: this is not the header of a hand-over file; \
        the header is index,time,case,activity,from,to,predecessor
        """)
  }

  @Test func `more than the bound is refused`() throws {
    let path = scratch.path("h.csv")
    try HandOverFile.write(some, to: path)
    #expect(
      errorText { _ = try HandOverFile.load(path: path, maximumHandOvers: 2) } == """
        tooLarge: \(path) has more than 2 hand-overs; raise the limit, or read the file as a stream
        """)
  }

  @Test func `what breaks a rule is not written, and the old file stays`() throws {
    let path = scratch.path("h.csv")
    try HandOverFile.write(some, to: path)
    #expect(
      errorText { try HandOverFile.write(some.reversed(), to: path) } == """
        invalidInput: hand-over 2 cannot be written to \(path): the index is 2 where 0 follows; \
        take the hand-overs from HandOvers, unchanged and in order
        """)
    #expect(try HandOverFile.load(path: path) == some)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.directory.path) == ["h.csv"])
    let nowhere = scratch.path("none/h.csv")
    #expect(
      errorText { try HandOverFile.write(some, to: nowhere) }
        == "fileUnavailable: \(nowhere) cannot be written; give a path in a writable directory")
  }
}
