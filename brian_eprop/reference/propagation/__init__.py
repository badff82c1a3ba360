"""What rules carry along: credit backwards in time, eligibility and influence forwards."""
