import HyphaCore
import Testing

@testable import HyphaOperator

/// Alerts, and what fits together of their answers.
@Suite struct ReportAlertsTests {
  private func id(_ number: Int) -> EventID { EventID(high: 1, low: UInt64(number)) }

  @Test func `an alert that several answer is answered once`() {
    var alerts = ReportAlerts()
    alerts.state(id(1), at: 100, isOwn: false)
    alerts.state(id(2), at: 200, isOwn: false)
    // Another log has it too.
    alerts.state(id(1), at: 100, isOwn: false)
    #expect(alerts.answer(id(1), at: 150) == 50 && alerts.answer(id(1), at: 170) == 70)
    #expect(alerts.statedCount == 2 && alerts.answeredCount == 1 && alerts.answerCount == 2)
    // Clocks may be apart.
    #expect(alerts.answer(id(2), at: 199) == nil)
    #expect(alerts.answeredCount == 2 && alerts.answerCount == 3)
  }

  @Test func `a supervisor answers in an addressee's place, and the bus's own alerts are counted apart`() {
    var alerts = ReportAlerts()
    alerts.state(id(1), at: 100, isOwn: false)
    alerts.state(id(2), at: 300, isOwn: true, origin: id(1))
    alerts.state(id(3), at: 400, isOwn: true)
    #expect(alerts.answer(id(2), at: 350) == 50 && alerts.answer(id(3), at: 500) == 100)
    #expect(alerts.statedCount == 1 && alerts.answeredCount == 1 && alerts.answerCount == 1)
    #expect(alerts.busAnswerCount == 1 && alerts.strayAnswerCount == 0)
    // A late answer of the addressee's is one more answer, to the same alert.
    #expect(alerts.answer(id(1), at: 900) == 800 && alerts.answeredCount == 1 && alerts.answerCount == 2)
    #expect(alerts.answer(id(9), at: 900) == nil && alerts.strayAnswerCount == 1)
    // What escalates an alert that no log has stands for itself.
    alerts.state(id(5), at: 600, isOwn: true, origin: id(4))
    #expect(alerts.answer(id(5), at: 601) == 1 && alerts.busAnswerCount == 2 && alerts.answerCount == 2)
  }

  @Test func `only the newest are followed, and all are counted`() {
    var alerts = ReportAlerts()
    let count = ReportAlerts.followedCountMax + 10
    for number in 0..<count { alerts.state(id(number), at: UInt64(number), isOwn: false) }
    for number in 0..<count { _ = alerts.answer(id(number), at: UInt64(count)) }
    #expect(alerts.statedCount == count && alerts.strayAnswerCount == 10)
    #expect(alerts.answeredCount == ReportAlerts.followedCountMax)
  }
}
