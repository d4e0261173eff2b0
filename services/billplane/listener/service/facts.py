"""Every fact of every service, as its producer declares it."""

from typing import Final

from billplane.chassis.events import MessageType, fact
from billplane.protos.admin.v1 import events_pb2 as admin
from billplane.protos.billing_core.v1 import events_pb2 as billing_core
from billplane.protos.discount.v1 import events_pb2 as discount
from billplane.protos.exchange_rate.v1 import events_pb2 as exchange_rate
from billplane.protos.identity.v1 import events_pb2 as identity
from billplane.protos.invoice.v1 import events_pb2 as invoice
from billplane.protos.ledger.v1 import events_pb2 as ledger
from billplane.protos.metering.v1 import events_pb2 as metering
from billplane.protos.payment.v1 import events_pb2 as payment
from billplane.protos.pricing.v1 import events_pb2 as pricing
from billplane.protos.subscription.v1 import events_pb2 as subscription
from billplane.protos.tax.v1 import events_pb2 as tax

FACTS: Final[tuple[MessageType, ...]] = (
    fact(admin.StaffActed, "staff"),
    fact(billing_core.BalanceLow, "wallet"),
    fact(billing_core.ReservationExpired, "reservation"),
    fact(discount.DiscountApplied, "discount_application"),
    fact(discount.DiscountReversed, "discount_application"),
    fact(exchange_rate.RatesUpdated, "feed"),
    fact(exchange_rate.RatesStale, "feed"),
    fact(identity.UserRegistered, "user"),
    fact(invoice.InvoiceCreated, "invoice"),
    fact(invoice.InvoiceFinalized, "invoice"),
    fact(invoice.InvoicePaid, "invoice"),
    fact(invoice.InvoicePastDue, "invoice", wire_type="invoice.past_due"),
    fact(invoice.InvoiceVoided, "invoice"),
    fact(invoice.InvoiceUncollectible, "invoice"),
    fact(invoice.CreditNoteIssued, "invoice"),
    fact(ledger.TransactionsPosted, "books"),
    fact(metering.UsageThresholdReached, "usage_threshold"),
    fact(payment.PaymentIntentCreated, "payment_intent"),
    fact(payment.PaymentIntentActionRequired, "payment_intent"),
    fact(payment.PaymentIntentCanceled, "payment_intent"),
    fact(payment.PaymentSucceeded, "payment_intent"),
    fact(payment.PaymentFailed, "payment_intent"),
    fact(payment.RefundSucceeded, "payment_intent"),
    fact(payment.DisputeOpened, "payment_intent"),
    fact(payment.DisputeClosed, "payment_intent"),
    fact(payment.CreditApplied, "collection"),
    fact(payment.CollectionExhausted, "collection"),
    fact(pricing.PlanPublished, "plan"),
    fact(subscription.SubscriptionCreated, "subscription"),
    fact(subscription.SubscriptionChanged, "subscription"),
    fact(subscription.SubscriptionEnded, "subscription"),
    fact(subscription.SubscriptionTrialWillEnd, "subscription"),
    fact(subscription.CustomerCreated, "customer"),
    fact(subscription.CustomerUpdated, "customer"),
    fact(subscription.CustomerDeleted, "customer"),
    fact(subscription.TestClockAdvanced, "test_clock"),
    fact(tax.TaxCalculated, "tax_calculation"),
)
