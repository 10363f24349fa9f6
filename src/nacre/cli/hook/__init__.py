"""``nacre hook``: what `nacre serve --hooks` tells events to."""
