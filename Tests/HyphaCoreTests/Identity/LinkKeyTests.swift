import HyphaCore
import Testing

@Suite struct LinkKeyTests {
  @Test func `a key's bytes and text are those of the specification`() throws {
    // rfc.zeromq.org/spec/32: the test vector, four times.
    let bytes: [UInt8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]
    let key = try #require(LinkKey(bytes: bytes + bytes + bytes + bytes))
    #expect(key.text == "HelloWorldHelloWorldHelloWorldHelloWorld")
    #expect(try LinkKey(key.text) == key)
    #expect(LinkKey(bytes: bytes) == nil)
  }

  @Test(arguments: [
    "", "short", "Hello World Hello World Hello World Hell", "HelloWorldHelloWorldHelloWorldHelloWorl\u{E9}",
  ])
  func `what is no key is refused`(text: String) {
    #expect {
      try LinkKey(text)
    } throws: {
      "\($0)".hasSuffix("is not 40 characters of Z85; copy the whole line that 'hypha keys show' prints")
    }
  }

  @Test func `characters beyond 32 bits are refused`() {
    // "%nSc0" is 2^32 - 1, "%nSc1" is one more.
    #expect(throws: Never.self) { try LinkKey(String(repeating: "%nSc0", count: 8)) }
    #expect(throws: HyphaError.self) { try LinkKey(String(repeating: "%nSc1", count: 8)) }
  }

  @Test func `a private key shows itself to nobody who does not ask for it`() throws {
    let text = "HelloWorldHelloWorldHelloWorldHelloWorld"
    let secret = try LinkSecret(text)
    let pair = LinkKeyPair(key: try LinkKey(String(repeating: "0", count: 40)), secret: secret)
    var dumped = ""
    dump(pair, to: &dumped)
    for shown in ["\(secret)", String(reflecting: secret), "\(pair)", String(reflecting: pair), dumped] {
      #expect(!shown.contains("Hello"), "\(shown)")
    }
    #expect(secret.withText { $0 } == text)
    #expect {
      try LinkSecret(text + "x")
    } throws: {
      !"\($0)".contains("Hello")
    }
  }

  @Test(
    arguments: [
      (.local, true), (.tcp(host: "127.0.0.1", port: 1), true), (.tcp(host: "127.255.0.9", port: 1), true),
      (.tcp(host: "localhost", port: 1), true), (.tcp(host: "[::1]", port: 1), true),
      (.tcp(host: "::1", port: 1), true), (.tcp(host: "0.0.0.0", port: 1), false),
      (.tcp(host: "10.0.0.1", port: 1), false), (.tcp(host: "127.0.0.1.example", port: 1), false),
      (.tcp(host: "127.1", port: 1), false), (.tcp(host: "127.0.0.010", port: 1), false),
      (.tcp(host: "[::]", port: 1), false), (.tcp(host: "*", port: 1), false),
      (.tcp(host: "localhost.example", port: 1), false),
    ] as [(NodeAddress, Bool)])
  func `an address is loopback only where that is certain`(address: NodeAddress, isLoopback: Bool) {
    #expect(address.isLoopback == isLoopback)
  }
}
