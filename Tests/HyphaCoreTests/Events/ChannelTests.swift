import HyphaCore
import Testing

/// The three urgency classes and the contract of each.
@Suite struct ChannelTests {
  @Test func `each channel has its number on the wire and its name`() {
    #expect(Channel.allCases.map(\.rawValue) == [0, 1, 2])
    #expect(Channel.allCases.map(\.description) == ["persistent", "alert", "realtime"])
    for channel in Channel.allCases {
      #expect(Channel(name: channel.description) == channel)
      #expect(Channel(rawValue: channel.rawValue) == channel)
    }
    for name in ["", "Alert", "alert ", "persistant"] { #expect(Channel(name: name) == nil) }
    #expect(Channel(rawValue: 3) == nil)
  }

  @Test func `only realtime events are not logged, and only persistent ones wait for the log`() {
    #expect(Channel.allCases.map(\.isLogged) == [true, true, false])
    #expect(Channel.allCases.map(\.isRepaired) == [true, true, false])
    #expect(Channel.allCases.map(\.leavesBeforeCommit) == [false, true, true])
  }
}
