"""The update orders that a fill can take, by name."""

from typing import Literal

from fillblanks.engine.step import UpdateOrder
from fillblanks.fills.first_order import first_order
from fillblanks.fills.second_order import second_order

Update = Literal["first_order", "second_order"]

FIRST_ORDER = UpdateOrder(first_order, capturable=True, reducible=True)
# BFGS looks at values to choose its steps, and takes differences of gradients.
SECOND_ORDER = UpdateOrder(second_order, capturable=False, reducible=False)

ORDERS: dict[Update, UpdateOrder] = {"first_order": FIRST_ORDER, "second_order": SECOND_ORDER}
