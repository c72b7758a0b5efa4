import Foundation
import HyphaTestKit
import Testing

@Suite struct OrderDeskTests {
  @Test func `an order that is paid is confirmed`() throws {
    let test = try AgentTest(OrderDesk.self)
    try test.give(OrderPlaced(order: "A-1", amount: 40))
    try test.give(PaymentReceived(order: "A-1"))
    #expect(try test.published(OrderConfirmed.self).map(\.order) == ["A-1"])
    test.advance(by: .seconds(7200))
    #expect(try test.published(OrderCancelled.self).isEmpty)
  }

  @Test func `an order that is not paid within an hour is cancelled, whatever crashes meanwhile`() throws {
    let test = try AgentTest(OrderDesk.self)
    try test.give(OrderPlaced(order: "A-1", amount: 40))
    try test.crash()
    #expect(try test.ask(OpenOrders()) == ["A-1"])
    test.advance(by: .seconds(3601))
    #expect(try test.published(OrderCancelled.self).map(\.order) == ["A-1"])
    #expect(try test.ask(OpenOrders()) == [])
  }

  @Test func `an order that makes no sense is put aside`() throws {
    let test = try AgentTest(OrderDesk.self)
    try test.give(OrderPlaced(order: "A-2", amount: 0))
    #expect(try test.deadLetters.map(\.failure.error) == ["Worthless()"])
  }
}

@Suite struct QuoterTests {
  @Test func `a quote takes the rate that the treasury shares`() throws {
    let test = try AgentTest(Quoter.self, standIns: ["treasury": StandIn()])
    try test.share(ExchangeRate(currency: "EUR", cents: 109), by: "treasury")
    try test.give(QuoteAsked(currency: "EUR", amount: 2))
    #expect(try test.published(Quoted.self).map(\.cents) == [218])
    test.advance(by: .seconds(31))
    try test.give(QuoteAsked(currency: "EUR", amount: 2))
    #expect(try test.failures == ["NoRate()"])
  }
}

@Suite struct AccountTests {
  @Test func `interest follows the treasury's rate`() throws {
    let treasury = StandIn().answer(Rate.self) { $0.balance < 1050 ? 10 : 0 }
    let test = try AgentTest(Account.self, standIns: ["treasury": treasury])
    try test.give(Deposit(amount: 1000))
    test.advance(by: .seconds(1))
    #expect(try test.asked(Rate.self).map(\.balance) == [1000, 1100, 1100])
    #expect(try test.published(InterestPaid.self).map(\.amount) == [100, 0, 0])
  }
}

private struct Price: Question {
  typealias Answer = Int
  var article: String
}

private actor Shop: Agent {
  static let handles = Handlers(Shop.self)
    .answer(Price.self) { shop, price, _ in shop.price(of: price.article) }

  func price(of article: String) -> Int { article.count }
}

/// The guide is true: what it quotes is what is compiled and run here.
@Suite struct GuideTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
  }

  @Test func `the README's way to answer a question compiles, and answers`() throws {
    #expect(try AgentTest(Shop.self).ask(Price(article: "pen")) == 3)
    let line = "`.answer(Price.self) { shop, price, _ in shop.price(of: price.article) }`"
    #expect(try text("README.md").contains(line))
  }

  @Test func `every piece of Swift in the guide is compiled`() throws {
    let compiled = try [
      "Tests/HyphaTestKitTests/Guide.swift", "Tests/HyphaTestKitTests/GuideTests.swift",
      "Examples/bank/Sources/bank/Bank.swift", "Examples/bank/Sources/bank/BankApp.swift",
    ].map(text).joined(separator: "\n")
    let blocks = try text("docs/write-an-agent.md").matches(of: /(?ms)^```swift\n(.*?)^```$/).map(\.output.1)
    #expect(blocks.count >= 6)
    for block in blocks where !block.hasPrefix("// swift-tools-version") {
      // '…' stands for what is left out.
      for part in block.split(separator: /(?m)^ *…\n/) {
        let isThere = compiled.contains(part.trimmingCharacters(in: .newlines))
        #expect(isThere, "this is compiled nowhere: \(part)")
      }
    }
  }
}
