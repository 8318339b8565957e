"""Charts of whatever app: `marks` says how they look, `drawing` makes SVG of that. Pure."""
