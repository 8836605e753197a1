"""Floor 2: verdict arithmetic. Intervals, quantiles and the rules that turn numbers into verdicts; standard library only."""
