import hypha_agent

agent = hypha_agent.Agent()


@agent.on("InvoiceSubmitted")
def decide(invoice, event):
    if invoice["amount"] > 5000:
        # An alert: it leaves at once, and goes to the head where the clerk does not answer it within half a minute.
        event.alert("FraudSuspected", {"invoice": invoice["invoice"]}, to=event.sender, within=30)
    if invoice["amount"] > 1000:
        event.publish("InvoiceRejected", {"invoice": invoice["invoice"], "reason": "too much"})
    else:
        event.publish("InvoiceApproved", {"invoice": invoice["invoice"], "approver": agent.name})


agent.run()
