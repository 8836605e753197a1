"""What `hallmark ab` is made of: the two sides, what is sent to them, and the session that measures them in turns."""
