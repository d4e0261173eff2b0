"""Who moves money: processors behind one port."""
