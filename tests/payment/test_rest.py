import pytest

from tests.payment.shop import Shop


@pytest.fixture
def shop(platform, request):
    return Shop(platform, f"ten_pay_{abs(hash(request.node.name))}")


async def test_a_payment_is_created_and_confirmed_at_once(shop):
    intent = await shop.paid(1000)
    assert intent["status"] == "succeeded"
    assert intent["amount_received"] == 1000
