"""Which models the site offers, whatever serves them."""
