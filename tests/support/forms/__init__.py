"""Forms in which image classifiers are registered, each with what an audit must make of it."""
