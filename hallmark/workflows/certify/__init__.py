"""What `hallmark certify` is made of."""
