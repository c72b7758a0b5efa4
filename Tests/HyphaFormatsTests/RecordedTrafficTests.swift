import HyphaFormats
import Testing

/// Who sent to whom, out of edge lists and event logs.
@Suite struct RecordedTrafficTests {
  private func read(_ text: String) throws -> [String] {
    let scratch = try Scratch()
    let traffic = try RecordedTraffic.read(path: try scratch.file("t.txt", text))
    return traffic.events.map { "\(traffic.names[Int($0.from)])>\(traffic.names[Int($0.to)])" }
  }

  @Test(
    arguments: [
      ("a b 1\nb c 2\n", ["a>b", "b>c"]),
      // By time, and by the order of the file where times are equal.
      ("a b 3\nb c 1\nc d 1\n", ["b>c", "c>d", "a>b"]),
      // Without times, in the order of the file; comments and events with oneself do not count.
      ("# some traffic\na b\n\nb b\n% more\nb c\n", ["a>b", "b>c"]),
      ("a,b,2020-01-02 00:00:00\nb,c,2020-01-01T00:00:00Z\n", ["b>c", "a>b"]),
      ("# time\tfrom\tto\tkind\n5\ta b\tc\tx\n4\tc\ta b\ty\n", ["c>a b", "a b>c"]),
      ("index,time,case,activity,from,to,predecessor\n0,7,k,x,Ana,Bo,\n", ["Ana>Bo"]),
      // A first line that counts the others is a heading, and otherwise an event.
      ("9 2\n1 2\n2 3\n", ["1>2", "2>3"]),
      ("9 5\n1 2\n2 3\n", ["9>5", "1>2", "2>3"]),
    ])
  func `an edge list is read in order of time`(_ text: String, _ events: [String]) throws {
    #expect(try read(text) == events)
  }

  @Test(
    arguments: [
      ("a b 1\na b\n", "line 2: it has 2 fields; give lines of the form 'from to time'"),
      ("a b 1\na b never\n", "line 2: 'never' is no time; give lines of the form 'from to time'"),
      ("from,to\na,\n", "line 2: an end is empty; give lines of the form 'from to time'"),
      ("a a 1\n", "has no event between two; give lines of the form 'from to time'"),
    ])
  func `a line that is no event is refused with its number`(_ text: String, _ problem: String) throws {
    #expect(errorText { _ = try read(text) }.contains(problem))
  }

  @Test func `an event log gives its hand-overs and groups`() throws {
    let scratch = try Scratch()
    let path = try scratch.file(
      "log.csv",
      "case,activity,resource,group,time\n1,a,Ana,x,2020-01-01T00:00:00\n1,b,Bo,y,2020-01-02T00:00:00\n"
        + "1,c,Ana,x,2020-01-03T00:00:00\n")
    let traffic = try RecordedTraffic.read(path: path)
    #expect(traffic.names == ["Ana", "Bo"] && traffic.groups == ["x", "y"])
    #expect(traffic.events.map(\.from) == [0, 1] && traffic.events.map(\.to) == [1, 0])
  }

  @Test func `groups are read by name, and a name in two groups is refused`() throws {
    let scratch = try Scratch()
    let path = try scratch.file("g", "# name\tgroup\na\tx\tmore\nb\ty\n")
    #expect(try GroupFile.read(path: path) == ["a": "x", "b": "y"])
    let spaced = try scratch.file("s", "a  x\n b y \n")
    #expect(try GroupFile.read(path: spaced) == ["a": "x", "b": "y"])
    let double = try scratch.file("d", "a x\na y\n")
    #expect(errorText { _ = try GroupFile.read(path: double) }.contains("line 2: 'a' is in 'y' and in 'x'"))
    let short = try scratch.file("h", "a\n")
    #expect(
      errorText { _ = try GroupFile.read(path: short) }.contains(
        "line 1: it names no group; write 'name group'"))
  }
}
